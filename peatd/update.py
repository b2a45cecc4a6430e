"""Is this a well-formed Yjs v1 update, and what does it hold? Sans-IO.

A CRDT engine trusts its input: four hostile bytes make one allocate 64 GB. So nothing reaches an engine before passing
`check`. The rules: varints bounded (client below 2^32, clock + length below 2^31), no count beyond the bytes left, no
empty struct, values nested at most 64 deep, strings UTF-8, content refs 0-9 and type refs 0-6 only, no struct that
refers to itself or to a later one of its client, nothing behind the end.

The format is that of Yjs `src/utils/encoding.js` and `src/structs/*.js`.
"""

from array import array
from collections import defaultdict
from collections.abc import Mapping, MutableSequence, Sequence

from peatd.errors import Gap, MalformedUpdate
from peatd.lib0 import read_count, read_string, read_uint
from peatd.pairs import may_have_pairs, second_halves
from peatd.ranges import merge_ranges
from peatd.reach import (
    EMPTY_STATE_VECTOR,
    MAX_CLIENTS,
    Content,
    Reach,
    decode_state_vector,
    encode_state_vector,
)
from peatd.structs import (
    CONTENT,
    CONTENTS,
    DELETED,
    DOC,
    GC,
    KEYED,
    ORIGIN,
    RIGHT_ORIGIN,
    SKIP,
    STRING,
    TYPE,
    Block,
    Examined,
    Keyed,
)

__all__ = [
    "EMPTY_STATE_VECTOR",
    "MAX_CLIENTS",
    "MAX_DOCUMENT_BYTES",
    "MAX_DOCUMENT_CLIENTS",
    "MAX_UNCUT_BYTES",
    "MAX_UPDATE_BYTES",
    "Content",
    "Examined",
    "Reach",
    "check",
    "decode_state_vector",
    "encode_state_vector",
    "examine",
]

MAX_UPDATE_BYTES = 1024 * 1024
"""Of one live update, from a client or over HTTP. Our choice: a pasted book, not a film."""

MAX_UNCUT_BYTES = 24 * 1024 * 1024
"""Of one update between peers and into an engine: larger ones come in parts (cut.py), but one value cannot be cut."""

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""Of a document's log, beyond which a node takes no more writes to it."""

MAX_DOCUMENT_CLIENTS = MAX_CLIENTS // 2
"""Of a document that takes new ones from elsewhere: nobody could decode a state vector of more than `MAX_CLIENTS`, and
it would replicate no more. The rest is for what other nodes take meanwhile, and for their own."""

_MAX_CLIENT, _MAX_CLOCK = 2**32, 2**31
_XML_HOOK = 5


def check(update: bytes, *, subdocuments: bool) -> Content:
    """What the update holds, once it is known to be well-formed.

    Args:
        subdocuments: whether the engine can hold them (a valid one panics y-py).

    Raises:
        MalformedUpdate: if it is not, whatever the bytes.
    """
    return examine(update, subdocuments=subdocuments).content


def examine(update: bytes, *, subdocuments: bool, hooks: bool = True, tells_cuts: bool = False) -> Examined:
    """As `check`, for whoever may have to rewrite the update.

    Args:
        hooks: whether the engine can hold XML hooks (pycrdt reads the rest of the update wrongly).
        tells_cuts: whether there is something in the copy that it is for that must not be cut, or is not simply cut.
    """
    walk = _Walk(subdocuments=subdocuments, hooks=hooks, is_watching=tells_cuts or may_have_pairs(update))
    try:
        delete_set = walk.structs(update)
        position = walk.delete_set(update, delete_set)
    except IndexError as exc:
        raise MalformedUpdate("the update is cut short") from exc
    if position != len(update):
        raise MalformedUpdate("there are bytes behind the update's end")
    content = walk.content()
    cuts = walk.all_cuts(content)
    return Examined(
        content,
        walk.blocks,
        walk.parents,
        walk.gc,
        walk.pairs,
        cuts,
        walk.keyed,
        walk.types,
        delete_set,
        walk.is_tidy,
        walk.names_twice,
    )


class _Walk:
    """What has been seen of an update so far."""

    __slots__ = (
        "blocks",
        "cuts",
        "deletes",
        "ends",
        "gc",
        "hooks",
        "is_tidy",
        "is_watching",
        "keyed",
        "names_twice",
        "pairs",
        "parents",
        "refers",
        "starts",
        "subdocuments",
        "types",
    )

    def __init__(self, *, subdocuments: bool, hooks: bool, is_watching: bool) -> None:
        self.subdocuments = subdocuments
        self.hooks = hooks
        self.is_watching = is_watching  # for surrogate pairs, and for what cuts anything
        self.keyed: list[Keyed] = []
        self.types: dict[int, list[int]] = {}
        self.is_tidy = True
        self.names_twice = False
        self.starts: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.refers: dict[int, int] = {}  # client → the last clock that something refers to
        self.deletes: dict[int, list[tuple[int, int]]] = {}
        self.blocks: list[Block] = []
        self.parents: list[tuple[int, int]] = []
        self.gc: dict[int, list[tuple[int, int]]] = {}
        self.pairs: dict[int, list[int]] = {}
        self.cuts: defaultdict[int, MutableSequence[int]] = defaultdict(lambda: array("Q"))

    def structs(self, data: bytes) -> int:
        clients, position = read_count(data, 0)
        for _ in range(clients):
            count, position = read_count(data, position)
            client, position = read_uint(data, position)
            clock, position = read_uint(data, position)
            if client >= _MAX_CLIENT or client in self.starts or not count:
                raise MalformedUpdate("the update names a client twice, without structs, or beyond 32 bits")
            self.starts[client] = clock
            self.blocks.append(Block(count, client, clock, position))
            position, self.ends[client] = self._structs_of(client, clock, count, data, position)
        return position

    def _structs_of(self, client: int, clock: int, count: int, data: bytes, position: int) -> tuple[int, int]:
        """The position and the clock behind them. The loop that everything waits for: hence long, and inlined."""
        refers = self.refers
        cuts = self.cuts if self.is_watching else None
        for _ in range(count):
            info = data[position]
            position += 1
            content = info & CONTENT
            if content > DOC or (content == GC and info) or (content == DOC and not self.subdocuments):
                kind = Gap if info == SKIP else MalformedUpdate
                raise kind(f"the update holds a struct that cannot be held (info {info:#x})")
            start = position
            left = left_at = right = right_at = -1
            if info & ORIGIN:
                other, position = read_uint(data, position)
                at, position = read_uint(data, position)
                left, left_at = other, at
                if at > refers.get(other, -1):
                    refers[other] = at
                if cuts is not None:
                    cuts[other].append(at + 1)
                if other == client and at >= clock:
                    raise MalformedUpdate("a struct of the update refers to itself or a later one")
            if info & RIGHT_ORIGIN:
                right, position = read_uint(data, position)
                right_at, position = read_uint(data, position)
                if right_at > refers.get(right, -1):
                    refers[right] = right_at
                if cuts is not None:
                    cuts[right].append(right_at)
                if right == client and right_at >= clock:
                    raise MalformedUpdate("a struct of the update refers to itself or a later one")
                if right_at == left_at and right == left:
                    self.names_twice = True
            if position == start and content:
                position = self._parent(client, clock, info, data, position)
            if content == TYPE:
                if not self.hooks and data[position] == _XML_HOOK:
                    raise MalformedUpdate("the update holds an XML hook, which this engine cannot hold")
                self.types.setdefault(client, []).append(clock)
            if cuts is not None and content == STRING:
                self._find_pairs(client, clock, data, position)
            length, position = CONTENTS[content](data, position)
            if not length:
                raise MalformedUpdate("the update holds an empty struct")
            if info & KEYED:
                self.keyed.append(Keyed(client, clock, length, info, left, left_at, right, right_at))
            if content <= DELETED:
                self.deletes.setdefault(client, []).append((clock, length))
                if content == GC:
                    self.gc.setdefault(client, []).append((clock, length))
            clock += length
            if clock >= _MAX_CLOCK:
                raise MalformedUpdate("a clock in the update is beyond 2^31")
        return position, clock

    def _find_pairs(self, client: int, clock: int, data: bytes, position: int) -> None:
        if halves := second_halves(read_string(data, position)[0], clock):
            self.pairs.setdefault(client, []).extend(halves)

    def _parent(self, client: int, clock: int, info: int, data: bytes, position: int) -> int:
        """A struct without neighbours names its parent: a root, or the struct that holds a nested type."""
        is_root, position = read_uint(data, position)
        if is_root == 1:
            _, position = read_string(data, position)
        elif is_root == 0:
            other, position = read_uint(data, position)
            at, position = read_uint(data, position)
            self.refers[other] = max(at, self.refers.get(other, -1))
            self.parents.append((other, at))
            if other == client and at >= clock:
                raise MalformedUpdate("a struct of the update refers to itself or a later one")
        else:
            raise MalformedUpdate("a struct of the update has no parent")
        if info & KEYED:
            _, position = read_string(data, position)
        return position

    def delete_set(self, data: bytes, position: int) -> int:
        clients, position = read_count(data, position)
        for _ in range(clients):
            client, position = read_uint(data, position)
            count, position = read_count(data, position)
            if client >= _MAX_CLIENT:
                raise MalformedUpdate("the update names a client beyond 32 bits")
            ranges = self.deletes.setdefault(client, [])
            end = 0
            for _ in range(count):
                clock, position = read_uint(data, position)
                length, position = read_uint(data, position)
                if not length or clock + length >= _MAX_CLOCK:
                    raise MalformedUpdate("the update deletes nothing, or beyond clock 2^31")
                ranges.append((clock, length))
                self.is_tidy &= clock >= end
                end = clock + length
        return position

    def content(self) -> Content:
        ends = self.ends
        needs: dict[int, int] = {}
        for client, at in self.refers.items():
            if client >= _MAX_CLIENT or at >= _MAX_CLOCK:
                raise MalformedUpdate("a struct of the update refers beyond client 2^32 or clock 2^31")
            # What lies before `starts` is needed anyway, so only what lies behind `ends` is left.
            if at >= ends.get(client, 0):
                needs[client] = at + 1
        deletes = {client: merge_ranges(ranges) for client, ranges in self.deletes.items() if ranges}
        return Content(self.starts, ends, needs, deletes)

    def all_cuts(self, content: Content) -> Mapping[int, Sequence[int]]:
        if self.is_watching:
            for client, ranges in content.deletes.items():
                self.cuts[client].extend(cut for clock, length in ranges for cut in (clock, clock + length))
        return self.cuts
