"""One client's connection to the API, from its acceptance to its end."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from peatd.api.access import ENTRANCE, Entrance
from peatd.api.guard import HOLDING, GuardedProtocol
from peatd.api.stream import BoundedStream
from peatd.byte_budget import Holding

log = structlog.get_logger("peatd.api")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one listener and its connections. Times in seconds.

    Attributes:
        connections: open at once. Each costs a file descriptor and, idle, 17 KB.
        probe_places: beyond these, for probes alone: any other request there is told to come again.
        idle: from opening, or from the last answer, to the end of the next request's headers; slow headers end here.
        send: for the client to take 64 KiB of an answer.
        half_closed: for an answer to a client that has closed its own side already, as `nc -N` does.
        grace: for requests in flight to be answered once the server stops.
    """

    connections: int = 256
    probe_places: int = 32
    idle: float = 15.0
    send: float = 10.0
    half_closed: float = 5.0
    grace: float = 1.0


class Connection(TCPServer):
    """hypercorn's connection on our stream and with our protocol.

    Whatever a client makes hypercorn raise ends this connection and nothing else.
    """

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        limits: Limits,
        entrance: Entrance,
        holding: Holding,
        is_crowded: Callable[[], bool],
        stream: trio.SocketStream,
    ) -> None:
        self._bounded = BoundedStream(stream, limits.send)
        state = cast(LifespanState, {ENTRANCE: entrance, HOLDING: holding})
        super().__init__(app, config, context, state, self._bounded)  # type: ignore[arg-type]  # it reads and sends, closes, and has a socket
        self._limits = limits
        self._holding = holding
        self._is_crowded = is_crowded
        self._scope = trio.CancelScope(shield=True)
        # A deadline that moves, in place of hypercorn's task for each time that a connection is idle.
        self._reading = trio.CancelScope(deadline=trio.current_time() + limits.idle)
        self._answered = trio.Event()
        self.idle_since: float | None = trio.current_time()
        """When it began to wait for a request; None while one is being answered."""

    async def converse(self) -> None:
        """Runs until the connection has ended. Cancelling from outside does not reach it: see `abort`."""
        try:
            with self._scope:
                await self.run()
        except Exception:
            # hypercorn's parsing and quart's answering of what a stranger sent. It must not end the daemon (fault 1).
            log.exception("api.connection_failed")
        finally:
            self._bounded.abort()
            self._holding.release()

    def abort(self) -> None:
        """Ends it now, whatever it is doing."""
        self._bounded.abort()  # hypercorn shields its sends: this reaches them
        self._scope.cancel()

    def stop_waiting(self) -> None:
        """Ends it if it waits for a request."""
        if self.idle_since is not None:
            self._reading.cancel()

    async def run(self) -> None:
        """`TCPServer.run` without TLS, HTTP/2 and WebSockets; and at its end no task is left waiting."""
        try:
            family = self._bounded.socket.family
            client = parse_socket_addr(family, self._bounded.socket.getpeername())
            server = parse_socket_addr(family, self._bounded.socket.getsockname())
        except OSError:
            return  # gone already
        try:
            may_be_sent_more = await self._speak(client, server)
        finally:
            # They have our methods, we have them: what was read would wait for the collector, which counts objects and
            # not bytes. Measured: 25 MiB of a busy minute.
            del self._http, self.protocol
            self._holding.release()  # before the rest is read away: strangers would keep all others waiting meanwhile
        self.idle_since = trio.current_time()  # nobody waits for anything more: it may make room
        await self._bounded.finish(linger=may_be_sent_more)

    async def _speak(self, client: tuple[str, int] | None, server: tuple[str, int] | None) -> bool:
        """Until nothing more will be said; whether the client may still be sending."""
        async with TaskGroup() as self._task_group:
            self._http = GuardedProtocol(
                self.app,
                self.config,
                self.context,
                self._task_group,
                ConnectionState(self.state),
                False,
                client,
                server,
                self.protocol_send,
            )
            self._http.holding, self._http.is_crowded = self._holding, self._is_crowded
            self.protocol = self._http  # type: ignore[assignment]  # in place of the wrapper that also speaks HTTP/2
            with self._reading:
                await self._read()
            await self.protocol.handle(Closed())
        await self._close()
        return self._http.may_be_sent_more

    async def protocol_send(self, event: Event) -> None:
        match event:
            case Updated() if self._http.is_over:
                pass  # it would wait for another request on a connection that has ended
            case Updated(idle=True):
                self._holding.release()
                self.idle_since = trio.current_time()
                self._reading.deadline = self.idle_since + self._limits.idle
                self._answered.set()
            case Updated():
                self.idle_since = None
                self._reading.deadline = math.inf
                self._answered = trio.Event()
            case _:
                if isinstance(event, Closed):
                    self._answered.set()
                await super().protocol_send(event)

    async def _read(self) -> None:
        while True:
            try:
                octets = await self._bounded.receive_some(MAX_RECV)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                break
            if not octets and self._http.has_whole_request:
                # hypercorn takes the end of the requests for the end of the connection, and would not answer.
                with trio.move_on_after(self._limits.half_closed):
                    await self._answered.wait()
            await self.protocol.handle(RawData(bytes(octets)))
            if not octets:
                break
