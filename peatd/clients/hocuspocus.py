"""The messages of Hocuspocus, as bytes and as values: y-websocket's, each behind a document's name. Sans-IO.

One connection carries many documents. Before each message stands, as a lib0 string, the *key*: a document's name, or
the name, NUL and the session of one of several providers for it (@hocuspocus/common `routingKey.ts`). The kinds beside
y-websocket's (@hocuspocus/server `types.ts`, @hocuspocus/common `auth.ts`):

    2 auth         0 token: the client's, and its version · 1 permission denied: why · 2 authenticated: the scope
    4 sync reply   as sync
    5 stateless    a text for whoever the application wants
    7 close        the end of one document's part: why (a client does not say)
    8 sync status  1: an update is stored, 0: it was refused
"""

from dataclasses import dataclass

from peatd.clients import protocol
from peatd.clients.protocol import Unknown
from peatd.errors import MalformedMessage, MalformedUpdate
from peatd.lib0 import read_string, read_uint, write_string

AUTH, SYNC_REPLY, STATELESS, CLOSE, SYNC_STATUS = 2, 4, 5, 7, 8
_TOKEN, _PERMISSION_DENIED, _AUTHENTICATED = 0, 1, 2
_MAX_KEY = 1024
"""Characters: two names of a document, and a session."""


@dataclass(frozen=True, slots=True)
class Auth:
    """The client's token for this document; empty if it has none."""

    token: str


@dataclass(frozen=True, slots=True)
class Stateless:
    """A text that nobody stores."""

    text: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The client takes part in this document no more."""


Message = protocol.Message | Auth | Stateless | Leave


def decode(message: bytes) -> tuple[str, Message]:
    """The key, and what a client says.

    Raises:
        MalformedMessage: if it is neither, whatever the bytes.
    """
    try:
        key, position = read_string(message, 0)
        if len(key) > _MAX_KEY or len(message) <= position:
            raise MalformedMessage("a message begins with a document's name")
        kind, behind = read_uint(message, position)
        match kind:
            case 2:
                return key, _auth(message, behind)
            case 5:
                return key, Stateless(read_string(message, behind)[0])
            case 7:
                return key, Leave()
            case 4:
                return key, protocol.decode_sync(message, behind)
    except (IndexError, MalformedUpdate) as exc:
        raise MalformedMessage("the message is cut short") from exc
    return key, protocol.decode(message, position)


def _auth(message: bytes, position: int) -> Message:
    kind, position = read_uint(message, position)
    return Auth(read_string(message, position)[0]) if kind == _TOKEN else Unknown(AUTH)


def name_in(key: str) -> str:
    """The document's name in a key."""
    return key.partition("\0")[0]


def prefix(key: str) -> bytes:
    """What stands before each message."""
    encoded = bytearray()
    write_string(encoded, key)
    return bytes(encoded)


def authenticated(*, may_write: bool) -> bytes:
    return _with_text("read-write" if may_write else "readonly", AUTH, _AUTHENTICATED)


def permission_denied(reason: str) -> bytes:
    return _with_text(reason, AUTH, _PERMISSION_DENIED)


def stateless(text: str) -> bytes:
    return _with_text(text, STATELESS)


def close(reason: str) -> bytes:
    return _with_text(reason, CLOSE)


def sync_status(*, is_stored: bool) -> bytes:
    return bytes((SYNC_STATUS, is_stored))


def _with_text(text: str, *numbers: int) -> bytes:
    message = bytearray(numbers)
    write_string(message, text)
    return bytes(message)
