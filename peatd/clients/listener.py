"""The port for Yjs clients: accepts, bounds, and stops in time.

Quart and hypercorn are not involved: they deliver 15,000 messages a second where this delivers ten times as many, and
inflate what a client has compressed before they look at its size.
"""

import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

import trio

from peatd.clients import closes
from peatd.clients.door import ALL_RIGHTS, Door, Rights
from peatd.clients.halves import BUDGET_BYTES, Halves
from peatd.clients.handshake import DEADLINE, Arrival, shake_hands
from peatd.clients.line import Line
from peatd.clients.many import Many
from peatd.clients.request import Refused, Visit
from peatd.clients.rooms import Rooms
from peatd.clients.session import Dialect, Session
from peatd.clients.y_websocket import YWebsocket
from peatd.drain import Drain
from peatd.errors import Unavailable
from peatd.limits import Limit, LimitHits
from peatd.names import Address
from peatd.transport.accepting import accept
from peatd.transport.anteroom import Anteroom
from peatd.transport.binding import bind_sockets, peer_address

MAX_CLIENTS = 10_000
"""Connections, unless there is memory for less: 40 KB each."""
MAX_HANDSHAKES = 256
"""Of them in their handshake, and as many that have not begun it. Who comes takes the place of who has been at it for
longest, when there is no other: an honest one is through in milliseconds."""
_OTHERS_FILES = 800
"""File descriptors that clients leave to the rest of the node: 512 connections to the API, 64 handshakes of the mesh,
as many links and more, the store, the engine."""
_CLOSED = Refused(HTTPStatus.SERVICE_UNAVAILABLE, "this node stops: connect to another")
_TICK = 1.0


def room_for_clients(open_files: int) -> int:
    """How many there is a place for in a process that may open so many files. They take none of what the others need,
    and where there is little, at least a quarter."""
    return min(MAX_CLIENTS, max(open_files - _OTHERS_FILES, open_files // 4))


async def serve_clients(
    bind: Address,
    reception: "Reception",
    door: Callable[[str], Door],
    *,
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until cancelled; reports the bound addresses once clients can come.

    Args:
        door: the rules of a listener that is bound to this host.

    Raises:
        ConfigError: if the address cannot be bound.
    """
    listeners = await bind_sockets(bind, "--clients")
    async with trio.open_nursery() as nursery:
        addresses = [peer_address(listener.socket.getsockname()) for listener in listeners]
        nursery.start_soon(reception.run)
        for listener, address in zip(listeners, addresses, strict=True):
            nursery.start_soon(_accept, listener, reception, door(address.host))
        task_status.started(addresses)


async def _accept(listener: trio.SocketListener, reception: "Reception", door: Door) -> None:
    anteroom = Anteroom(MAX_HANDSHAKES, DEADLINE, reception.made_room)
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(anteroom.run, lambda stream: nursery.start_soon(reception.receive, stream, door))
        while True:
            anteroom.enter(await accept(listener, reception.hits))


class Reception:
    """All connections of clients.

    Args:
        messages_bytes: that all messages which are not whole yet may take together.

    Attributes:
        turned_away: connections for which there was no place.
        refused: handshakes that were answered with a status.
    """

    def __init__(
        self,
        rooms: Rooms,
        drain: Drain,
        *,
        max_clients: int = MAX_CLIENTS,
        messages_bytes: int = BUDGET_BYTES,
        hits: LimitHits | None = None,
    ) -> None:
        self.hits = hits or LimitHits()
        self._max_clients = max_clients
        self.turned_away = 0
        self.refused = 0
        self.rooms = rooms
        self._drain = drain
        self._handshakes: dict[trio.CancelScope, None] = {}
        self._sessions: set[Session] = set()
        self._halves = Halves(messages_bytes, self.hits)

    @property
    def clients(self) -> int:
        """Connections that are up."""
        return len(self._sessions)

    async def run(self) -> None:
        """What is done for all beside serving each, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.rooms.run)
            nursery.start_soon(self._tick)
            nursery.start_soon(self._see_off)

    async def receive(self, stream: trio.SocketStream, door: Door) -> None:
        """Serves one connection until it has ended."""
        if len(self._sessions) >= self._max_clients:
            self.hits.hit(Limit.CLIENTS, f"{self._max_clients} are connected: others are turned away")
            self.turned_away += 1
            stream.socket.close()
            return
        if len(self._handshakes) >= MAX_HANDSHAKES:
            self.made_room()
            self._end_handshake(next(iter(self._handshakes)))
        arrival = None
        with trio.CancelScope() as scope:
            self._handshakes[scope] = None
            try:
                arrival = await shake_hands(stream, partial(self._judge, door))
            finally:
                self._handshakes.pop(scope, None)
                if arrival is None:
                    stream.socket.close()
        if arrival is None:
            return
        session = Session(stream, Line(stream.socket.fileno()), _address(stream), self._halves)
        self._sessions.add(session)
        try:
            with self._drain.admit():
                await session.run(self._dialect(session, arrival, door), arrival.early)
        except Unavailable:  # it is closing, since the client was let in
            await trio.aclose_forcefully(stream)
        finally:
            self._sessions.discard(session)

    def made_room(self) -> None:
        """Counts one that had not been let in, and has to go."""
        self.hits.hit(Limit.CLIENT_HANDSHAKES, f"{MAX_HANDSHAKES} are in progress: the oldest makes room")
        self.turned_away += 1

    def _end_handshake(self, scope: trio.CancelScope) -> None:
        scope.cancel()
        del self._handshakes[scope]

    def _judge(self, door: Door, visit: Visit) -> Rights:
        try:
            if self._drain.closing.is_set():
                raise _CLOSED
            door.greet(visit)
            # A Hocuspocus client shows a token with each document that it asks for.
            return ALL_RIGHTS if visit.name is None else door.admit(visit, visit.token, visit.name, time.time())
        except Refused:
            self.refused += 1
            raise

    def _dialect(self, session: Session, arrival: Arrival, door: Door) -> Dialect:
        visit = arrival.visit
        if visit.name is None:
            return Many(session, self.rooms, door, visit)
        return YWebsocket(session, self.rooms, visit.name, arrival.rights)

    async def _see_off(self) -> None:
        """Sends all clients to other nodes when this one stops."""
        await self._drain.closing.wait()
        for session in self._sessions:
            session.close(*closes.GOING_AWAY)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(_TICK)
            now = trio.current_time()
            self.rooms.awareness.expire(now)
            self._halves.tick(now)
            self.rooms.shelf.tick(now)
            for session in list(self._sessions):
                session.tick(now, time.time())


def _address(stream: trio.SocketStream) -> str:
    try:
        return str(peer_address(stream.socket.getpeername()))
    except OSError:  # it has gone already
        return "that has gone"
