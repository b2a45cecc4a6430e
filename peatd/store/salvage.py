"""Saves what can be read of a file with bad pages into a new one; the bad one stays beside it as `peat.db.damaged`.

Tables are walked by rowid, past whatever SQLite cannot read, and never through an index. Whether a row is as it was
written is not judged here: its checksum tells, whenever it is loaded. Checkpoints are left behind, as they claim rows
that may be lost. What is missing is fetched from the peers, as from a node that was away.

The new file is whole if it bears its temporary name and the old one is gone. So a crash at any point leaves either the
damaged file or the new one, and the next opening goes on from there.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

from peatd.errors import StoreDamaged, StoreError, StoreUnavailable
from peatd.store.faults import fault
from peatd.store.schema import AUTO_VACUUM, DAMAGE_SEEN, FILE, connect, create_tables

_NEW = f"{FILE}.new"
_DAMAGED = f"{FILE}.damaged"

_TABLES = {
    "log": "seq, name, incarnation, kind, through, size, checksum, payload",
    "documents": "name, incarnation, deleted, checksum",
    "quarantine": "id, seq, name, incarnation, origin, reason, time, times, sha256, payload",
}

Row = tuple[Any, ...]
"""A rowid, then the columns: whatever the damage left of them."""

_log = structlog.get_logger(__name__)


def is_damaged(directory: Path) -> bool:
    """Whether an earlier run met a bad page."""
    return (directory / DAMAGE_SEEN).exists()


def finish_salvage(directory: Path) -> None:
    """Goes on with a salvage that a crash interrupted."""
    if not (directory / _NEW).exists():
        return
    if (directory / FILE).exists():
        _remove(directory / _NEW)
    else:
        _swap(directory)


def salvage(directory: Path, *, version: str) -> None:
    """Replaces the file by one with all rows that can be read.

    Raises:
        StoreError: if nothing can be read, or there is no space for a second file.
    """
    path, new = directory / FILE, directory / _NEW
    try:
        with contextlib.closing(connect(path)) as source, contextlib.closing(_created(new, version)) as target:
            rows = {table: _copy(source, target, table) for table in _TABLES}
    except (sqlite3.Error, OSError) as exc:
        _remove(new)
        problem = fault("save what can be read of", path, exc) if isinstance(exc, sqlite3.Error) else exc
        if isinstance(problem, StoreDamaged):  # whose advice is to try just this
            problem = StoreError(f"nothing can be read of {path}: {exc}: restore it from a copy")
        kind = StoreUnavailable if isinstance(problem, StoreUnavailable) else StoreError
        raise kind(f"{problem}; or move the file away: the node then fetches its documents from its peers") from exc
    _swap(directory)
    _log.error("store_salvaged", damaged_file=str(directory / _DAMAGED), rows=rows)


def _created(path: Path, version: str) -> sqlite3.Connection:
    _remove(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = connect(path)
    try:
        connection.execute(AUTO_VACUUM)
        create_tables(connection, version)
    except BaseException:
        connection.close()
        raise
    return connection


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    columns = _TABLES[table]
    marks = ", ".join("?" * len(columns.split(",")))
    query = f"SELECT rowid, {columns} FROM {table} NOT INDEXED WHERE rowid >= ? ORDER BY rowid"
    target.execute("BEGIN")
    # OR IGNORE: damage can make a column NULL, or a name appear twice.
    rows = (row[1:] for row in readable_rows(source, query))
    inserted = target.executemany(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", rows).rowcount
    target.execute("COMMIT")
    return inserted


def readable_rows(connection: sqlite3.Connection, query: str) -> Iterator[Row]:
    """The rows that can be read, of a query by rowid from its parameter on. Ends whatever the damage."""
    position = 0
    while True:
        try:
            for row in connection.execute(query, (position,)):
                position = max(position, row[0] + 1)  # damaged rowids go backwards: we must not, or never end
                yield row
        except sqlite3.DatabaseError:
            row_behind = _first_behind_damage(connection, query, position)
            if row_behind is None:
                return
            position = row_behind[0] + 1
            yield row_behind
        else:
            return


def _first_behind_damage(connection: sqlite3.Connection, query: str, position: int) -> Row | None:
    """The next row that can be read: doubling steps to get past the damage, then bisection back to its end."""
    step = 0
    while (row := _first(connection, query, position + step)) is None:
        step = 2 * step or 1
        if position + step >= 2**62:
            return None
    bad, good = position + step // 2, position + step
    while good - bad > 1:
        middle = (bad + good) // 2
        if nearer := _first(connection, query, middle):
            good, row = middle, nearer
        else:
            bad = middle
    return row


def _first(connection: sqlite3.Connection, query: str, position: int) -> Row | None:
    try:
        # With LIMIT, as the sqlite3 module reads one row ahead, and fails for the sake of that one.
        row: Row | None = connection.execute(f"{query} LIMIT 1", (position,)).fetchone()
    except sqlite3.DatabaseError:
        return None
    return row if row and row[0] >= position else None


def _swap(directory: Path) -> None:
    for suffix in ("", "-wal"):
        if (old := directory / f"{FILE}{suffix}").exists():
            old.replace(directory / f"{_DAMAGED}{suffix}")
    (directory / f"{FILE}-shm").unlink(missing_ok=True)
    (directory / _NEW).replace(directory / FILE)
    (directory / DAMAGE_SEEN).unlink(missing_ok=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path: Path) -> None:
    for suffix in ("", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
