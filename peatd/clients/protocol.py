"""The messages of y-websocket, as bytes and as values. Sans-IO.

A message is a lib0 varUint that says its kind, and what follows from that (y-protocols `sync.js`, `awareness.js`,
`auth.js`; y-websocket `y-websocket.js`):

    0 sync       0 step 1: a state vector · 1 step 2: an update · 2 an update
    1 awareness  states of some clients (awareness.py)
    2 auth       0 permission denied: why
    3 query      all awareness states, please

As in lib0, bytes behind what a message says are nobody's business; a kind that is not known is none of ours.
"""

from dataclasses import dataclass

from peatd.errors import MalformedMessage, MalformedUpdate
from peatd.lib0 import read_bytes, read_uint, write_string, write_uint

SYNC, AWARENESS, AUTH, QUERY_AWARENESS = 0, 1, 2, 3
STEP_1, STEP_2, UPDATE = 0, 1, 2
_PERMISSION_DENIED = 0

NOTHING = b"\x00\x00"
"""The update that holds nothing."""


@dataclass(frozen=True, slots=True)
class Step1:
    """The sender has what this state vector says: send it the rest."""

    vector: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """An update; as step 2 it is all that the receiver of a step 1 lacked."""

    update: bytes
    is_step_2: bool


@dataclass(frozen=True, slots=True)
class Presence:
    """An encoded awareness update."""

    states: bytes


@dataclass(frozen=True, slots=True)
class QueryAwareness:
    """The sender wants all awareness states."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a kind that is not ours to know."""

    kind: int


Message = Step1 | Update | Presence | QueryAwareness | Unknown


def decode(message: bytes, position: int = 0) -> Message:
    """What a client says, from `position` on.

    Raises:
        MalformedMessage: if it is cut short or a step of the sync protocol that there is not, whatever the bytes.
    """
    try:
        kind, position = read_uint(message, position)
        match kind:
            case 0:
                return decode_sync(message, position)
            case 1:
                return Presence(read_bytes(message, position)[0])
            case 3:
                return QueryAwareness()
            case _:
                return Unknown(kind)
    except (IndexError, MalformedUpdate) as exc:
        raise MalformedMessage("the message is cut short") from exc


def decode_sync(message: bytes, position: int) -> Message:
    """What follows the kind of a sync message.

    Raises:
        MalformedMessage: if there is no such step.
        IndexError, MalformedUpdate: if it is cut short.
    """
    step, position = read_uint(message, position)
    content, _ = read_bytes(message, position)
    match step:
        case 2:
            return Update(content, is_step_2=False)
        case 1:
            return Update(content, is_step_2=True)
        case 0:
            return Step1(content)
    raise MalformedMessage(f"the sync protocol has no step {step}")


def step_1(vector: bytes) -> bytes:
    """Asks for what we lack."""
    return head(SYNC, STEP_1, len(vector)) + vector


def update(content: bytes) -> bytes:
    """Tells an update."""
    return head(SYNC, UPDATE, len(content)) + content


def presence(states: bytes) -> bytes:
    """Tells awareness states."""
    return head(AWARENESS, len(states)) + states


def denied(reason: str) -> bytes:
    """Tells a client that it may not do what it tried; it stays connected."""
    message = bytearray((AUTH, _PERMISSION_DENIED))
    write_string(message, reason)
    return bytes(message)


def head(*numbers: int) -> bytes:
    """The varUints that a message begins with; the last is often the length of the bytes behind them."""
    encoded = bytearray()
    for number in numbers:
        write_uint(encoded, number)
    return bytes(encoded)


SIGN_OF_LIFE = presence(b"\x00")
"""The states of no clients: changes nothing, but stock clients drop a server that sends no message for 30 s."""
