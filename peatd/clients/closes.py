"""How a client's connection ends, when we end it: a code and a reason (RFC 6455 §7.4). Sans-IO.

y-websocket from 3.1 on takes 4400-4499 for answers that trying again does not change, as with HTTP's 4xx, and stops;
after any other code it connects again, later and later. Older ones always do.
"""

from typing import NamedTuple

from peatd import errors
from peatd.errors import PeatError

MAX_REASON_BYTES = 123
"""A control frame's bound, less the code."""


class Close(NamedTuple):
    """Why a connection is closed: `code` is for programs, `reason` for people."""

    code: int
    reason: str


GOING_AWAY = Close(1012, "this node stops: connect to another")
NOT_BINARY = Close(1003, "messages are binary here")
FLOODED = Close(1008, "too many messages that change nothing")
FAULT = Close(1011, "a fault in the node; its log says more")
TOO_SLOW = Close(1013, "what was asked for was not read while others waited: try again later")
TRY_AGAIN = Close(1013, "this node cannot do it now: try again later")
NO_DOCUMENT = Close(4408, "no document was asked for in time")
EXPIRED = Close(4401, "the token has expired")
RETIRED = Close(4401, "the token is signed with a formation secret that was removed")
DELETED = Close(4404, "the document was deleted: begin with an empty one")
TOO_LARGE = 4413
MALFORMED = 4400


def too_long(limit_bytes: int) -> Close:
    return Close(1009, f"a message has at most {limit_bytes} bytes")


def for_error(error: PeatError) -> Close:
    """What to say to a client whose request cannot be done, now or at all."""
    match error:
        case errors.MalformedMessage() | errors.MalformedUpdate() | errors.Quarantined():
            return Close(MALFORMED, _short(str(error)))
        case errors.DocumentEnded():
            return DELETED
        case errors.TooLarge():
            return Close(TOO_LARGE, _short(str(error)))
        case _:
            return TRY_AGAIN


def _short(reason: str) -> str:
    encoded = reason.encode()
    return reason if len(encoded) <= MAX_REASON_BYTES else encoded[:MAX_REASON_BYTES].decode(errors="ignore")
