"""What an update has to become before a CRDT library may see it: the same to Yjs, and harmless to y-py. Sans-IO.

y-py 0.6.2 has faults that ordinary use of nested types meets, and that destroy a document in memory:

* A struct whose parent was deleted meanwhile (one node deletes an object, another sets a key in it) is kept without a
  parent, and every later encode of it panics. Yjs makes a GC struct of it; so we do that first.
* A struct that has its place beside a GC struct, and a deletion that covers a part of one, split it wrongly: all later
  clocks of that client move. Yjs makes a GC struct of the former. Of the latter, what is deleted already is taken out
  of the delete set; diffs carry all of it.
* A struct of which the copy has a part, as a GC struct, is cut, and what is left refers to itself. It stands beside a
  GC struct too, so it becomes one; Yjs raises a TypeError, and only a hostile program sends it.

It also makes such GC structs itself, wrongly, unless its garbage collection is off, as it is in `engine/y_py.py`.
Deleted content then stays; `without_deleted` takes it out of what is stored.

Neither library can cut a surrogate pair: see `pairs.py`.

And one fault is of Yjs itself: see `with_one_side`.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from peatd.lib0 import read_string, read_uint, write_string, write_uint
from peatd.pairs import without_pairs
from peatd.ranges import Ranges
from peatd.reach import Reach
from peatd.structs import CONTENT, DELETED, GC, RIGHT_ORIGIN, STRING, Struct, each_struct
from peatd.update import Content, Examined


def harmless(update: bytes, examined: Examined, reach: Reach, gc: Mapping[int, Ranges]) -> bytes:
    """The well-formed update for a copy that has what `reach` says and GC structs at `gc`; as it is where it can be."""
    burial = _Burial(examined, reach, gc)
    structs = update[: examined.delete_set]
    if gc or examined.gc or any(reach.has_deleted(client, clock) for client, clock in examined.parents):
        structs = burial.rewrite(update, examined.delete_set)
    deletes = {}
    for client, ranges in examined.content.deletes.items():
        left = burial.outside_gc(client, reach.not_deleted(client, ranges))
        if left:
            deletes[client] = left
    if examined.is_tidy and not burial.is_needed and deletes == examined.content.deletes:
        return update
    return structs + encode_delete_set(deletes)


class _Burial:
    """Which structs become GC structs, for want of a parent."""

    def __init__(self, examined: Examined, reach: Reach, gc: Mapping[int, Ranges]) -> None:
        self._reach = reach
        self._known = gc
        self._new = {client: Ranges(ranges) for client, ranges in examined.gc.items()}
        self.is_needed = False

    def outside_gc(self, client: int, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return self._new[client].outside(ranges) if client in self._new else ranges

    def rewrite(self, update: bytes, end: int) -> bytes:
        """The structs of the update, which end at `end`."""
        structs = list(each_struct(update))
        orphans: set[int] = set()
        # An orphan's children may stand before it: clients are in no order that matters.
        while found := {n for n, struct in enumerate(structs) if n not in orphans and self._is_orphan(struct)}:
            orphans |= found
            for struct in (structs[n] for n in found):
                self._new.setdefault(struct.client, Ranges()).add_all([(struct.clock, struct.length)])
        self.is_needed = bool(orphans)
        out = bytearray()
        copied = 0
        for struct in (structs[n] for n in sorted(orphans)):
            out += update[copied : struct.start]
            out.append(GC)
            write_uint(out, struct.length)
            copied = struct.end
        return bytes(out + update[copied:end])

    def _is_orphan(self, struct: Struct) -> bool:
        here = self._reach.clock(struct.client)
        if struct.clock < here < struct.clock + struct.length and self._is_gc(struct.client, here - 1):
            return True
        if struct.parent is not None:
            return self._is_gc(*struct.parent) or self._reach.has_deleted(*struct.parent)
        return any(self._is_gc(client, clock) for client, clock in struct.origins)

    def _is_gc(self, client: int, clock: int) -> bool:
        known, new = self._known.get(client), self._new.get(client)
        return (known is not None and known.covers(clock, 1)) or (new is not None and new.covers(clock, 1))


def with_one_side(update: bytes) -> bytes:
    """The well-formed update without those right neighbours that are left neighbours too.

    Yjs writes such a struct when it redoes what stood between an item and what that was redone from: both have become
    the same by then (`redoItem` in `src/structs/Item.js`). Its author has it behind that one. Others look for what
    ends with that one and then for what begins with it: where it is one item with what stands before it, that cuts it
    off, and the new one comes before it (`Item.getMissing`). With one side named all have what the author has.
    """
    out = bytearray()
    copied = 0
    for struct in each_struct(update):
        if struct.origins[:1] == struct.origins[1:] != []:
            out += update[copied : struct.start]
            out.append(struct.info & ~RIGHT_ORIGIN)
            for number in struct.origins[0]:
                write_uint(out, number)
            copied = struct.content
    return bytes(out + update[copied:])


def with_cut_pairs(update: bytes, cut: Mapping[int, Sequence[int]]) -> bytes:
    """The well-formed update with U+FFFD for both halves of these pairs, by the clocks of their second halves."""
    out = bytearray()
    copied = 0
    for struct in each_struct(update):
        if struct.info & CONTENT == STRING and (halves := _within(struct, cut.get(struct.client, ()))):
            out += update[copied : struct.content]
            write_string(out, without_pairs(read_string(update, struct.content)[0], struct.clock, halves))
            copied = struct.end
    return bytes(out + update[copied:])


def _within(struct: Struct, clocks: Sequence[int]) -> Sequence[int]:
    return clocks[bisect_left(clocks, struct.clock) : bisect_left(clocks, struct.clock + struct.length)]


def without_deleted(update: bytes, content: Content) -> bytes:
    """The well-formed update with only the lengths of what it deletes, as a Yjs that collects garbage writes it."""
    if not content.deletes:
        return update
    deleted = {client: Ranges(ranges) for client, ranges in content.deletes.items()}
    out = bytearray()
    copied = 0
    for struct in each_struct(update):
        ranges = deleted.get(struct.client)
        if struct.info & CONTENT in _VALUES and ranges is not None and ranges.covers(struct.clock, struct.length):
            out += update[copied : struct.start]
            out.append(struct.info & ~CONTENT | DELETED)
            out += update[struct.start + 1 : struct.content]
            write_uint(out, struct.length)
            copied = struct.end
    return bytes(out + update[copied:])


_VALUES = frozenset({2, 3, 4, 5, 6, 8})
"""JSON, Binary, String, Embed, Format, Any. A deleted type stays: its children name it as their parent."""


def encode_delete_set(deletes: Mapping[int, Sequence[tuple[int, int]]]) -> bytes:
    """Client → (clock, length), as an update ends with them."""
    out = bytearray()
    write_uint(out, len(deletes))
    for client, ranges in deletes.items():
        write_uint(out, client)
        write_uint(out, len(ranges))
        for clock, length in ranges:
            write_uint(out, clock)
            write_uint(out, length)
    return bytes(out)


def decode_delete_set(update: bytes, position: int) -> dict[int, list[tuple[int, int]]]:
    """What a well-formed update deletes, from the position of its delete set on."""
    deletes: dict[int, list[tuple[int, int]]] = {}
    clients, position = read_uint(update, position)
    for _ in range(clients):
        client, position = read_uint(update, position)
        count, position = read_uint(update, position)
        ranges = deletes.setdefault(client, [])
        for _ in range(count):
            clock, position = read_uint(update, position)
            length, position = read_uint(update, position)
            ranges.append((clock, length))
    return deletes
