"""One client's connection, from its accepted handshake to its end.

    run
    ├─ read    takes messages in, as fast as they can be worked off
    └─ drain   sends what has to wait until the client reads (line.py); else everybody sends at once

Invariants:
    1. After the close frame nothing is put on the line.
    2. Nothing waits for a client that does not read: closing has a deadline.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import structlog
import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from peatd.clients import closes, frames
from peatd.clients.attendance import Attendance
from peatd.clients.budget import Budget
from peatd.clients.closes import Close
from peatd.clients.halves import Half, Halves
from peatd.clients.line import Line
from peatd.errors import PeatError
from peatd.update import MAX_DOCUMENT_BYTES

log = structlog.get_logger()

MAX_MESSAGE_BYTES = MAX_DOCUMENT_BYTES + 4 * 1024
"""Of one message: the first sync of a client that was away for long, or brings a document of its own, and its name."""
MAX_GREETING_BYTES = 8 * 1024
"""Of a message of somebody who has shown no token yet: a token has half of it."""
_CHUNK_BYTES = 16 * 1024
"""Read at once: some four hundred small updates, which take a few milliseconds."""
_UNSETTLED = 256
"""Updates of one client that are being merged, beyond which it is not read from. Others wait behind no more of them."""
UNREAD_BYTES = 2 * 1024 * 1024
"""Waiting for a client, beyond which it is not read from: more than news leave, so it asks and does not listen."""
_CLOSE_DEADLINE = 1.0
"""Seconds for the close frame to leave and the client to close: a part of the five in which a node stops."""

PING_INTERVAL, DEAD_AFTER = 20.0, 60.0
"""Seconds without a sign until the client is asked for one, and until it is taken for dead."""
QUIET = 12.0
"""Seconds without a message to the client, after which it gets one that says nothing: it expects one every 30."""


class Dialect(Protocol):
    """What the messages on a connection mean."""

    @property
    def attendances(self) -> Sequence[Attendance]:
        """The documents that take part in it."""

    @property
    def is_known(self) -> bool:
        """Whether the client has shown that it may be here."""

    def received(self, message: bytes) -> None:
        """Takes one message in.

        Raises:
            MalformedMessage, MalformedUpdate: if it is none.
        """

    def sign_of_life(self) -> bytes:
        """A message that changes nothing; empty if there is none yet."""

    def expire(self, now: float) -> None:
        """Ends what the client's tokens no longer cover at `now`, seconds since 1970."""

    def left(self) -> None:
        """The connection has ended."""


class Session:
    """A WebSocket connection with a client."""

    _dialect: Dialect

    def __init__(self, stream: trio.SocketStream, line: Line, address: str, halves: Halves) -> None:
        self.line = line
        self.closing: Close | None = None
        self._stream = stream
        self._address = address
        self._websocket = Connection(ConnectionType.SERVER)
        self._parts: list[bytes | bytearray] = []
        self._size_bytes = 0
        self._halves = halves
        self._half: Half | None = None
        self._unsettled = 0
        self._settled = trio.Event()
        self._listens = trio.Event()
        self._ended = trio.Event()
        now = trio.current_time()
        self._budget = Budget(now)
        self._heard_at = self._pinged_at = now
        self._is_reading = True
        self._is_gone = False

    async def run(self, dialect: Dialect, early: bytes) -> None:
        """Until the connection has ended. Cancelled: says goodbye first.

        Args:
            early: bytes that came right behind the handshake.
        """
        self._dialect = dialect
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._guarded, partial(self.line.drain, self._has_room))
                nursery.start_soon(self._guarded, partial(self._read, early))
                await self._ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            dialect.left()
            self._halves.ended(self._half)
            with trio.move_on_after(_CLOSE_DEADLINE, shield=True):
                await self._say_goodbye()
            self.line.close()  # before the descriptor is another's
            await trio.aclose_forcefully(self._stream)

    def origin(self, subject: str) -> str:
        """Names the client to the quarantine, by where it is and whose token it showed."""
        return f"client {self._address}" + (f" ({subject})" if subject else "")

    def close(self, code: int, reason: str) -> None:
        """Ends the connection, and says why. The first reason counts."""
        if self.closing is None:
            self.closing = Close(code, reason)
            self._ended.set()

    def settled(self, count: int, *, is_news: bool) -> None:
        """So many updates of this client's were worked off."""
        self._unsettled -= count
        if is_news:
            self._budget.give_back(count)
        self._settled.set()

    def submitted(self) -> None:
        """An update of this client's is being worked off."""
        self._unsettled += 1

    # Receiving -------------------------------------------------------------------------------------------------

    async def _guarded(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except PeatError as exc:
            self.close(*closes.for_error(exc))
        except Exception:
            # As on a link: a fault met on one connection must not end the others.
            log.exception("fault on a client's connection")
            self.close(*closes.FAULT)

    async def _read(self, early: bytes) -> None:
        received = early
        while self.closing is None:
            if received:
                self._websocket.receive_data(received)
                try:
                    self._take_events()
                finally:  # whatever follows it: what it wrote before is merged
                    for attendance in self._dialect.attendances:
                        attendance.submit()
                await self._room()
            received = await self._receive()
            self._heard_at = trio.current_time()
            if not received:
                self._is_gone = True
                self._ended.set()
                return

    async def _receive(self) -> bytes:
        """What has come; empty at the end. `receive_some` would try in vain first: clients send a message at a time."""
        fd = self._stream.socket.fileno()
        while True:
            await trio.lowlevel.wait_readable(fd)
            try:
                return os.read(fd, _CHUNK_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    async def _room(self) -> None:
        """Backpressure: waits until this client takes its answers, until its updates are worked off, and until the
        engine and the store have room."""
        while self.line.waiting_bytes > UNREAD_BYTES:
            self._listens = trio.Event()
            await self._listens.wait()
        self._is_reading = False
        if self._half is not None:
            await self._halves.room(self._half)
        while self._unsettled > _UNSETTLED and self.closing is None:
            self._settled = trio.Event()
            await self._settled.wait()
        for attendance in self._dialect.attendances:
            await attendance.room.writing.has_capacity()
        self._is_reading = True
        self._heard_at = trio.current_time()

    def _take_events(self) -> None:
        for event in self._websocket.events():
            if self.closing is not None:
                return
            match event:
                case BytesMessage():
                    if event.frame_finished and not event.message_finished:
                        self._spend()  # fragments may be empty, and without end
                    self._part(event.data, is_last=event.message_finished)
                case TextMessage():
                    self.close(*closes.NOT_BINARY)
                case Ping():
                    self._spend()
                    self._send(event.response())
                case CloseConnection():
                    self.close(event.code, event.reason or "")
                case _:
                    pass  # a pong: that it came is all that counts

    def _part(self, part: bytes | bytearray, *, is_last: bool) -> None:
        self._size_bytes += len(part)
        limit_bytes = MAX_MESSAGE_BYTES if self._dialect.is_known else MAX_GREETING_BYTES
        if self._size_bytes > limit_bytes:
            self.close(*closes.too_long(limit_bytes))
            return
        self._parts.append(part)
        if is_last:
            message = bytes(part) if len(self._parts) == 1 else b"".join(self._parts)
            self._halves.ended(self._half)
            self._parts, self._size_bytes, self._half = [], 0, None
            self._spend()
            self._dialect.received(message)
        elif self._half is None:
            self._half = Half(trio.current_time(), partial(self.close, *closes.TRY_AGAIN))
        else:
            self._halves.grew(self._half, self._size_bytes)

    def _spend(self) -> None:
        if not self._budget.spend(trio.current_time()):
            self.close(*closes.FLOODED)

    # Sending ---------------------------------------------------------------------------------------------------

    def tick(self, now: float, time: float) -> None:
        """Once a second or so: shows that we live, asks whether the client does, and ends what is over.

        Args:
            now: trio time.
            time: seconds since 1970.
        """
        self._dialect.expire(time)
        self.line.look(now)
        if self.closing is not None:
            return
        if self._is_reading:
            self._look_for_life(now)
        if now - self.line.moved_at > QUIET and not self.line.waiting_bytes:
            message = self._dialect.sign_of_life()
            if message:
                self.line.send(frames.frame(message))

    def _look_for_life(self, now: float) -> None:
        sign = max(self._heard_at, self.line.moved_at) if self.line.waiting_bytes else self._heard_at
        if now - sign > DEAD_AFTER:
            self._is_gone = True
            self._ended.set()
        elif now - max(sign, self._pinged_at) > PING_INTERVAL:
            self._pinged_at = now
            self._send(Ping())

    def _send(self, event: Ping | Pong | CloseConnection) -> None:
        self.line.send(self._websocket.send(event))

    def _has_room(self) -> None:
        self._listens.set()
        for attendance in self._dialect.attendances:
            attendance.room.has_room(attendance.seat)

    async def _say_goodbye(self) -> None:
        """Sends the close frame, and waits until the client has closed: closing on unread bytes would reset the
        connection, and the frame might be lost with it."""
        if self._is_gone:
            return
        code, reason = self.closing or closes.GOING_AWAY
        self._send(CloseConnection(code, reason))
        await self.line.emptied()
        try:
            await self._stream.send_eof()
            while await self._stream.receive_some(_CHUNK_BYTES):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
