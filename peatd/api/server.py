"""Serves the API on its sockets: accepts, bounds, and stops in time.

Ours: the sockets, the accept loop, the deadlines and the end. hypercorn's: what happens on one connection.
"""

from contextlib import ExitStack
from pathlib import Path

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper
from quart_trio import QuartTrio

from peatd.api.connection import Connection, Limits
from peatd.api.guard import MAX_HEADER_BYTES, GuardedApp, HypercornLog
from peatd.api.sockets import Bound, Door, open_doors
from peatd.byte_budget import ByteBudget, Holding
from peatd.limits import Limit, LimitHits
from peatd.memory import MOST_BYTES, share_out
from peatd.names import Address
from peatd.transport.accepting import accept
from peatd.transport.anteroom import Anteroom

DEFAULT_LIMITS = Limits()


async def serve(
    app: QuartTrio,
    *,
    tcp: Address | None,
    unix: Path | None,
    limits: Limits = DEFAULT_LIMITS,
    hits: LimitHits | None = None,
    memory: ByteBudget | None = None,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until cancelled; `started()` tells where, once every socket listens.

    Cancelled, it closes its sockets at once, lets what is in flight be answered for `limits.grace`, and aborts the
    rest.

    Args:
        tcp: port 0 takes a free one; None is off.
        unix: the socket's path, of any length; None is off.
        memory: what requests may take while they are answered.

    Raises:
        ConfigError: if an address cannot be had, or a live daemon has the unix socket.
    """
    hits = hits or LimitHits()
    memory = memory or ByteBudget(share_out(MOST_BYTES, 1).requests, Limit.REQUEST_MEMORY, hits)
    config, context = _hypercorn_config(), WorkerContext(max_requests=None)
    with ExitStack() as sockets:
        doors, bound = await open_doors(sockets, tcp, unix)
        async with trio.open_nursery() as nursery:
            lobbies = [_Lobby(GuardedApp(app), config, context, limits, door, hits, memory, nursery) for door in doors]
            try:
                async with trio.open_nursery() as accepting:
                    for lobby in lobbies:
                        accepting.start_soon(lobby.receive)
                    task_status.started(bound)
            finally:
                sockets.close()
                await context.terminated.set()  # no connection is kept for another request
                for connection in [one for lobby in lobbies for one in lobby.open]:
                    connection.stop_waiting()
                await _see_off(lobbies, limits.grace)


class _Lobby:
    """The connections that came in by one door.

    Invariants:
        1. There are never more than `limits.connections`, and of those that are probed `limits.probe_places`; and as
           many that have said nothing yet.
        2. An idle connection makes room for a new one: whoever holds many open in silence keeps no probe out.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        limits: Limits,
        door: Door,
        hits: LimitHits,
        memory: ByteBudget,
        nursery: trio.Nursery,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._limits = limits
        self._door = door
        self._hits = hits
        self._memory = memory
        self._nursery = nursery
        self.open: set[Connection] = set()
        self.emptied = trio.Event()

    async def receive(self) -> None:
        """Accepts for ever."""
        anteroom = Anteroom(self._limits.connections, self._limits.idle, self._hit)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anteroom.run, self._enter)
            while True:
                anteroom.enter(await accept(self._door.listener, self._hits))

    def _enter(self, stream: trio.SocketStream) -> None:
        """It has spoken."""
        if self._has_room():
            self._nursery.start_soon(self._converse, self._connection(stream))
        else:
            stream.socket.close()

    def _connection(self, stream: trio.SocketStream) -> Connection:
        entrance, holding = self._door.entrance, Holding(self._memory)
        connection = Connection(
            self._app, self._config, self._context, self._limits, entrance, holding, self._is_crowded, stream
        )
        self.open.add(connection)
        return connection

    async def _converse(self, connection: Connection) -> None:
        try:
            await connection.converse()
        finally:
            self.open.discard(connection)
            if not self.open:
                self.emptied.set()

    def _is_crowded(self) -> bool:
        return len(self.open) > self._limits.connections

    def _hit(self) -> None:
        most = self._limits.connections
        self._hits.hit(Limit.API_CONNECTIONS, f"{most} are open: idle ones make room, busy ones do not")

    def _has_room(self) -> bool:
        if len(self.open) < self._limits.connections:
            return True
        self._hit()
        idle = [(since, connection) for connection in self.open if (since := connection.idle_since) is not None]
        if not idle:
            return len(self.open) < self._limits.connections + self._limits.probe_places
        _, longest = min(idle, key=lambda one: one[0])
        longest.abort()
        self.open.discard(longest)  # Invariant 1: it is as good as gone
        return True


async def _see_off(lobbies: list[_Lobby], grace: float) -> None:
    """Waits for what is in flight, then ends what is left."""
    with trio.CancelScope(shield=True), trio.move_on_after(grace):
        for lobby in lobbies:
            while lobby.open:
                lobby.emptied = trio.Event()
                await lobby.emptied.wait()
    for lobby in lobbies:
        for connection in lobby.open:
            connection.abort()


def _hypercorn_config() -> Config:
    config = Config()
    config.h11_max_incomplete_size = MAX_HEADER_BYTES
    config.include_server_header = False
    config.logger_class = HypercornLog  # type: ignore[assignment]  # it has the two methods that our part calls
    return config
