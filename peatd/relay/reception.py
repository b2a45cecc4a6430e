"""At the relay: its port. One for all: plain TCP, WebSocket, and WebSocket over TLS are told apart by the first bytes.

serve_relay
└─ _accept, per socket
   └─ Reception.receive, per connection   hears the request, then does what was asked
"""

import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import structlog
import trio

from peatd.errors import RelayError, WireError
from peatd.limits import Limit, LimitHits
from peatd.names import Address
from peatd.relay.asking import Begun
from peatd.relay.control import attend
from peatd.relay.gate import Caller, Gate
from peatd.relay.protocol import (
    ACCEPT,
    DIAL,
    MAX_FRAME_BYTES,
    NONCE_BYTES,
    OPENING,
    REGISTER,
    Challenge,
    Frames,
    Op,
    Request,
    frame,
)
from peatd.relay.switchboard import Seat, Switchboard, replaced, say_refused
from peatd.transport.accepting import accept
from peatd.transport.admission import Admission, Attempt, Repetitions
from peatd.transport.binding import bind_sockets, peer_address
from peatd.transport.tls_stream import TlsStream

log = structlog.get_logger()

HEAR_DEADLINE = 10.0
"""Seconds for TLS, WebSocket and the request."""
_CLOSE_DEADLINE = 1.0
_FIRST_BYTES = 4096
_TLS_RECORD, _GET = b"\x16", b"G"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A connection that has asked for something, and may."""

    caller: Caller
    request: Request
    stream: trio.abc.HalfCloseableStream


async def serve_relay(
    bind: Address,
    reception: "Reception",
    *,
    flag: str = "--relay-listen",
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until cancelled; reports the bound addresses once nodes can come.

    Raises:
        ConfigError: if the address cannot be bound.
    """
    listeners = await bind_sockets(bind, flag)
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(_accept, listener, reception, nursery)
        task_status.started([peer_address(listener.socket.getsockname()) for listener in listeners])


async def _accept(listener: trio.SocketListener, reception: "Reception", nursery: trio.Nursery) -> None:
    async with listener:
        while True:
            nursery.start_soon(reception.receive, await accept(listener, reception.hits))


class Reception:
    """All connections to a relay.

    Args:
        context: gives the certificate of the moment; None where HTTPS is not spoken.

    Attributes:
        requests: how many were granted, by what was asked.
        refusals: how many were not, by the code of the reason.
    """

    def __init__(
        self,
        gate: Gate,
        switchboard: Switchboard,
        hits: LimitHits,
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.hits = hits
        self.switchboard = switchboard
        self.requests: dict[Op, int] = {REGISTER: 0, DIAL: 0, ACCEPT: 0}
        self.refusals: dict[str, int] = {}
        self._gate = gate
        self._context = context
        self._admission = Admission()
        self._repetitions = Repetitions()

    async def receive(self, stream: trio.SocketStream) -> None:
        """Serves one connection until it has ended."""
        try:
            host = peer_address(stream.socket.getpeername()).host
            local = peer_address(stream.socket.getsockname()).host
        except OSError:  # it is gone already
            await trio.aclose_forcefully(stream)
            return
        asked = await self._admitted(stream, host, local)
        try:
            if asked is not None:
                await self._do(asked, host)
        finally:
            await trio.aclose_forcefully(stream)

    async def _admitted(self, stream: trio.SocketStream, host: str, local: str) -> _Asked | None:
        scope = trio.CancelScope()
        attempt = Attempt(host, trio.current_time(), scope.cancel)
        if not self._admission.admit(attempt):
            self.hits.hit(Limit.RELAY_HANDSHAKES, f"too many at once, the last from {host}: turned away")
            return None
        try:
            with scope, trio.move_on_after(HEAR_DEADLINE):
                return await self._hear(stream, host, local)
        except (trio.BrokenResourceError, WireError) as exc:
            self._complain(host, "nonsense", str(exc.__cause__ or exc))
        finally:
            self._admission.release(attempt)
        return None

    async def _hear(self, socket_stream: trio.SocketStream, host: str, local: str) -> _Asked | None:
        stream = await self._opened(socket_stream)
        if stream is None:
            return None
        nonce, frames = secrets.token_bytes(NONCE_BYTES), Frames()
        await stream.send_all(frame(Challenge(nonce)))
        while (message := frames.next()) is None:
            received = await stream.receive_some(MAX_FRAME_BYTES)
            if not received:
                return None
            frames.receive(bytes(received))
        if not isinstance(message, Request):
            raise WireError(f"it began with {type(message).__name__}")
        try:
            caller = self._gate.check(message, nonce, local)
        except RelayError as exc:
            await self._refuse(stream, exc)
            self._complain(host, exc.code, str(exc))
            return None
        rest = frames.rest()
        return _Asked(caller, message, Begun(stream, rest) if rest else stream)

    async def _opened(self, stream: trio.SocketStream) -> trio.abc.HalfCloseableStream | None:
        """The stream on which requests are made; None if nothing of the kind has come."""
        first = bytes(await stream.receive_some(_FIRST_BYTES))
        if first.startswith(_TLS_RECORD) and self._context is not None:
            tls = TlsStream(Begun(stream, first), self._context(), server_side=True)
            await tls.handshake()
            return await _upgraded(tls, await tls.receive_some(_FIRST_BYTES))
        if first.startswith(_GET):
            return await _upgraded(stream, first)
        while len(first) < len(OPENING) and OPENING.startswith(first):
            more = bytes(await stream.receive_some(len(OPENING) - len(first)))
            if not more:
                return None
            first += more
        if not first.startswith(OPENING):
            raise WireError("it does not speak as a relay's nodes do")
        rest = first[len(OPENING) :]
        return Begun(stream, rest) if rest else stream

    async def _do(self, asked: _Asked, host: str) -> None:
        request, caller, stream = asked.request, asked.caller, asked.stream
        self.requests[request.op] += 1
        try:
            match request.op:
                case "register":
                    await self._attend(self.switchboard.register(caller), stream, host)
                case "dial":
                    await self.switchboard.dial(caller, request.target, stream)
                case "accept":
                    await self.switchboard.accept(caller, request.target, stream)
        except RelayError as exc:
            await self._refuse(stream, exc)
            return
        with trio.move_on_after(_CLOSE_DEADLINE):
            await stream.aclose()

    async def _attend(self, seat: Seat, stream: trio.abc.HalfCloseableStream, host: str) -> None:
        log.info("node registered at this relay", device_id=seat.caller.device_id, host=host)
        try:
            with seat.scope:
                await attend(seat, stream)
        finally:
            self.switchboard.leave(seat)
            log.info("node left this relay", device_id=seat.caller.device_id, host=host)
        if seat.is_replaced:
            raise replaced()

    async def _refuse(self, stream: trio.abc.Stream, error: RelayError) -> None:
        self.refusals[error.code] = self.refusals.get(error.code, 0) + 1
        await say_refused(stream, error)
        with trio.move_on_after(_CLOSE_DEADLINE):
            await stream.aclose()

    def _complain(self, host: str, code: str, reason: str) -> None:
        unsaid = self._repetitions.count(host, code, trio.current_time())
        if unsaid is not None:
            log.warning("relay request refused", host=host, code=code, reason=reason, repeated=unsaid)


async def _upgraded(stream: trio.abc.Stream, first: bytes) -> trio.abc.HalfCloseableStream | None:
    from peatd.relay.upgrade import answer_websocket  # 2 MB, for those only who use it

    return await answer_websocket(stream, first)
