"""The receiving side: bound sockets, a bounded number of handshakes, and a task for each link.

listen
└─ _accept, per socket
   └─ _admit, per connection   handshake, then `on_link` with the link
"""

from collections.abc import Awaitable, Callable

import structlog
import trio

from peatd.errors import HandshakeError
from peatd.limits import Limit, LimitHits
from peatd.names import Address
from peatd.transport.accepting import accept
from peatd.transport.admission import PATIENCE, Admission, Attempt, Repetitions
from peatd.transport.binding import bind_sockets, peer_address
from peatd.transport.establish import DECLINED, receive
from peatd.transport.link import Link
from peatd.transport.tls import Credentials
from peatd.wire.messages import Hello

log = structlog.get_logger()


async def listen(
    bind: Address,
    present: Callable[[], tuple[Credentials, Hello]],
    on_link: Callable[[Link], Awaitable[None]],
    *,
    hits: LimitHits | None = None,
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listens until cancelled; reports the bound addresses once connections can come. Failed handshakes are logged.

    Args:
        present: what we show; asked for each connection, as both change when the formation secret is rotated.
        on_link: runs in the link's own task, which is cancelled with the listener.

    Raises:
        ConfigError: if the address cannot be bound.
    """
    door = _Door(present, on_link, hits or LimitHits())
    listeners = await bind_sockets(bind)
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(_accept, listener, door, nursery)
        task_status.started([peer_address(listener.socket.getsockname()) for listener in listeners])


async def _accept(listener: trio.SocketListener, door: "_Door", nursery: trio.Nursery) -> None:
    async with listener:
        while True:
            stream = await accept(listener, door.hits)
            if attempt := door.attempt(stream):
                nursery.start_soon(door.admit, stream, *attempt)
            else:
                stream.socket.close()  # without a task: those who come by the thousands would pay for one with our time


class _Door:
    """What the connections of one `listen` share."""

    def __init__(
        self,
        present: Callable[[], tuple[Credentials, Hello]],
        on_link: Callable[[Link], Awaitable[None]],
        hits: LimitHits,
    ) -> None:
        self.hits = hits
        self._present = present
        self._on_link = on_link
        self._admission = Admission()
        self._repetitions = Repetitions()

    def attempt(self, stream: trio.SocketStream) -> tuple[Address, Attempt, trio.CancelScope] | None:
        """What `admit` is to be called with; None if there is no place."""
        try:
            address = peer_address(stream.socket.getpeername())
        except OSError:
            return None  # it is gone already
        scope = trio.CancelScope()
        attempt = Attempt(address.host, trio.current_time(), scope.cancel)
        if not self._admission.admit(attempt):
            self.hits.hit(Limit.MESH_HANDSHAKES, f"too many at once, the last from {address.host}: turned away")
            return None
        return address, attempt, scope

    async def admit(
        self, stream: trio.SocketStream, address: Address, attempt: Attempt, scope: trio.CancelScope
    ) -> None:
        link = await self._handshake(stream, address, attempt, scope)
        if link is None:
            return
        try:
            await self._on_link(link)
        finally:
            # For an `on_link` that was cancelled before it conversed.
            await trio.aclose_forcefully(link.stream)

    async def _handshake(
        self, stream: trio.SocketStream, address: Address, attempt: Attempt, scope: trio.CancelScope
    ) -> Link | None:
        link = None
        try:
            with scope:
                link = await receive(stream, *self._present(), address)
        except HandshakeError as exc:
            if exc.code != DECLINED:
                self._complain(address.host, exc.code, str(exc))
        finally:
            self._admission.release(attempt)
        if scope.cancelled_caught:
            self._complain(address.host, "slow", f"not done in {PATIENCE:.0f} s, it made room for a newer connection")
        return link

    def _complain(self, host: str, code: str, reason: str) -> None:
        unsaid = self._repetitions.count(host, code, trio.current_time())
        if unsaid is not None:
            log.warning("handshake failed", host=host, code=code, reason=reason, repeated=unsaid)
