"""An update in the making: what a Yjs program would send for an edit. Sans-IO.

The format is that of Yjs `src/utils/encoding.js`; which neighbours a struct names follows `src/types/AbstractType.js`.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from peatd.engine.items import ARRAY, MAP, Branch, Id, Item
from peatd.engine.values import write_any
from peatd.lib0 import write_string, write_uint
from peatd.ranges import merge_ranges
from peatd.structs import ANY, KEYED, ORIGIN, RIGHT_ORIGIN, STRING, TYPE

Parent = Branch | Id
"""A shared type in the document, or one that the draft itself makes."""


class Draft:
    """Structs of one client and deletions.

    Args:
        client: who makes the edit: an id that nobody else ever uses.
        clock: of its next struct.
    """

    def __init__(self, client: int, clock: int) -> None:
        self._client = client
        self._start = self._clock = clock
        self._count = 0
        self._structs = bytearray()
        self._deletes: dict[int, list[tuple[int, int]]] = {}

    @property
    def is_empty(self) -> bool:
        return not self._count and not self._deletes

    def update(self) -> bytes:
        """The bytes of the update."""
        out = bytearray()
        write_uint(out, 1 if self._count else 0)
        if self._count:
            write_uint(out, self._count)
            write_uint(out, self._client)
            write_uint(out, self._start)
            out += self._structs
        write_uint(out, len(self._deletes))
        for client, ranges in sorted(self._deletes.items(), reverse=True):
            merged = merge_ranges(ranges)
            write_uint(out, client)
            write_uint(out, len(merged))
            for clock, length in merged:
                write_uint(out, clock)
                write_uint(out, length)
        return bytes(out)

    def delete(self, client: int, clock: int, length: int) -> None:
        self._deletes.setdefault(client, []).append((clock, length))

    def remove(self, item: Item) -> None:
        """The value of a key."""
        self.delete(item.client, item.clock, item.length)

    def set(self, branch: Branch, key: str, value: Any) -> None:
        """Gives a key a new value: an object becomes a Y.Map, a list a Y.Array, all else a plain value."""
        before = branch.entries.get(key)
        self._put(value, None if before is None else before.last_id, None, branch, key)

    def insert(self, branch: Branch, origin: Id | None, right_origin: Id | None, values: Sequence[Any]) -> None:
        """Puts values into an array, between two neighbours."""
        self._fill(values, origin, right_origin, branch)

    def write(self, branch: Branch, origin: Id | None, right_origin: Id | None, text: str) -> None:
        """Puts text into a shared text, between two neighbours."""
        length = len(text.encode("utf-16-le")) // 2
        self._add(STRING, length, lambda out: write_string(out, text), origin, right_origin, branch, None)

    def _fill(self, values: Iterable[Any], origin: Id | None, right_origin: Id | None, parent: Parent) -> None:
        for is_shared, group in groupby(values, lambda value: isinstance(value, dict | list | tuple)):
            if is_shared:
                for value in group:
                    origin = self._put(value, origin, right_origin, parent, None)
            else:
                plain = list(group)
                write = partial(_any, values=plain)
                origin = self._add(ANY, len(plain), write, origin, right_origin, parent, None)

    def _put(self, value: Any, origin: Id | None, right_origin: Id | None, parent: Parent, key: str | None) -> Id:
        """The id of the struct that holds the value."""
        match value:
            case dict():
                at = self._add(TYPE, 1, lambda out: out.append(MAP), origin, right_origin, parent, key)
                for name, child in value.items():
                    self._put(child, None, None, at, name)
            case list() | tuple():
                at = self._add(TYPE, 1, lambda out: out.append(ARRAY), origin, right_origin, parent, key)
                self._fill(value, None, None, at)
            case _:
                at = self._add(ANY, 1, lambda out: _any(out, [value]), origin, right_origin, parent, key)
        return at

    def _add(
        self,
        ref: int,
        length: int,
        write: Callable[[bytearray], None],
        origin: Id | None,
        right_origin: Id | None,
        parent: Parent,
        key: str | None,
    ) -> Id:
        """The id of its last unit."""
        out = self._structs
        flags = (ORIGIN if origin else 0) | (RIGHT_ORIGIN if right_origin else 0) | (KEYED if key is not None else 0)
        out.append(ref | flags)
        for neighbour in filter(None, (origin, right_origin)):
            write_uint(out, neighbour[0])
            write_uint(out, neighbour[1])
        if origin is None and right_origin is None:
            _write_parent(out, parent)
            if key is not None:
                write_string(out, key)
        write(out)
        self._count += 1
        self._clock += length
        return self._client, self._clock - 1


def _write_parent(out: bytearray, parent: Parent) -> None:
    if isinstance(parent, Branch):
        if parent.item is None:
            write_uint(out, 1)
            write_string(out, parent.name)
            return
        parent = parent.item.id
    write_uint(out, 0)
    write_uint(out, parent[0])
    write_uint(out, parent[1])


def _any(out: bytearray, values: Sequence[Any]) -> None:
    write_uint(out, len(values))
    for value in values:
        write_any(out, value)
