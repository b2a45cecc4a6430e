"""Awareness updates: the states of some clients, as y-protocols' `awareness.js` encodes them. Sans-IO.

A count, then for each client its id, its clock and its state as a JSON text; `null` says that it went.
"""

from collections.abc import Iterable

from peatd.errors import MalformedMessage, MalformedUpdate
from peatd.lib0 import read_bytes, read_count, read_uint, write_uint
from peatd.speakers import Told, is_json
from peatd.wire.messages import MAX_STATE_BYTES

_GONE = b"null"
_MAX_CLIENT = 2**32


def decode(states: bytes) -> list[Told]:
    """What an awareness update tells. That a state is JSON is not checked yet: see `check`.

    Raises:
        MalformedMessage: if it is none, or a state is too large, whatever the bytes.
    """
    try:
        count, position = read_count(states, 0)
        told = []
        for _ in range(count):
            client, position = read_uint(states, position)
            clock, position = read_uint(states, position)
            state, position = read_bytes(states, position)
            if client >= _MAX_CLIENT:
                raise MalformedMessage("an awareness state is of a client beyond 32 bits")
            if len(state) > MAX_STATE_BYTES:
                raise MalformedMessage(f"an awareness state has {len(state)} bytes; the limit is {MAX_STATE_BYTES}")
            told.append(Told(client, clock, b"" if state == _GONE else state))
    except (IndexError, MalformedUpdate) as exc:
        raise MalformedMessage("the awareness update is cut short") from exc
    return told


def check(told: Told) -> None:
    """Other clients parse what we pass on, and not all survive what is no JSON.

    Raises:
        MalformedMessage: if it is none.
    """
    if told.state and not is_json(told.state):
        raise MalformedMessage("an awareness state is not JSON")


def encode(told: Iterable[Told]) -> bytes:
    """An awareness update."""
    states = bytearray()
    count = 0
    for one in told:
        state = one.state or _GONE
        count += 1
        write_uint(states, one.client)
        write_uint(states, one.clock)
        write_uint(states, len(state))
        states += state
    head = bytearray()
    write_uint(head, count)
    return bytes(head + states)
