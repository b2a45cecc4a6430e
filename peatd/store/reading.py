"""The side of the store that reads: all documents at the opening, one document's rows later.

It has a connection of its own: in WAL mode a reader waits for nobody, so a document loads while an fsync hangs.
Blocking; runs in a thread and never in two at once.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from peatd.errors import StoreDamaged
from peatd.names import DocumentKey
from peatd.store.faults import fault, is_of_the_disk
from peatd.store.opening import COLUMNS, Contents, read_contents
from peatd.store.records import CorruptRow, LogRow, QuarantinedUpdate, RowKind, parse_row
from peatd.store.schema import FILE, connect, note_damage

Answer = TypeVar("Answer")


class Reader:
    """Reads with a connection of its own, and with a new one after an error."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._connection: sqlite3.Connection | None = None

    def contents(self) -> Contents:
        """Raises: StoreError."""
        try:
            return self._read(read_contents)
        except (TypeError, ValueError) as exc:  # a page of one table in the place of another's: SQLite does not mind
            self.close()
            note_damage(self._path.parent)
            raise StoreDamaged(
                f"cannot read {self._path}: its columns hold what they never did ({exc}): "
                "restart peatd: it then saves all rows that can be read"
            ) from exc

    def rows(self, key: DocumentKey) -> tuple[list[LogRow], list[CorruptRow]]:
        """The rows of one life, oldest first, good and bad. Raises: StoreError."""
        return self._read(lambda connection: _rows(connection, key))

    def quarantined(self) -> list[QuarantinedUpdate]:
        """Oldest first. Raises: StoreError."""
        return self._read(_quarantined)

    def close(self) -> None:
        if self._connection:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _read(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        try:
            self._connection = self._connection or connect(self._path, reading=True)
            return ask(self._connection)
        except sqlite3.Error as exc:
            self.close()
            if not is_of_the_disk(exc):
                raise
            error = fault("read", self._path, exc)
            if isinstance(error, StoreDamaged):
                note_damage(self._path.parent)
            raise error from exc


def _rows(connection: sqlite3.Connection, key: DocumentKey) -> tuple[list[LogRow], list[CorruptRow]]:
    query = f"SELECT {COLUMNS} FROM log WHERE name = ? AND kind <> ? ORDER BY seq"
    good: list[LogRow] = []
    bad: list[CorruptRow] = []
    for columns in connection.execute(query, (key.name, RowKind.LIFE)):
        row = parse_row(key.name, columns)
        if isinstance(row, CorruptRow):
            bad.append(row)
        elif row.key == key:
            good.append(row)
    return good, bad


def _quarantined(connection: sqlite3.Connection) -> list[QuarantinedUpdate]:
    query = "SELECT name, incarnation, origin, reason, time, sha256, length(payload), times FROM quarantine ORDER BY id"
    return [
        QuarantinedUpdate(DocumentKey(name, incarnation), *rest)
        for name, incarnation, *rest in connection.execute(query)
    ]
