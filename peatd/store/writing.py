"""The side of the store that writes: batches of operations, one transaction and one fsync each.

Runs in the store's thread and never in two at once; blocks as long as the disk does.
"""

import contextlib
import hashlib
import itertools
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peatd.errors import StoreDamaged, StoreError, StoreUnavailable
from peatd.names import DocumentKey
from peatd.store.directory import DirectoryLock
from peatd.store.faults import fault, is_of_the_disk
from peatd.store.operations import Append, ChangeLife, Checkpoint, Fold, Forget, Note, Operation, SetAside
from peatd.store.records import (
    BEGUN,
    ENDED,
    Remainder,
    RowKind,
    document_checksum,
    note_checksum,
    reach_checksum,
    row_checksum,
)
from peatd.store.schema import FILE, connect, note_damage

QUARANTINE_BYTES = 64 * 2**20
"""The newest so much is kept for inspection: one largest diff, or a great many keystrokes."""
QUARANTINE_UPDATES = 10_000
"""And not more than so many, each of which costs a row and an index entry."""

_VACUUM_PAGES = 512
"""A step of giving space back: 2 MiB, some milliseconds, so that a write never waits long behind it."""
_SPARE_PAGES = 256
"""Left in the file for the next rows: growing it costs more than keeping 1 MiB."""
_WAL_BYTES = 8 * 2**20
"""SQLite checkpoints from 4 MiB on without shrinking the file; past this, it is worth cutting."""
_LEFT_WAL_BYTES = 2**20
"""Left standing when there is nothing to write: the next burst would only make it again."""

_INSERT = "INSERT OR REPLACE INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a batch that is durable.

    Attributes:
        is_untidy: so much space is taken in vain that it is worth a write's delay.
        has_leftovers: there is some, to be given back when there is nothing else to do.
    """

    remainders: Sequence[Remainder]
    is_untidy: bool
    has_leftovers: bool


class Writer:
    """Writes batches.

    Attributes:
        progressed_at: monotonic time of the last step of a batch, to tell a slow disk from a stuck one.
        sizes: of the database and of its write-ahead log on the disk, in bytes, as of the last batch.
    """

    def __init__(self, connection: sqlite3.Connection, directory: Path, lock: DirectoryLock) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._lock = lock
        self._path = directory / FILE
        self._wal = directory / f"{FILE}-wal"
        self._file = self._path.stat()
        self.sizes = self._file.st_size, self._wal.stat().st_size if self._wal.exists() else 0
        self._free, self._pages = _pages(connection)
        self.progressed_at = time.monotonic()

    def write(self, operations: Sequence[Operation]) -> Written:
        """Makes all of them durable, or none.

        Raises:
            StoreDamaged: if a page is bad that this would change. Trying again is vain.
            StoreError: if the disk does not let us. Trying again with the same operations first is safe.
        """
        self.progressed_at = time.monotonic()
        try:
            connection = self._connected()
            remainders = self._transact(connection, operations)
            if any(not isinstance(operation, Append) for operation in operations):
                # Appending frees no pages; and to ask would wait for Python's lock ten times more, or others for us.
                self._free, self._pages = _pages(connection)
            wal_bytes = self._wal_bytes_unless_moved()
            is_untidy = wal_bytes > _WAL_BYTES or self._free > max(4 * _SPARE_PAGES, self._pages // 4)
            return Written(remainders, is_untidy, wal_bytes > _LEFT_WAL_BYTES or self._free > _SPARE_PAGES)
        except sqlite3.Error as exc:
            if not is_of_the_disk(exc):
                raise
            self.close()  # after an I/O error SQLite may go on failing on this connection for ever
            error = fault("write to", self._path, exc)
            if isinstance(error, StoreDamaged):
                note_damage(self._path.parent)
            raise error from exc
        except OSError as exc:
            self.close()
            raise StoreUnavailable(f"cannot write to {self._path}: {exc.strerror or exc}: look at its volume") from exc

    def tidy(self) -> bool:
        """Gives some free space back to the volume. True if there is more to do."""
        self.progressed_at = time.monotonic()
        try:
            connection = self._connected()
            # `execute` takes one step of this pragma, which is one page; `executescript` takes them all.
            connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            self._free, self._pages = _pages(connection)
            if self._free > _SPARE_PAGES:
                return True
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            with contextlib.suppress(StoreError, OSError):  # the next write will tell
                self._wal_bytes_unless_moved()
        except sqlite3.Error as exc:
            # Nothing is owed: a full disk refuses this too, and the next write will tell.
            if not is_of_the_disk(exc):
                raise
        return False

    def close(self) -> None:
        if self._connection:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _connected(self) -> sqlite3.Connection:
        if not self._connection:
            self._wal_bytes_unless_moved()
            self._connection = connect(self._path)
        return self._connection

    def _transact(self, connection: sqlite3.Connection, operations: Sequence[Operation]) -> list[Remainder]:
        remainders = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            for kind, group in itertools.groupby(operations, key=type):
                if kind is Append:
                    connection.executemany(_INSERT, map(_append_row, group))
                else:
                    remainders += [left for operation in group if (left := _apply(connection, operation))]
                    if kind is SetAside:
                        _bound_quarantine(connection)
                self.progressed_at = time.monotonic()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        self.progressed_at = time.monotonic()
        return remainders

    def _wal_bytes_unless_moved(self) -> int:
        """A file that was removed under us takes every write gladly, and is gone with the process."""
        try:
            found = self._path.stat()
            if os.path.samestat(self._file, found) and self._lock.holds():
                self.sizes = found.st_size, self._wal.stat().st_size
                return self.sizes[1]
        except FileNotFoundError:
            pass
        directory = self._path.parent
        raise StoreError(f"files in {directory} were removed or replaced while in use: put them back, or restart peatd")


def _pages(connection: sqlite3.Connection) -> tuple[int, int]:
    """Free, and all."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return free, pages


def _append_row(operation: Operation) -> tuple[object, ...]:
    assert isinstance(operation, Append)
    return _row(operation.seq, operation.key, RowKind.UPDATE, 0, operation.update)


def _row(seq: int, key: DocumentKey, kind: RowKind, through: int, payload: bytes) -> tuple[object, ...]:
    checksum = row_checksum(seq, key, kind, through, payload)
    return seq, key.name, key.incarnation, int(kind), through, len(payload), checksum, payload


def _apply(connection: sqlite3.Connection, operation: Operation) -> Remainder | None:
    match operation:
        case Append():
            connection.execute(_INSERT, _append_row(operation))
        case ChangeLife():
            _change_life(connection, operation)
        case Checkpoint(seq, key, reach):
            _checkpoint(connection, key, seq, reach)
        case Fold():
            return _fold(connection, operation)
        case SetAside():
            _set_aside(connection, operation)
        case Forget(key):
            for table in ("log", "documents"):
                connection.execute(
                    f"DELETE FROM {table} WHERE name = ? AND incarnation <= ?", (key.name, key.incarnation)
                )
        case Note(topic, text):
            noted = note_checksum(topic, text) + text
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (topic, noted))
    return None


def _change_life(connection: sqlite3.Connection, change: ChangeLife) -> None:
    key = change.key
    connection.execute(
        "DELETE FROM log WHERE name = ? AND (kind = ? OR incarnation < ?)",
        (key.name, RowKind.LIFE, key.incarnation + change.deleted),
    )
    payload = ENDED if change.deleted else BEGUN
    connection.execute(_INSERT, _row(change.seq, key, RowKind.LIFE, change.aged, payload))
    connection.execute(
        "INSERT OR REPLACE INTO documents (name, incarnation, deleted, checksum) VALUES (?, ?, ?, ?)",
        (key.name, key.incarnation, change.deleted, document_checksum(key, deleted=change.deleted)),
    )


def _checkpoint(connection: sqlite3.Connection, key: DocumentKey, seq: int, reach: bytes) -> None:
    connection.execute(
        "UPDATE documents SET reach = ?, reach_seq = ?, reach_checksum = ?"
        " WHERE name = ? AND incarnation = ? AND reach_seq <= ?",
        (reach, seq, reach_checksum(key, seq, reach), key.name, key.incarnation, seq),
    )


def _fold(connection: sqlite3.Connection, fold: Fold) -> Remainder | None:
    key, through = fold.key, fold.through
    newer = "SELECT 1 FROM log WHERE name = ? AND incarnation = ? AND kind = ? AND seq <> ? AND through > ?"
    if connection.execute(newer, (key.name, key.incarnation, RowKind.SNAPSHOT, fold.seq, through)).fetchone():
        return None  # made before the snapshot that stands: what lies between them is in no row any more
    connection.execute(
        "DELETE FROM log WHERE name = ? AND incarnation = ? AND ((kind = ? AND seq <= ?) OR kind = ?)",
        (key.name, key.incarnation, RowKind.UPDATE, through, RowKind.SNAPSHOT),
    )
    connection.execute(_INSERT, _row(fold.seq, key, RowKind.SNAPSHOT, through, fold.snapshot))
    _checkpoint(connection, key, through, fold.reach)
    left = "SELECT count(*), coalesce(sum(size), 0) FROM log WHERE name = ? AND incarnation = ? AND kind = ?"
    rows, size_bytes = connection.execute(left, (key.name, key.incarnation, RowKind.UPDATE)).fetchone()
    return Remainder(fold.seq, key, rows, size_bytes)


def _set_aside(connection: sqlite3.Connection, aside: SetAside) -> None:
    key, payload = aside.key, aside.update
    if aside.seq is not None:
        connection.execute("DELETE FROM log WHERE seq = ?", (aside.seq,))
        # The checkpoint counted the row in: it would claim to peers what is not here, and they would not send it.
        connection.execute(
            "UPDATE documents SET reach = x'', reach_seq = 0 WHERE name = ? AND reach_seq >= ?", (key.name, aside.seq)
        )
    connection.execute(
        "INSERT INTO quarantine (seq, name, incarnation, origin, reason, time, times, sha256, payload)"
        " VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (name, sha256) DO UPDATE SET times = times + 1,"
        " incarnation = excluded.incarnation, origin = excluded.origin, reason = excluded.reason, time = excluded.time",
        (
            *(aside.seq, key.name, key.incarnation, aside.origin, aside.reason, aside.time),
            *(hashlib.sha256(payload).hexdigest(), payload),
        ),
    )


def _bound_quarantine(connection: sqlite3.Connection) -> None:
    size_bytes = dropped = 0
    too_old = []
    newest_first = connection.execute("SELECT id, length(payload), times FROM quarantine ORDER BY id DESC")
    for count, (row_id, length, times) in enumerate(newest_first, start=1):
        size_bytes += length
        if size_bytes > QUARANTINE_BYTES or count > QUARANTINE_UPDATES:
            too_old.append((row_id,))
            dropped += times
    connection.executemany("DELETE FROM quarantine WHERE id = ?", too_old)
    connection.execute(
        "UPDATE meta SET value = CAST(value AS INTEGER) + ? WHERE name = 'quarantine dropped'", (dropped,)
    )
