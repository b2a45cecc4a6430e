"""Running a link: one reader, one writer, pings, and an end that both sides can tell from a cut.

    converse          waits for the end; when it is cancelled, the peer hears GOAWAY
    └─ run            shielded, so that a cancelled `send_all` never poisons the stream before GOAWAY is out
       ├─ write       the only one that sends
       └─ exchanging  cancelled as soon as the link ends or we leave
          ├─ read · feed · keep_alive · the exchange's own run

Invariants:
    1. Only `_write` sends. The others leave it something in the outbox, which holds at most one of each kind.
    2. Nothing waits on a peer that does not read: from the moment we leave, `LEAVE_DEADLINE` bounds everything.
    3. The first end counts.
"""

import math
from collections.abc import Awaitable, Callable, Sequence

import structlog
import trio

from peatd.errors import PeerError, WireError
from peatd.transport.link import Exchange, Link, LinkEnd
from peatd.transport.outbox import Outbox
from peatd.wire.messages import Goaway, Hello, Message, Piece, Ping, Pong, Updates

log = structlog.get_logger()

PING_INTERVAL = 10.0
DEAD_AFTER = 30.0
"""Seconds without a byte, while we wait for one. Three pings: one may be late."""
LEAVE_DEADLINE = 1.0
"""Seconds for GOAWAY to leave and the peer to close: a part of the five in which a node stops. All leave at once."""
_CLOSE_DEADLINE = 0.5
_UNREAD_DEADLINE = 1.0
"""Seconds after a failed send in which a GOAWAY that the peer sent before it closed may still be read."""

SHUTDOWN = "shutdown"
EOF = "eof"
CUT = "cut"
SILENCE = "silence"
NONSENSE = "nonsense"
FAULT = "fault"


async def converse(link: Link, exchange: Exchange) -> LinkEnd:
    """Runs the link until it ends, and closes its stream, in bounded time. Cancelled: says GOAWAY `shutdown` first."""
    conversation = _Conversation(link, exchange)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(conversation.run)
        try:
            await link.leaving.wait()
        finally:
            link.goaway(SHUTDOWN, "the node is going away")
            conversation.leave()
    return conversation.end


async def dismiss(link: Link, code: str, message: str) -> None:
    """Ends a link that never conversed: says why, and closes it, in bounded time."""
    link.goaway(code, message)
    await converse(link, _Nothing())


class _Nothing:
    """The exchange of a link that is dismissed."""

    async def received(self, message: Message) -> None:
        """Drops it: the peer sent it before it knew."""

    async def run(self) -> None:
        """Has nothing to do."""

    async def next_batch(self) -> list[Message]:
        await trio.sleep_forever()
        return []


class _Conversation:
    """One run of a link.

    Attributes:
        end: how it ended; true once `run` has returned.
    """

    def __init__(self, link: Link, exchange: Exchange) -> None:
        self.end = LinkEnd(CUT, "it was never open", by_peer=False)
        self._link = link
        self._exchange = exchange
        self._outbox = Outbox()
        self._life = trio.CancelScope(shield=True)
        self._exchanging = trio.CancelScope()
        self._waiting_since: float | None = None
        self._has_ended = False

    def leave(self) -> None:
        """Begins our own end: no more messages, GOAWAY, and a deadline."""
        if self._link.farewell is not None:
            self._finish(LinkEnd(self._link.farewell.code, self._link.farewell.message, by_peer=False))
            self._outbox.put_goaway(self._link.farewell)
        self._life.deadline = trio.current_time() + LEAVE_DEADLINE

    async def run(self) -> None:
        with self._life:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._guarded, self._write)
                with self._exchanging:
                    await self._exchange_messages()
                if self._link.farewell is not None:
                    await self._linger()
                nursery.cancel_scope.cancel()
        with trio.move_on_after(_CLOSE_DEADLINE, shield=True):
            # A resource closes even when `aclose` is cancelled; then it does so by force.
            await self._link.stream.aclose()

    async def _exchange_messages(self) -> None:
        async with trio.open_nursery() as nursery:
            for part in (self._exchange.run, self._read, self._feed, self._keep_alive):
                nursery.start_soon(self._guarded, part)

    async def _guarded(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except PeerError as exc:
            self._link.goaway(NONSENSE, str(exc))
        except Exception:
            # The one blanket of the program: a fault met on one link must not end the others.
            log.exception("fault on a link", peer=self._link.peer.node_id, device_id=self._link.peer.device_id)
            self._link.goaway(FAULT, "a fault in the node; its log says more")

    def _finish(self, end: LinkEnd) -> None:
        if not self._has_ended:  # Invariant 3.
            self._has_ended = True
            self.end = end
        self._exchanging.cancel()
        self._link.leaving.set()

    async def _read(self) -> None:
        messages: Sequence[Message] = self._link.early
        while not self._has_ended:
            for message in messages:
                await self._receive(message)
                if self._has_ended:
                    return
            messages = self._link.connection.receive(await self._receive_some())

    async def _receive_some(self) -> bytes | bytearray:
        link = self._link
        self._waiting_since = trio.current_time()
        try:
            received = await link.stream.receive_some()
        except trio.BrokenResourceError as exc:
            self._finish(LinkEnd(CUT, f"the connection was cut: {_reason(exc)}", by_peer=False))
            return b""
        self._waiting_since = link.unanswered_since = None
        link.last_heard = trio.current_time()
        link.received_bytes += len(received)
        if received:
            link.heard.set()
            link.heard = trio.Event()
        else:
            self._finish(LinkEnd(EOF, "the peer closed the connection", by_peer=True))
        return received

    async def _receive(self, message: Message) -> None:
        self._link.received_messages += 1
        match message:
            case Ping():
                self._outbox.put_pong(message)
            case Pong():
                round_trip = self._outbox.round_trip(message, trio.current_time())
                self._link.rtt = self._link.rtt if round_trip is None else round_trip
            case Goaway():
                self._finish(LinkEnd(message.code, message.message, by_peer=True))
            case Hello():
                raise WireError("a second HELLO")
            case _:
                await self._exchange.received(message)

    async def _feed(self) -> None:
        while True:
            batch = await self._exchange.next_batch()
            await self._outbox.put_batch(batch)
            self._link.sent_update_bytes += sum(map(_update_bytes, batch))

    async def _keep_alive(self) -> None:
        """Pings at once, so that the round trip is known early, and then at every interval; notices silence."""
        next_ping = trio.current_time()
        while True:
            if trio.current_time() >= next_ping:
                self._ping()
                next_ping += PING_INTERVAL
            if self._link.doubted.is_set():
                self._link.doubted = trio.Event()
                self._ping()
            with trio.move_on_at(min(next_ping, self._dead_at())):
                await self._link.doubted.wait()
            if trio.current_time() >= self._dead_at():
                self._finish(LinkEnd(SILENCE, f"nothing was heard for {DEAD_AFTER:.0f} s", by_peer=False))

    def _ping(self) -> None:
        self._outbox.put_ping()
        if self._waiting_since is not None and self._link.unanswered_since is None:
            self._link.unanswered_since = trio.current_time()

    def _dead_at(self) -> float:
        """While `received` makes the reader wait, the peer is not silent: we do not listen."""
        return math.inf if self._waiting_since is None else self._waiting_since + DEAD_AFTER

    async def _write(self) -> None:
        link = self._link
        while not self._outbox.is_final:
            frames, count = await self._outbox.take()
            try:
                await link.stream.send_all(frames)
            except trio.BrokenResourceError as exc:
                # Why it broke may wait to be read: a GOAWAY, or a close in order. The reader's word comes first.
                await trio.sleep(_UNREAD_DEADLINE)
                self._finish(LinkEnd(CUT, f"the connection was cut: {_reason(exc)}", by_peer=False))
                return
            link.sent_bytes += len(frames)
            link.sent_messages += count
            self._outbox.was_sent()

    async def _linger(self) -> None:
        """After our GOAWAY, reads until the peer has closed: closing on unread bytes would reset the connection, and
        GOAWAY might be lost with it."""
        try:
            while received := await self._link.stream.receive_some():
                # Both left at once: neither need wait for the other's close.
                if any(isinstance(message, Goaway) for message in self._link.connection.receive(received)):
                    return
        except (trio.BrokenResourceError, WireError):
            return


def _update_bytes(message: Message) -> int:
    match message:
        case Updates():
            return sum(map(len, message.updates))
        case Piece():
            return len(message.part)
        case _:
            return 0


def _reason(exc: trio.BrokenResourceError) -> str:
    return str(exc.__cause__ or exc) or "no reason given"
