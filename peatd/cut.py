"""A large update cut into smaller ones, each of which builds only on those before it. Sans-IO.

A Yjs client takes an update in when its last byte is there, and hears nothing meanwhile: on a slow line, a large
document would look like a dead server. The pieces are updates of their own, each to be merged at once in their order.

A struct builds on the one before it of the same client and on those that it names: its neighbours and its parent. So
the pieces hold the clients' structs in their order, interleaved where one names another's. A struct is never cut.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from peatd.errors import Gap, MalformedUpdate
from peatd.lib0 import read_string, read_uint, write_uint
from peatd.ranges import Ranges
from peatd.rewrite import decode_delete_set, encode_delete_set
from peatd.structs import CONTENT, CONTENTS, GC, KEYED, ORIGIN, RIGHT_ORIGIN, SKIP


@dataclass(slots=True, eq=False)
class _Section:
    """One client's structs, and how far they are dealt out.

    Attributes:
        positions: where each struct begins; behind the last, where it ends.
        clocks: the clock of each struct, and the one behind the last.
        names: by the index of a struct, what it names of other clients: (client, clock). Ascending.
        next: index of the first struct that is not in a piece yet.
    """

    client: int
    positions: "array[int]" = field(default_factory=lambda: array("Q"))
    clocks: "array[int]" = field(default_factory=lambda: array("Q"))
    names: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    next: int = 0
    naming: list[int] = field(default_factory=list)
    """The indexes of those in `names` that are still to come, in descending order."""

    @property
    def count(self) -> int:
        return len(self.positions) - 1

    def has_dealt(self, clock: int) -> bool:
        return self.clocks[self.next] > clock or self.next == self.count

    def through(self, clock: int) -> int:
        """The index behind the struct that has this clock, or behind the last."""
        return min(bisect_right(self.clocks, clock), self.count)


def cut(update: bytes, piece_bytes: int) -> list[bytes]:
    """The same as several updates of about `piece_bytes`, to be merged in this order; itself where two would do.

    Of what is not well-formed (`update.check`), so is one of the pieces.

    Raises:
        MalformedUpdate: if it is too malformed to be cut.
    """
    if len(update) <= 2 * piece_bytes:
        return [update]
    try:
        sections, position = _sections(update)
        deletes = {client: Ranges(ranges) for client, ranges in decode_delete_set(update, position).items()}
    except IndexError as exc:
        raise MalformedUpdate("the update is cut short") from exc
    pieces: list[bytes] = []
    piece = _Piece(update, piece_bytes)
    for section, end in _in_order(sections):
        while section.next < end:
            piece.add(section, end)
            if piece.room_bytes <= 0:
                pieces.append(piece.encode(deletes))
                piece = _Piece(update, piece_bytes)
    # All deletions are in the last: those of what the receiver has already are in no other.
    pieces.append(piece.structs() + update[position:])
    return pieces


def _in_order(sections: dict[int, _Section]) -> Iterator[tuple[_Section, int]]:
    """Whose structs come next, and up to which index; they are to be added before the next are asked for."""
    for first in sections.values():
        waiting = [(first, first.count)]
        while waiting:
            section, end = waiting[-1]
            if section.next >= end:
                waiting.pop()
                continue
            naming = section.naming
            while naming and naming[-1] < section.next:
                naming.pop()
            stop = min(naming[-1], end) if naming else end
            if stop > section.next:
                yield section, stop
                continue
            for client, clock in section.names[stop]:
                other = sections.get(client)
                if other is not None and not other.has_dealt(clock):
                    waiting.append((other, other.through(clock)))
                    break
            else:
                yield section, stop + 1
            if len(waiting) > 2 * len(sections):
                # They name each other in a circle: no engine has merged this, and no order helps.
                yield section, stop + 1
                waiting.clear()
                waiting.append((first, first.count))


class _Piece:
    """The structs of one piece: of each client one stretch."""

    def __init__(self, update: bytes, room_bytes: int) -> None:
        self.room_bytes = room_bytes
        self._update = update
        self._stretches: dict[_Section, tuple[int, int]] = {}

    def add(self, section: _Section, end: int) -> None:
        """As many structs as there is room for, at least one."""
        begin, positions = section.next, section.positions
        fitting = bisect_right(positions, positions[begin] + self.room_bytes) - 1
        section.next = max(begin + 1, min(end, fitting))
        self.room_bytes -= positions[section.next] - positions[begin]
        if section.next < end and self.room_bytes > 0:
            self.room_bytes = 0  # the next one does not fit
        self._stretches[section] = self._stretches.get(section, (begin, 0))[0], section.next

    def structs(self) -> bytes:
        out = bytearray()
        write_uint(out, len(self._stretches))
        for section, (begin, end) in self._stretches.items():
            write_uint(out, end - begin)
            write_uint(out, section.client)
            write_uint(out, section.clocks[begin])
            out += self._update[section.positions[begin] : section.positions[end]]
        return bytes(out)

    def encode(self, deletes: dict[int, Ranges]) -> bytes:
        """With what is deleted of these structs."""
        deleted: dict[int, list[tuple[int, int]]] = {}
        for section, (begin, end) in self._stretches.items():
            if section.client in deletes:
                found = deletes[section.client].inside(section.clocks[begin], section.clocks[end])
                if found:
                    deleted[section.client] = found
        return self.structs() + encode_delete_set(deleted)


def _sections(data: bytes) -> tuple[dict[int, _Section], int]:
    clients, position = read_uint(data, 0)
    sections: dict[int, _Section] = {}
    for _ in range(clients):
        count, position = read_uint(data, position)
        client, position = read_uint(data, position)
        clock, position = read_uint(data, position)
        if client in sections or not count:
            raise MalformedUpdate("the update names a client twice or without structs")
        section = sections[client] = _Section(client)
        position = _walk(section, count, clock, data, position)
    return sections, position


def _walk(section: _Section, count: int, clock: int, data: bytes, position: int) -> int:
    """The loop that a large document waits for: hence long, and inlined."""
    client, positions, clocks, names = section.client, section.positions, section.clocks, section.names
    for index in range(count):
        positions.append(position)
        clocks.append(clock)
        info = data[position]
        position += 1
        content = info & CONTENT
        if info == SKIP:
            raise Gap("the update leaves out what lies between parts of it")
        start = position
        if info & ORIGIN:
            other, position = read_uint(data, position)
            at, position = read_uint(data, position)
            if other != client:
                names[index] = [(other, at)]
        if info & RIGHT_ORIGIN:
            other, position = read_uint(data, position)
            at, position = read_uint(data, position)
            if other != client:
                names.setdefault(index, []).append((other, at))
        if position == start and content != GC:
            is_root, position = read_uint(data, position)
            if is_root:
                _, position = read_string(data, position)
            else:
                other, position = read_uint(data, position)
                at, position = read_uint(data, position)
                if other != client:
                    names[index] = [(other, at)]
            if info & KEYED:
                _, position = read_string(data, position)
        length, position = CONTENTS[content](data, position)
        clock += length
    positions.append(position)
    clocks.append(clock)
    section.naming.extend(reversed(names))
    return position
