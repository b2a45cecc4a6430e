"""The WebSocket handshake (RFC 6455 §4), either end of it.

This and `websocket.py` bring a library that takes 2 MB: whoever needs them loads them when a relay is reached by HTTP.
"""

import re

from websockets.client import ClientProtocol
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from peatd.errors import WireError
from peatd.relay.protocol import SUBPROTOCOL
from peatd.relay.websocket import MAX_SIZES, Carrier, WebSocketStream
from peatd.relay_url import HTTPS, RelayUrl

_READ_BYTES = 4096
_STATUS_LINE, _STATUS_LINE_BYTES = re.compile(rb"HTTP/1\.[01] (?!101)([0-9]{3})"), 12
"""Of all answers but 101 (RFC 9112, 4), up to its code."""
_REQUEST_BYTES = 16 * 1024
"""A request has 300; proxies add what they know of the client."""
_SPOKEN = (Subprotocol(SUBPROTOCOL),)


async def ask_for_websocket(carrier: Carrier, url: RelayUrl) -> WebSocketStream:
    """
    Raises:
        WireError: if what answers is no relay.
        trio.BrokenResourceError: if the connection is cut.
    """
    uri = WebSocketURI(url.scheme == HTTPS, url.address.host, url.address.port, url.path, query="")
    protocol = ClientProtocol(uri, subprotocols=_SPOKEN, max_size=MAX_SIZES)
    protocol.send_request(protocol.connect())
    await carrier.send_all(b"".join(protocol.data_to_send()))
    head = b""
    while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
        if received := await carrier.receive_some(_READ_BYTES):
            head = (head + received)[:_STATUS_LINE_BYTES]
            _check_status(head)
            protocol.receive_data(received)
        else:
            protocol.receive_eof()
    if protocol.handshake_exc is not None:
        raise WireError("it does not answer as a relay") from protocol.handshake_exc
    if protocol.subprotocol is None:
        raise WireError("a WebSocket that is no relay's")
    return WebSocketStream(carrier, protocol)


def _check_status(head: bytes) -> None:
    """The library would read the whole answer first, which may have no end.

    Raises:
        WireError: if it is HTTP's, and not to switch protocols.
    """
    if status := _STATUS_LINE.match(head):
        raise WireError(f"it answers {status[1].decode()}, so no relay is there")


async def answer_websocket(carrier: Carrier, received: bytes | bytearray) -> WebSocketStream | None:
    """None, and answered, if it was none of ours.

    Args:
        received: the first bytes that have come.

    Raises:
        trio.BrokenResourceError: if the connection is cut.
    """
    protocol = ServerProtocol(subprotocols=_SPOKEN, max_size=MAX_SIZES)
    request = await _request(protocol, carrier, received)
    if request is not None:
        protocol.send_response(protocol.accept(request))
    await carrier.send_all(b"".join(protocol.data_to_send()))
    return WebSocketStream(carrier, protocol) if protocol.state is State.OPEN else None


async def _request(protocol: ServerProtocol, carrier: Carrier, received: bytes | bytearray) -> Request | None:
    head_bytes = 0
    while received and head_bytes < _REQUEST_BYTES:
        head_bytes += len(received)
        protocol.receive_data(received)
        match protocol.events_received():
            case [Request() as request] if not protocol.eof_sent:
                return request
            case [] if protocol.handshake_exc is None:
                received = await carrier.receive_some(_READ_BYTES)
            case _:
                # Whoever speaks on before it is answered has not read the RFC; what it said may have ended all already.
                return None
    return None
