"""What an update holds and what a copy of a document has, as numbers: clocks and deleted ranges. Sans-IO.

A *clock* counts the insertions of one client; a struct covers a range of them. A state vector says up to which clock a
copy has each client's structs. It does not show deletions, so a reach is both: state vector and deleted ranges.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from peatd.errors import MalformedUpdate
from peatd.lib0 import read_count, read_string, read_uint, write_uint
from peatd.ranges import Ranges

MAX_CLIENTS = 100_000
"""In a state vector. Our choice: ten times the busiest document that we measured, and 1 MB of bytes."""

EMPTY_STATE_VECTOR = b"\x00"
EMPTY_UPDATE = b"\x00\x00"

_VERSION = 2
_WITH_ROOTS = 1
"""The version that told what kinds its roots were, and no former clients."""

MAX_FORMER = 10_000
"""Clients of earlier lives that are remembered, 50 KB; of more the lowest ids: a thousand lives of ten authors."""


@dataclass(frozen=True, slots=True)
class Content:
    """What one update holds.

    Attributes:
        starts: client → clock of its first struct.
        ends: client → clock after its last struct.
        needs: client → clock up to which (exclusive) a copy must have it: for origins, right origins and parents
            outside the update's own structs. The gap before `starts` is needed too and not repeated here.
        deletes: client → (clock, length), sorted and disjoint.
    """

    starts: Mapping[int, int]
    ends: Mapping[int, int]
    needs: Mapping[int, int]
    deletes: Mapping[int, Sequence[tuple[int, int]]]

    @property
    def is_empty(self) -> bool:
        return not self.ends and not self.deletes


_NO_CLOCKS: dict[int, int] = {}
_NONE_DELETED: dict[int, Ranges] = {}


class Reach:
    """All that a copy of a document has.

    Two copies with equal digests have the same structs and the same deletions.

    Attributes:
        former: clients of the document's earlier lives, ascending. What is theirs must not come back: Yjs clients know
            nothing of incarnations, and offer all that they have to whoever lacks it.
    """

    __slots__ = ("_clocks", "_deleted", "_digest", "former")

    def __init__(self) -> None:
        # Most reaches are of documents that are over: what has nothing shares it.
        self._clocks: dict[int, int] = _NO_CLOCKS
        self._deleted: dict[int, Ranges] = _NONE_DELETED
        self._digest: bytes | None = None
        self.former: tuple[int, ...] = ()

    def absorb(self, content: Content) -> None:
        """Takes in what an applied update held."""
        self._digest = None
        if self._clocks is _NO_CLOCKS:
            self._clocks, self._deleted = {}, {}
        clocks = self._clocks
        for client, end in content.ends.items():
            if end > clocks.get(client, 0):
                clocks[client] = end
        for client, ranges in content.deletes.items():
            known = self._deleted.get(client)
            if known is None:
                known = self._deleted[client] = Ranges()
            known.add_all(ranges)

    def lacks(self, content: Content) -> bool:
        """Whether the update builds on structs that are neither here nor in it, or deletes such."""
        has = self._clocks.get
        for client, start in content.starts.items():
            if start > has(client, 0):
                return True
        for client, need in content.needs.items():
            if need > has(client, 0):
                return True
        for client, ranges in content.deletes.items():
            clock, length = ranges[-1]
            if clock + length > max(has(client, 0), content.ends.get(client, 0)):
                return True
        return False

    def clients_with(self, content: Content) -> int:
        """How many clients there are once an update is merged."""
        return len(self._clocks) + sum(client not in self._clocks for client in content.ends)

    def covers(self, content: Content) -> bool:
        """Whether nothing in the update is news."""
        has = self._clocks.get
        for client, end in content.ends.items():
            if end > has(client, 0):
                return False
        for client, ranges in content.deletes.items():
            deleted = self._deleted.get(client)
            if deleted is None or not all(deleted.covers(clock, length) for clock, length in ranges):
                return False
        return True

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing, not even deleted."""
        return not (self._clocks or self._deleted)

    def clock(self, client: int) -> int:
        """Up to which (exclusive) its structs are here."""
        return self._clocks.get(client, 0)

    def has_deleted(self, client: int, clock: int) -> bool:
        deleted = self._deleted.get(client)
        return deleted is not None and deleted.covers(clock, 1)

    @property
    def living(self) -> int:
        """How many clocks are not deleted: a measure of the content that is left."""
        gone = sum(end - start for ranges in self._deleted.values() for start, end in ranges)
        return sum(self._clocks.values()) - gone

    def not_deleted(self, client: int, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The parts of sorted, disjoint (clock, length) that are not deleted here."""
        deleted = self._deleted.get(client)
        return list(ranges) if deleted is None else deleted.outside(ranges)

    def ended(self) -> "Reach":
        """The reach of the next life, and of its absence: empty, but for who must not come back."""
        successor = Reach()
        successor.bury([*self.former, *self._clocks])
        return successor

    def emptied(self) -> "Reach":
        """The reach of the same life where its content is not."""
        name_only = Reach()
        name_only.former = self.former
        return name_only

    def bury(self, clients: Iterable[int]) -> bool:
        """Remembers clients of earlier lives; whether there was one that it did not know."""
        before = self.former
        self.former = tuple(sorted({*before, *clients})[:MAX_FORMER])
        return self.former != before

    def state_vector(self) -> bytes:
        return encode_state_vector(self._clocks)

    def equals(self, other: "Reach") -> bool:
        """Whether the digests are equal, without computing them."""
        return self._encode_clocks() == other._encode_clocks()

    def digest(self) -> bytes:
        """16 bytes that are equal exactly where reaches are."""
        if self._digest is None:
            import hashlib  # here, because it loads OpenSSL: 4 MB, which the engine's process has no other use for

            self._digest = hashlib.blake2b(self._encode_clocks(), digest_size=16).digest()
        return self._digest

    def encode(self) -> bytes:
        """Private to peatd: a version byte, clocks and deleted ranges by ascending client, and the former clients."""
        out = bytearray((_VERSION,)) + self._encode_clocks()
        write_uint(out, len(self.former))
        for client in self.former:
            write_uint(out, client)
        return bytes(out)

    def _encode_clocks(self) -> bytes:
        out = bytearray(encode_state_vector(self._clocks))
        write_uint(out, len(self._deleted))
        for client in sorted(self._deleted):
            ranges = self._deleted[client]
            write_uint(out, client)
            write_uint(out, len(ranges.starts))
            last = 0
            for start, end in ranges:
                write_uint(out, start - last)
                write_uint(out, end - start)
                last = end
        return bytes(out)

    @classmethod
    def decode(cls, encoded: bytes) -> "Reach":
        """Parses what `encode` gave.

        Raises:
            ValueError: if it is anything else.
        """
        if encoded[:1] not in (bytes((_VERSION,)), bytes((_WITH_ROOTS,))):
            raise ValueError("not a reach of a version that we know")
        reach = cls()
        try:
            position = reach._decode_clocks(encoded)
            count, position = read_count(encoded, position)
            if encoded[0] == _WITH_ROOTS:
                for _ in range(count):
                    position = read_string(encoded, position)[1] + 1
            else:
                former = []
                for _ in range(count):
                    client, position = read_uint(encoded, position)
                    former.append(client)
                reach.former = tuple(former)
        except (MalformedUpdate, IndexError) as exc:
            raise ValueError("a damaged reach") from exc
        if position != len(encoded):
            raise ValueError("bytes behind a reach")
        return reach

    def _decode_clocks(self, encoded: bytes) -> int:
        self._deleted = {}
        self._clocks, position = _read_state_vector(encoded, 1)
        count, position = read_count(encoded, position)
        for _ in range(count):
            client, position = read_uint(encoded, position)
            ranges = self._deleted[client] = Ranges()
            size, position = read_count(encoded, position)
            last = 0
            for _ in range(size):
                gap, position = read_uint(encoded, position)
                length, position = read_uint(encoded, position)
                ranges.starts.append(last + gap)
                last += gap + length
                ranges.ends.append(last)
        if not (self._clocks or self._deleted):
            self._clocks, self._deleted = _NO_CLOCKS, _NONE_DELETED
        return position


def encode_state_vector(clocks: Mapping[int, int]) -> bytes:
    """A Yjs v1 state vector, by ascending client; clients at clock 0 are left out."""
    present = sorted((client, clock) for client, clock in clocks.items() if clock)
    out = bytearray()
    write_uint(out, len(present))
    for client, clock in present:
        write_uint(out, client)
        write_uint(out, clock)
    return bytes(out)


def decode_state_vector(encoded: bytes) -> dict[int, int]:
    """Client → clock, of a Yjs v1 state vector.

    Raises:
        MalformedUpdate: if it is none, or has more than `MAX_CLIENTS` clients.
    """
    try:
        clocks, position = _read_state_vector(encoded, 0)
    except IndexError as exc:
        raise MalformedUpdate("the state vector is cut short") from exc
    if position != len(encoded):
        raise MalformedUpdate("there are bytes behind the state vector")
    return clocks


def _read_state_vector(data: bytes, position: int) -> tuple[dict[int, int], int]:
    count, position = read_count(data, position)
    if count > MAX_CLIENTS:
        raise MalformedUpdate(f"the state vector has more than {MAX_CLIENTS} clients")
    clocks: dict[int, int] = {}
    for _ in range(count):
        client, position = read_uint(data, position)
        clock, position = read_uint(data, position)
        if client >= 2**32 or clock >= 2**31 or client in clocks:
            raise MalformedUpdate("the state vector names a client twice, or a client or clock out of range")
        clocks[client] = clock
    return clocks, position


EMPTY_DIGEST = bytes.fromhex("71d0aacb690b61280d0c97c6b6a66664")
"""Of a copy that has nothing."""
