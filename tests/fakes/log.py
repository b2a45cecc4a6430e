"""A document log in memory: what `peatd.documents` needs of the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import trio

from peatd.names import DocumentKey


@dataclass(frozen=True, slots=True)
class Row:
    seq: int
    update: bytes


@dataclass(frozen=True, slots=True)
class Rows:
    snapshot: bytes | None
    updates: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Culprit:
    key: DocumentKey
    update: bytes
    origin: str
    reason: str
    seq: int | None


@dataclass
class MemoryLog:
    rows: dict[DocumentKey, list[Row]] = field(default_factory=dict)
    snapshots: dict[DocumentKey, bytes] = field(default_factory=dict)
    quarantined: list[Culprit] = field(default_factory=list)
    _seqs: count = field(default_factory=lambda: count(1))

    def record(self, key: DocumentKey, update: bytes) -> int:
        row = Row(next(self._seqs), update)
        self.rows.setdefault(key, []).append(row)
        return row.seq

    async def load(self, keys: Sequence[DocumentKey]) -> Mapping[DocumentKey, Rows]:
        found = {key: Rows(self.snapshots.get(key), tuple(self.rows.get(key, ()))) for key in keys}
        await trio.lowlevel.checkpoint()
        return found

    def quarantine(self, key: DocumentKey, update: bytes, *, origin: str, reason: str, seq: int | None = None) -> None:
        self.quarantined.append(Culprit(key, update, origin, reason, seq))
        if seq is not None:
            self.rows[key] = [row for row in self.rows[key] if row.seq != seq]
