"""hypercorn's HTTP/1.1 on trio, made safe against its clients.

Of hypercorn 0.18.0 with quart-trio 0.12. What each part keeps from happening is said at the part; the numbers are those
of the tests in tests/api/test_guard.py. WebSockets and HTTP/2 are not spoken here, and an invitation to either is
answered as if it were none (RFC 9110 §7.8); that alone disposes of most.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import h11
import structlog
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, Scope
from quart_trio import QuartTrio

from peatd.api.errors import error_body
from peatd.api.host_header import with_a_host
from peatd.byte_budget import Holding
from peatd.errors import Unavailable

log = structlog.get_logger("peatd.api")

MAX_HEADER_BYTES = 64 * 1024
"""Of a request line and its headers: a state vector of 5,000 clients fits into `?sv=`."""

HOLDING = "peatd.holding"
"""Where in a connection's ASGI state stands what its request has taken of the memory that all share."""

_BODY_EXPANSION = 32
"""What a body takes for each of its bytes while it is answered: measured, of lists of empty lists, read by msgspec."""
_MOST_BODY_BYTES = 1024 * 1024
"""What is taken for a body that does not say how long it is. A longer one is refused before it is read (app.py)."""

_PROBES = frozenset(
    prefix + path
    for prefix in (b"", b"/api/v1")
    for path in (b"/health", b"/livez", b"/ready", b"/readyz", b"/metrics")
)
"""What is asked by those who end, or page somebody for, a node that does not answer."""

_REASONS = {
    431: ("headers_too_large", "the request's line and headers are longer than 64 KiB", "send less in them"),
    500: ("internal", "the request failed inside the daemon", "its log says why, with a traceback"),
    503: ("unavailable", "too much is asked at once for this node's memory", "wait a second, or ask another node"),
    501: ("not_implemented", "the transfer coding is not known", "send Content-Length, or Transfer-Encoding: chunked"),
}
_NOT_HTTP = ("bad_request", "this is not a request that HTTP/1.1 allows", "RFC 9112 has the grammar")

_Sendable = h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage


class HypercornLog:
    """What hypercorn has to say, in our log. It needs no more of a logger than this."""

    def __init__(self, config: Config) -> None:
        pass

    async def access(self, *_: object) -> None:
        """Nothing: the app itself logs what it answered."""

    async def exception(self, message: str, *_: object, **__: object) -> None:
        log.exception("api.request_failed", message=message)


class GuardedApp:
    """The app as hypercorn calls it.

    quart-trio cancels the task that sends as soon as it hears of the disconnect. After the final chunk hypercorn tells
    of one, in that same task, before it closes or recycles the connection: which then never happens (fault 5). So the
    app does not hear of what comes after its own last word.
    """

    def __init__(self, app: QuartTrio) -> None:
        self._app = app

    async def __call__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[ASGIReceiveEvent]],
        send: Callable[[ASGISendEvent], Awaitable[None]],
        sync_spawn: Callable[..., Any],  # noqa: ARG002  # of hypercorn's interface
        call_soon: Callable[..., Any],  # noqa: ARG002
    ) -> None:
        has_ended = False

        async def send_noting_the_end(message: ASGISendEvent) -> None:
            nonlocal has_ended
            if message["type"] == "http.response.body":
                has_ended = not message.get("more_body", False)
                if not has_ended:
                    # To a client that is gone hypercorn sends nothing, and does so without a checkpoint: an app that
                    # streams would freeze the loop (fault 4).
                    await trio.lowlevel.checkpoint()
            await send(message)

        async def receive_until_the_end() -> ASGIReceiveEvent:
            message = await receive()
            if has_ended and message["type"] == "http.disconnect":
                await trio.sleep_forever()  # until quart-trio, done with sending, cancels this
            return message

        await self._app(with_a_host(scope), receive_until_the_end, send_noting_the_end)


class GuardedRequest(HTTPStream):
    """One request. What fails beneath the app is answered in the API's shape, too."""

    async def _send_error_response(self, status_code: int) -> None:
        headers, body = _error(status_code)
        await self.send(Response(stream_id=self.stream_id, headers=headers, status_code=status_code))
        await self.send(Body(stream_id=self.stream_id, data=body))
        await self.send(EndBody(stream_id=self.stream_id))
        self.state = ASGIHTTPState.CLOSED


class GuardedProtocol(H11Protocol):
    """One connection's HTTP/1.1.

    A WebSocket's upgrade with a byte behind it makes hypercorn raise out of its server (fault 1); a reader that waits
    for its turn, when the connection ends, waits for ever. Hence a loop of our own over h11's events.
    """

    holding: Holding
    is_crowded: Callable[[], bool]
    is_over = False
    _is_deaf = False
    _has_refused = False
    _unsent = b""

    @property
    def has_whole_request(self) -> bool:
        """Whether a request has been read to its end and is being answered."""
        return self.stream is not None and self.connection.their_state is not h11.SEND_BODY

    @property
    def may_be_sent_more(self) -> bool:
        """Whether the client may still be sending what we have stopped reading."""
        return self.connection.their_state in (h11.SEND_BODY, h11.ERROR) or bool(self.connection.trailing_data[0])

    async def handle(self, event: Event) -> None:
        if isinstance(event, Closed):
            self.is_over = True
            await self.can_read.set()
        elif self.is_over or self._is_deaf:
            return  # h11 would store it (fault 3)
        await super().handle(event)

    async def stream_send(self, event: StreamEvent) -> None:
        if self._has_refused:
            return  # the app's answer comes too late, and its end is not the connection's
        if isinstance(event, Response) and self.connection.their_state is h11.SEND_BODY:
            # It is answered before its body has come: hypercorn then closes, and does not say so (RFC 9112 §9.6).
            event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)

    async def _send_h11_event(self, event: _Sendable) -> None:
        """An answer whose length is known leaves as one piece: one system call here, one wake-up of the client."""
        try:
            self._unsent += self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
        if self._unsent and not _has_body_behind(event):
            octets, self._unsent = self._unsent, b""
            await self.send(RawData(data=octets))

    async def _handle_events(self) -> None:
        while not self.is_over:
            is_answering = self.has_whole_request
            if self.connection.they_are_waiting_for_100_continue:
                await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                event = self.connection.next_event()
                if isinstance(event, h11.Request):
                    _refuse_what_is_ambiguous(event)
            except h11.RemoteProtocolError as exc:
                if is_answering:  # what stands behind the last request must not take away its answer
                    self._is_deaf = True
                else:
                    await self._refuse(exc.error_status_hint)
                return
            if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return
            await self._handle_event(event)

    async def _handle_event(self, event: object) -> None:
        if event is h11.PAUSED:  # a pipelined request: its turn comes when the one before it is answered
            await self.can_read.clear()
            await self.can_read.wait()
        elif isinstance(event, h11.Request):
            await self.send(Updated(idle=False))
            if await self._has_place(event):
                await self._create_stream(event)
            else:
                await self._refuse(503)
        elif self.stream is None:  # it was answered before its body had come: the connection is closing
            self.is_over = True
        elif isinstance(event, h11.Data):
            await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
        elif isinstance(event, h11.EndOfMessage):
            await self.stream.handle(EndBody(stream_id=STREAM_ID))

    async def _has_place(self, request: h11.Request) -> bool:
        """Whether there is a place for its connection, and memory for its body. For probes there always is: a node that
        has much to do must not be ended for it."""
        size_bytes = _body_bytes(request)
        if not size_bytes and request.target.partition(b"?")[0] in _PROBES:
            return True
        if self.is_crowded():
            return False
        try:
            await self.holding.take(_BODY_EXPANSION * size_bytes)
        except Unavailable:
            return False
        return True

    async def _create_stream(self, request: h11.Request) -> None:
        self.stream = GuardedRequest(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode("ascii"),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1

    async def _refuse(self, status_code: int) -> None:
        self._is_deaf = True
        if self.connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._has_refused = True
            headers, body = _error(status_code)
            response = h11.Response(status_code=status_code, headers=headers)
            # As one piece: the app, which knows of no refusal yet, may have events of its own between the three.
            pieces = [self.connection.send(event) for event in (response, h11.Data(data=body), h11.EndOfMessage())]
            await self.send(RawData(data=b"".join(piece or b"" for piece in pieces)))
        await self.send(Closed())


def _has_body_behind(event: _Sendable) -> bool:
    """Whether it is the head of an answer that is there in full, and not a stream's."""
    return isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers)


def _body_bytes(request: h11.Request) -> int:
    """How long its body will be at most."""
    for name, value in request.headers:
        if name == b"content-length":
            return min(int(value), _MOST_BODY_BYTES)
    return _MOST_BODY_BYTES if any(name == b"transfer-encoding" for name, _ in request.headers) else 0


def _refuse_what_is_ambiguous(request: h11.Request) -> None:
    """Refuses what two servers in a row could understand in two ways.

    Raises:
        h11.RemoteProtocolError
    """
    names = {name for name, _ in request.headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise h11.RemoteProtocolError("both lengths: RFC 9112 §6.1 calls it smuggling")
    if not request.target.startswith(b"/") or request.http_version not in (b"1.0", b"1.1"):
        raise h11.RemoteProtocolError("a proxy's request, or HTTP/2")


def _error(status_code: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of an answer after which the connection is closed."""
    body = error_body(*_REASONS.get(status_code, _NOT_HTTP))
    headers = [
        *([(b"retry-after", b"1")] if status_code == HTTPStatus.SERVICE_UNAVAILABLE else ()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"connection", b"close"),
    ]
    return headers, body
