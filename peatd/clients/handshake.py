"""From a fresh connection to a WebSocket: one HTTP request, judged, and answered once."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import h11
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection
from wsproto.utilities import ProtocolError as WebSocketProtocolError

from peatd.clients.door import Rights
from peatd.clients.request import Refused, Visit, parse

DEADLINE = 10.0
"""Seconds for all of it."""
_MAX_HEADER_BYTES = 16 * 1024
"""Of a request line and its headers: a token has 4 KiB at most."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A client that was let in.

    Attributes:
        early: bytes that came right behind the handshake.
    """

    visit: Visit
    rights: Rights
    early: bytes


async def shake_hands(stream: trio.abc.HalfCloseableStream, judge: Callable[[Visit], Rights]) -> Arrival | None:
    """Answers the request; None if nobody was let in. Within `DEADLINE`, whatever the client does.

    No extension is accepted: what a client has compressed would be inflated before its size is known.

    Args:
        judge: raises Refused for who is not to be let in.
    """
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEADER_BYTES)
    with trio.move_on_after(DEADLINE):
        try:
            request = await _request(stream, http)
            if request is not None:
                visit = parse(request)
                rights = judge(visit)
                await stream.send_all(_accepted(request, visit))
                return Arrival(visit, rights, http.trailing_data[0])
        except Refused as exc:
            await _refuse(stream, http, exc)
        except WebSocketProtocolError:
            await _refuse(stream, http, Refused(HTTPStatus.BAD_REQUEST, "the handshake is not that of RFC 6455"))
        except h11.RemoteProtocolError as exc:
            await _refuse(stream, http, Refused(HTTPStatus(exc.error_status_hint), "this is not HTTP/1.1"))
        except trio.BrokenResourceError:
            return None
    return None


async def _request(stream: trio.abc.HalfCloseableStream, http: h11.Connection) -> h11.Request | None:
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(_MAX_HEADER_BYTES)))
        elif isinstance(event, h11.Request):
            return event
        else:
            return None  # it closed without a word


def _accepted(request: h11.Request, visit: Visit) -> bytes:
    websocket = WSConnection(ConnectionType.SERVER)
    websocket.initiate_upgrade_connection(list(request.headers), request.target.decode("ascii", "replace"))
    return websocket.send(AcceptConnection(subprotocol=visit.subprotocol))


async def _refuse(stream: trio.abc.HalfCloseableStream, http: h11.Connection, refused: Refused) -> None:
    if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    body = f"{refused}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", "close, Upgrade" if refused.status is HTTPStatus.UPGRADE_REQUIRED else "close"),
        *refused.headers,
    ]
    answer = h11.Response(status_code=refused.status.value, reason=refused.status.phrase, headers=headers)
    sent = [http.send(answer), http.send(h11.Data(data=body)), http.send(h11.EndOfMessage())]
    try:
        await stream.send_all(b"".join(part or b"" for part in sent))
        await stream.send_eof()
        # Closing on unread bytes would reset the connection, and the answer might be lost with it.
        while await stream.receive_some(_MAX_HEADER_BYTES):
            pass
    except trio.BrokenResourceError:
        return
