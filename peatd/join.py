"""Updates that one client wrote one behind the other, joined into one. Sans-IO.

A client that types, pastes or comes back sends many small updates at once. Their structs follow each other, so one
update holds them all as well: the engine merges them as quickly as one, the log has one row of them, and whoever reads
gets one message.

Joined are only updates with structs of one client, each of which goes on at the clock at which the one before it ended.
Whatever is out of the ordinary stays as it is, and is the engine's to judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from peatd.errors import MalformedUpdate
from peatd.lib0 import write_uint
from peatd.ranges import merge_ranges
from peatd.rewrite import decode_delete_set, encode_delete_set
from peatd.update import examine

MAX_BYTES = 8 * 1024
"""Of what is joined: a few milliseconds of the engine's, and too little to be suspected of holding it up."""
_NOTHING_DELETED = b"\x00"


@dataclass(frozen=True, slots=True)
class Joined:
    """`count`: how many updates it stands for."""

    update: bytes
    count: int


class _Part(NamedTuple):
    """What an ordinary update holds: `structs` of a client from `start` up to `end` (exclusive), their bytes `body`."""

    update: bytes
    client: int
    start: int
    end: int
    structs: int
    body: bytes
    deletes: Mapping[int, Sequence[tuple[int, int]]]


@dataclass(slots=True)
class _Run:
    parts: list[_Part] = field(default_factory=list)
    size_bytes: int = 0

    def takes(self, part: _Part) -> bool:
        if not self.parts:
            return True
        last = self.parts[-1]
        fits = self.size_bytes + len(part.update) <= MAX_BYTES
        return fits and (last.client, last.end) == (part.client, part.start)

    def add(self, part: _Part) -> None:
        self.parts.append(part)
        self.size_bytes += len(part.update)

    def joined(self) -> Joined:
        first = self.parts[0]
        if len(self.parts) == 1:
            return Joined(first.update, 1)
        out = bytearray((1,))
        write_uint(out, sum(part.structs for part in self.parts))
        write_uint(out, first.client)
        write_uint(out, first.start)
        deletes: dict[int, list[tuple[int, int]]] = {}
        for part in self.parts:
            out += part.body
            for client, ranges in part.deletes.items():
                deletes.setdefault(client, []).extend(ranges)
        out += encode_delete_set({client: merge_ranges(ranges) for client, ranges in deletes.items()})
        return Joined(bytes(out), len(self.parts))


def join(updates: Sequence[bytes]) -> list[Joined]:
    """The same in fewer updates, in their order.

    Args:
        updates: of one sender; they need not be well-formed.
    """
    if len(updates) < 2:  # what a person types comes one by one, and need not be looked at here
        return [Joined(update, 1) for update in updates]
    joined: list[Joined] = []
    run = _Run()
    for update in updates:
        part = _part(update)
        if run.parts and (part is None or not run.takes(part)):
            joined.append(run.joined())
            run = _Run()
        if part is None:
            joined.append(Joined(update, 1))
        else:
            run.add(part)
    if run.parts:
        joined.append(run.joined())
    return joined


def _part(update: bytes) -> _Part | None:
    """None if it is out of the ordinary."""
    if len(update) > MAX_BYTES:
        return None
    try:
        examined = examine(update, subdocuments=True)
    except MalformedUpdate:
        return None
    if len(examined.blocks) != 1 or examined.gc or examined.pairs:
        return None
    (block,) = examined.blocks
    end = examined.content.ends[block.client]
    body, deleted = update[block.position : examined.delete_set], update[examined.delete_set :]
    deletes = {} if deleted == _NOTHING_DELETED else decode_delete_set(update, examined.delete_set)
    return _Part(update, block.client, block.clock, end, block.structs, body, deletes)
