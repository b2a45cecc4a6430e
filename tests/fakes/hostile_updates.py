"""Updates that no Yjs program sends and that a structural check lets through: what a hostile client may think of.

Well-formed, of few clients, and about what is there: so that most are taken, and what they do to a document is seen.
"""

import random
from collections.abc import Callable, Iterator

from peatd.lib0 import write_string, write_uint
from peatd.structs import TYPE

CLIENTS = (1, 2, 3)
_ROOTS = ("t", "data", "x")
_KEYS = ("k", "l")
_TEXTS = ("a", "bcd", "😀", "é", "xy😀z", "\ufffd")
_HOOK = b"\x05\x01n"
_ANY = (
    b"\x7d\x05",
    b"\x77\x01s",
    b"\x7e",
    b"\x7f",
    b"\x76\x01\x01a\x7d\x01",
    b"\x75\x01\x78",
    b"\x74\x01\x02",
    b"\x7b" + bytes(8),
)


class Hostile:
    """Makes one update after the other for one document.

    Args:
        chance: everything follows from it.
        hooks: whether there are XML hooks among its types, which pycrdt cannot hold.
    """

    def __init__(self, chance: random.Random, *, hooks: bool = True) -> None:
        self._chance = chance
        self._hooks = hooks
        self._clocks = dict.fromkeys(CLIENTS, 0)

    def took(self, ends: dict[int, int]) -> None:
        """The document has a client up to there: the next updates are about that."""
        for client, end in ends.items():
            self._clocks[client] = max(self._clocks.get(client, 0), end)

    def updates(self, count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield self._update()

    def _update(self) -> bytes:
        chance = self._chance
        out = bytearray()
        clients = chance.sample(CLIENTS, chance.choice((0, 1, 1, 1, 2, 3)))
        self._ends = dict(self._clocks)
        blocks = [self._block(client) for client in clients]
        write_uint(out, len(blocks))
        for block in blocks:
            out += block
        self._deletes(out)
        if chance.random() < 0.05:
            out[chance.randrange(len(out))] = chance.choice((0, 1, 255, chance.randrange(256)))
        return bytes(out)

    def _block(self, client: int) -> bytes:
        chance = self._chance
        out = bytearray()
        here = self._clocks[client]
        clock = here if chance.random() < 0.8 else max(0, here - chance.randint(1, 4))
        count = chance.choice((1, 1, 2, 3))
        for number in (count, client, clock):
            write_uint(out, number)
        for _ in range(count):
            length = self._struct(out, client, clock)
            clock += length
        self._ends[client] = max(clock, here)
        return bytes(out)

    def _struct(self, out: bytearray, client: int, clock: int) -> int:
        chance = self._chance
        ref, content, length = chance.choice(_CONTENTS)(chance)
        if content == _HOOK and ref == TYPE and not self._hooks:
            ref, content, length = _any(chance)
        if not ref:
            out.append(0)
            out += content
            return length
        origins = [self._id(client, clock) for _ in range(chance.choice((0, 0, 1, 1, 2)))]
        flags = {0: 0, 1: chance.choice((0x80, 0x40)), 2: 0xC0}[len(origins)]
        is_keyed = chance.random() < 0.3
        out.append(ref | flags | (0x20 if is_keyed else 0))
        for origin in origins:
            write_uint(out, origin[0])
            write_uint(out, origin[1])
        if not origins:
            self._parent(out, client, clock)
            if is_keyed:
                write_string(out, chance.choice(_KEYS))
        out += content
        return length

    def _parent(self, out: bytearray, client: int, clock: int) -> None:
        if self._chance.random() < 0.6 or not any(self._clocks.values()):
            write_uint(out, 1)
            write_string(out, self._chance.choice(_ROOTS))
            return
        write_uint(out, 0)
        for number in self._id(client, clock):
            write_uint(out, number)

    def _id(self, client: int, clock: int) -> tuple[int, int]:
        """Of something that is there, or comes before it in the update."""
        ends = {**self._ends, client: clock}
        known = [one for one, end in ends.items() if end]
        if not known:
            return client, max(0, clock - 1)
        one = self._chance.choice(known)
        return one, self._chance.randrange(ends[one])

    def _deletes(self, out: bytearray) -> None:
        chance = self._chance
        known = [client for client, end in self._ends.items() if end]
        clients = known if known and chance.random() < 0.4 else []
        write_uint(out, len(clients))
        for client in clients:
            write_uint(out, client)
            ranges = []
            for _ in range(chance.randint(1, 2)):
                clock = chance.randrange(self._ends[client])
                ranges.append((clock, min(chance.randint(1, 4), self._ends[client] - clock)))
            write_uint(out, len(ranges))
            for clock, length in ranges:
                write_uint(out, clock)
                write_uint(out, length)


def _gc(chance: random.Random) -> tuple[int, bytes, int]:
    length = chance.randint(1, 4)
    return 0, bytes((length,)), length


def _deleted(chance: random.Random) -> tuple[int, bytes, int]:
    length = chance.randint(1, 4)
    return 1, bytes((length,)), length


def _json(chance: random.Random) -> tuple[int, bytes, int]:
    return 2, b"\x02\x011\x09undefined", 2


def _binary(chance: random.Random) -> tuple[int, bytes, int]:
    return 3, b"\x02\x00\xff", 1


def _string(chance: random.Random) -> tuple[int, bytes, int]:
    text = chance.choice(_TEXTS)
    out = bytearray()
    write_string(out, text)
    return 4, bytes(out), len(text.encode("utf-16-le")) // 2


def _embed(chance: random.Random) -> tuple[int, bytes, int]:
    return 5, b'\x07{"a":1}', 1


def _format(chance: random.Random) -> tuple[int, bytes, int]:
    return 6, chance.choice((b"\x01b\x04true", b"\x01b\x04null", b"\x01i\x02{}")), 1


def _type(chance: random.Random) -> tuple[int, bytes, int]:
    kind = chance.choice((0, 1, 1, 2, 2, 3, 4, 5, 6))
    return 7, bytes((kind,)) + (b"\x01n" if kind in (3, 5) else b""), 1


def _any(chance: random.Random) -> tuple[int, bytes, int]:
    values = chance.choices(_ANY, k=chance.randint(1, 3))
    return 8, bytes((len(values),)) + b"".join(values), len(values)


def _doc(chance: random.Random) -> tuple[int, bytes, int]:
    return 9, b"\x01g\x76\x00", 1


_CONTENTS: tuple[Callable[[random.Random], tuple[int, bytes, int]], ...] = (
    *(_string,) * 5,
    *(_any,) * 4,
    *(_type,) * 4,
    _gc,
    _deleted,
    _json,
    _binary,
    _embed,
    _format,
    _format,
)
