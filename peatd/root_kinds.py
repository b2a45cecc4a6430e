"""What kind a root is whose own structs are all deleted. Sans-IO.

Only a struct without neighbours names its root. Where it is deleted it tells no kind; but the structs beside it, which
name it as their origin, belong to the same root and do. Deleting the first letter of a text makes every later full
encode such a case.
"""

from bisect import bisect_right

from peatd.structs import CONTENT, Struct, each_struct, kind_of_root

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

    def walk(self, update: bytes) -> None:
        for struct in each_struct(update):
            name = self._root_beside(struct) if struct.root is None else struct.root
            if name in self.names:
                places = self._places.setdefault(struct.client, _Places())
                self.known += places.add(struct.clock, struct.clock + struct.length, name)
                kind = kind_of_root(struct.info & CONTENT, update, struct.content)
                if kind != "unknown":
                    self.found[name] = kind
                    self.names.discard(name)
                    if not self.names:
                        return

    def _root_beside(self, struct: Struct) -> str | None:
        for client, clock in struct.origins:
            if client in self._places and (name := self._places[client].root_at(clock)):
                return name
        return None


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
