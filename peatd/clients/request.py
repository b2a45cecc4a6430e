"""What an HTTP request to the clients' port asks for. Sans-IO.

    /sync/COLLECTION/ID          one document, y-websocket's protocol
    /hocuspocus                  any documents, named in each message: COLLECTION/ID
    /hocuspocus/COLLECTION       the same; a name without a slash is an id in that collection

Nothing else is here, and nothing is asked here but by a WebSocket handshake (RFC 6455 §4.2.1).
"""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote, unquote_plus

import h11

from peatd.errors import InvalidName, PeatError
from peatd.names import DocumentName, document_name

_WEBSOCKET_VERSION = "13"


class Refused(PeatError):
    """The request is answered with a status and a sentence instead of a connection."""

    def __init__(self, status: HTTPStatus, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Visit:
    """A WebSocket handshake that is one.

    Attributes:
        name: the document of a y-websocket client; None for a Hocuspocus client.
        collection: of names without one.
        token: the one that was shown, in the URL or the header.
        subprotocol: the first that was offered: a browser that offered some wants one back.
    """

    name: DocumentName | None
    collection: str | None
    token: str | None
    host: str | None
    origin: str | None
    subprotocol: str | None


def parse(request: h11.Request) -> Visit:
    """What the request asks for.

    Raises:
        Refused: if that is not to be had here.
    """
    headers = _headers(request)
    # Not by `urlsplit`: what is no URL is a path here, and a path that begins with `//` names no host.
    path, _, query = request.target.decode("ascii", "replace").partition("?")
    name, collection = _place(path)
    if request.method != b"GET":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "only GET, with a WebSocket handshake", (("Allow", "GET"),))
    _check_handshake(headers)
    offered = headers.get("sec-websocket-protocol")
    return Visit(
        name=name,
        collection=collection,
        token=_token(query, headers.get("authorization")),
        host=headers.get("host"),
        origin=headers.get("origin"),
        subprotocol=offered.split(",")[0].strip() if offered else None,
    )


def _headers(request: h11.Request) -> dict[str, str]:
    """Header fields that come twice are joined, as RFC 9110 §5.3 has it."""
    found: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _place(path: str) -> tuple[DocumentName | None, str | None]:
    match [unquote(part) for part in path.split("/")]:
        case ["", "sync", collection, document_id]:
            return _name(collection, document_id), None
        case ["", "sync", *_]:
            raise Refused(HTTPStatus.BAD_REQUEST, "a document is named by /sync/COLLECTION/ID")
        case ["", "hocuspocus"] | ["", "hocuspocus", ""]:
            return None, None
        case ["", "hocuspocus", collection] | ["", "hocuspocus", collection, ""]:
            _name(collection, "any")
            return None, collection
    raise Refused(HTTPStatus.NOT_FOUND, "Yjs clients connect to /sync/COLLECTION/ID or /hocuspocus")


def _name(collection: str, document_id: str) -> DocumentName:
    try:
        return document_name(collection, document_id)
    except InvalidName as exc:
        raise Refused(HTTPStatus.BAD_REQUEST, str(exc)) from exc


def _check_handshake(headers: dict[str, str]) -> None:
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        raise _upgrade("this port speaks WebSocket: connect a Yjs client to it")
    if headers.get("sec-websocket-version") != _WEBSOCKET_VERSION:
        raise _upgrade("WebSocket version 13 is spoken here (RFC 6455)")
    if not headers.get("sec-websocket-key"):
        raise Refused(HTTPStatus.BAD_REQUEST, "the handshake lacks Sec-WebSocket-Key (RFC 6455)")


def _upgrade(message: str) -> Refused:
    headers = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", _WEBSOCKET_VERSION))
    return Refused(HTTPStatus.UPGRADE_REQUIRED, message, headers)


def _tokens(headers: dict[str, str], name: str) -> set[str]:
    return {token.strip().lower() for token in headers.get(name, "").split(",")}


def _token(query: str, authorization: str | None) -> str | None:
    """From `?token=`, as browsers cannot set headers here; else from `Authorization: Bearer`."""
    for field in query.split("&"):
        name, _, shown = field.partition("=")
        if name == "token" and shown:
            return unquote_plus(shown)
    scheme, _, given = (authorization or "").partition(" ")
    return given.strip() or None if scheme.lower() == "bearer" else None
