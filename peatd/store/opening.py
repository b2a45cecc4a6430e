"""What a store holds when it is opened, whatever is damaged. Only reads: a node boots on a full disk.

Payloads are read behind the checkpoints only, so the cost is that of the documents and not of their history.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from peatd.names import DocumentKey, DocumentName
from peatd.store.records import (
    ENDED,
    Ages,
    CorruptRow,
    LogRow,
    RowKind,
    Sizes,
    document_checksum,
    note_checksum,
    parse_row,
    reach_checksum,
)

COLUMNS = "log.seq, log.name, log.incarnation, log.kind, log.through, log.checksum, log.payload"
"""Of a row of the log, as `parse_row` takes them."""


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document at the opening.

    Attributes:
        is_rebuilt: its row was damaged or missing, this is what the log says.
        reach: the checkpoint's, `b""` without one.
        tail: the rows behind that checkpoint, a snapshot first.
    """

    key: DocumentKey
    deleted: bool
    is_rebuilt: bool = False
    reach: bytes = b""
    reach_seq: int = 0
    tail: Sequence[LogRow] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """All that the opening found.

    Attributes:
        damaged: what had a wrong checksum beside the corrupt rows, as sentences for the log.
        set_aside: how often an update was quarantined in all this time.
        notes: by their topics.
    """

    documents: Sequence[FoundDocument]
    sizes: dict[DocumentName, Sizes]
    ages: dict[DocumentName, Ages]
    corrupt: Sequence[CorruptRow]
    damaged: Sequence[str]
    last_seq: int
    set_aside: int
    notes: dict[str, bytes]

    @property
    def is_whole(self) -> bool:
        return not (self.corrupt or self.damaged or any(document.is_rebuilt for document in self.documents))


def read_contents(connection: sqlite3.Connection) -> Contents:
    """Finds all documents: by their own rows, or else by what the log says of them."""
    connection.execute("BEGIN")  # one snapshot for all questions
    try:
        return _Opening(connection).contents()
    finally:
        connection.execute("ROLLBACK")


class _Opening:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ages: dict[DocumentName, Ages] = {}
        self._corrupt: list[CorruptRow] = []
        self._damaged: list[str] = []
        self._without_checkpoint: set[DocumentName] = set()

    def contents(self) -> Contents:
        sizes = self._sizes()
        believed = self._believed()
        tails = self._tails()
        documents = []
        for name in sorted(sizes.keys() | believed.keys()):
            document = believed.get(name) or self._rebuilt(name)
            if document is None:
                continue
            if document.is_rebuilt or name in self._without_checkpoint:
                tails[name] = self._all_rows(name)
            rows = self._verified(name, tails.get(name, ()))
            documents.append(replace(document, tail=_in_order(row for row in rows if row.key == document.key)))
        notes, last_seq, set_aside = self._notes(), self._last_seq(documents), self._set_aside()
        return Contents(documents, sizes, self._ages, self._corrupt, self._damaged, last_seq, set_aside, notes)

    def _sizes(self) -> dict[DocumentName, Sizes]:
        sizes: dict[DocumentName, Sizes] = {}
        query = "SELECT name, kind, count(*), sum(size), max(through), max(seq) FROM log GROUP BY name, kind"
        for name, kind, rows, size_bytes, through, seq in self._connection.execute(query):
            if not isinstance(name, str):
                continue
            entry = sizes.setdefault(DocumentName(name), Sizes())
            ages = self._ages.setdefault(DocumentName(name), Ages())
            ages.changed = max(ages.changed, seq)
            if kind == RowKind.SNAPSHOT:
                entry.through, entry.snapshot_bytes = through, size_bytes
            elif kind == RowKind.UPDATE:
                entry.tail_rows, entry.tail_bytes = rows, size_bytes
            else:
                ages.born, ages.aged = seq, through if isinstance(through, int) else 0
        return sizes

    def _believed(self) -> dict[DocumentName, FoundDocument]:
        documents = {}
        query = "SELECT name, incarnation, deleted, checksum, reach, reach_seq, reach_checksum FROM documents"
        for name, incarnation, deleted, checksum, reach, reach_seq, of_reach in self._connection.execute(query):
            key = DocumentKey(name, incarnation)
            if deleted not in (0, 1) or checksum != document_checksum(key, deleted=bool(deleted)):
                self._damaged.append(f"the row of document {name}")
            elif reach_seq == 0:
                documents[name] = FoundDocument(key, bool(deleted))
            elif isinstance(reach, bytes) and of_reach == reach_checksum(key, reach_seq, reach):
                documents[name] = FoundDocument(key, bool(deleted), reach=reach, reach_seq=reach_seq)
            else:
                self._damaged.append(f"the checkpoint of document {name}")
                self._without_checkpoint.add(name)
                documents[name] = FoundDocument(key, bool(deleted))
        return documents

    def _tails(self) -> dict[DocumentName, list[Sequence[object]]]:
        # A snapshot that the checkpoint covers is not read: most documents have one.
        query = (
            f"SELECT {COLUMNS} FROM documents CROSS JOIN log ON log.name = documents.name"
            " WHERE log.seq > documents.reach_seq"
            " AND (log.kind = ? OR (log.kind = ? AND log.through > documents.reach_seq))"
        )
        tails: dict[DocumentName, list[Sequence[object]]] = {}
        for columns in self._connection.execute(query, (RowKind.UPDATE, RowKind.SNAPSHOT)):
            tails.setdefault(columns[1], []).append(columns)
        return tails

    def _rebuilt(self, name: DocumentName) -> FoundDocument | None:
        rows = [row for columns in self._all_rows(name) if isinstance(row := parse_row(name, columns), LogRow)]
        if not rows:
            return None
        newest = max(rows, key=lambda row: (row.key.incarnation, row.kind is RowKind.LIFE))
        return FoundDocument(newest.key, newest.kind is RowKind.LIFE and newest.payload == ENDED, is_rebuilt=True)

    def _all_rows(self, name: DocumentName) -> list[Sequence[object]]:
        return list(self._connection.execute(f"SELECT {COLUMNS} FROM log WHERE name = ?", (name,)))

    def _verified(self, name: DocumentName, rows: Iterable[Sequence[object]]) -> list[LogRow]:
        good: list[LogRow] = []
        for columns in rows:
            row = parse_row(name, columns)
            if isinstance(row, CorruptRow):
                self._corrupt.append(row)
            else:
                good.append(row)
        return good

    def _last_seq(self, documents: Iterable[FoundDocument]) -> int:
        query = "SELECT max(coalesce((SELECT max(seq) FROM log), 0), coalesce((SELECT max(seq) FROM quarantine), 0))"
        (stored,) = self._connection.execute(query).fetchone()
        return max([int(stored), *(document.reach_seq for document in documents)])

    def _notes(self) -> dict[str, bytes]:
        notes = {}
        for topic, value in self._connection.execute("SELECT name, value FROM meta WHERE typeof(value) = 'blob'"):
            if note_checksum(topic, value[8:]) == value[:8]:
                notes[topic] = value[8:]
            else:
                self._damaged.append(f"what was noted of {topic}")
        return notes

    def _set_aside(self) -> int:
        query = (
            "SELECT coalesce((SELECT sum(times) FROM quarantine), 0)"
            " + coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'quarantine dropped'), 0)"
        )
        (count,) = self._connection.execute(query).fetchone()
        return int(count)


def _in_order(rows: Iterable[LogRow]) -> tuple[LogRow, ...]:
    kept = [row for row in rows if row.kind is not RowKind.LIFE]
    return tuple(sorted(kept, key=lambda row: (row.kind is not RowKind.SNAPSHOT, row.seq)))
