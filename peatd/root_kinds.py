"""What kind a root is whose own structs are all deleted. Sans-IO.

Only a struct without neighbours names its root. Where it is deleted it tells no kind; but the structs beside it, which
name it as their origin, belong to the same root and do. Deleting the first letter of a text makes every later full
encode such a case.
"""

from bisect import bisect_right

from peatd.lib0 import read_string, read_uint
from peatd.structs import CONTENT, CONTENTS, GC, KEYED, ORIGIN, RIGHT_ORIGIN, kind_of_root

_MAX_ROUNDS = 8
"""Walks over the update. Each follows the neighbours across one more change of client to a lower one."""


def find_kinds(update: bytes, names: set[str]) -> dict[str, str]:
    """The kinds of those of these roots of a well-formed update whose neighbours tell."""
    search = _Search(names)
    for _ in range(_MAX_ROUNDS):
        known = search.known
        search.walk(update)
        if not search.names or search.known == known:
            break
    return search.found


class _Search:
    def __init__(self, names: set[str]) -> None:
        self.names = set(names)
        self.found: dict[str, str] = {}
        self.known = 0
        self._places: dict[int, _Places] = {}

    def walk(self, data: bytes) -> None:
        clients, position = read_uint(data, 0)
        for _ in range(clients):
            count, position = read_uint(data, position)
            client, position = read_uint(data, position)
            clock, position = read_uint(data, position)
            for _ in range(count):
                position, clock = self._struct(client, clock, data, position)
                if not self.names:
                    return

    def _struct(self, client: int, clock: int, data: bytes, position: int) -> tuple[int, int]:
        info = data[position]
        position += 1
        name: str | None = None
        for bit in (ORIGIN, RIGHT_ORIGIN):
            if info & bit:
                other, position = read_uint(data, position)
                at, position = read_uint(data, position)
                if name is None and other in self._places:
                    name = self._places[other].root_at(at)
        if not info & (ORIGIN | RIGHT_ORIGIN) and info & CONTENT != GC:
            name, position = _parent(info, data, position)
        start = position
        length, position = CONTENTS[info & CONTENT](data, position)
        if name in self.names:
            self.known += self._places.setdefault(client, _Places()).add(clock, clock + length, name)
            kind = kind_of_root(info & CONTENT, data, start)
            if kind != "unknown":
                self.found[name] = kind
                self.names.discard(name)
        return position, clock + length


def _parent(info: int, data: bytes, position: int) -> tuple[str | None, int]:
    is_root, position = read_uint(data, position)
    name: str | None = None
    if is_root:
        name, position = read_string(data, position)
    else:
        _, position = read_uint(data, position)
        _, position = read_uint(data, position)
    if info & KEYED:
        _, position = read_string(data, position)
    return name, position


class _Places:
    """Which clocks of one client belong to which root."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._roots: list[str] = []

    def root_at(self, clock: int) -> str | None:
        index = bisect_right(self._starts, clock) - 1
        return self._roots[index] if index >= 0 and clock < self._ends[index] else None

    def add(self, start: int, end: int, root: str) -> bool:
        """Whether that was new."""
        index = bisect_right(self._starts, start)
        if index and self._starts[index - 1] == start:
            return False
        self._starts.insert(index, start)
        self._ends.insert(index, end)
        self._roots.insert(index, root)
        return True
