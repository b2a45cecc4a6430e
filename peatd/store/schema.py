"""The SQLite file: how it is opened, and what its tables are.

`log` is a rowid table with an index; WITHOUT ROWID took 4.7 KB a record. The index covers what the opening counts, so
that no page of payload is read for it. `documents` says of each document what its rows in `log` say too, and holds
the last checkpoint.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from peatd.errors import StoreError, StoreSchemaError
from peatd.store.directory import advice
from peatd.store.faults import fault

FILE = "peat.db"
DAMAGE_SEEN = "peat.damaged"
"""An empty file that says: a page of the store was unreadable. Most pages are not read at an opening."""
AUTO_VACUUM = "PRAGMA auto_vacuum = INCREMENTAL"
"""Heeded before the first table only, and before WAL. Without it, the file never shrinks."""
SCHEMA = 1
"""Goes up whenever an older peatd would misread the file."""

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (
    name TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, deleted INTEGER NOT NULL, checksum BLOB NOT NULL,
    reach BLOB NOT NULL DEFAULT x'', reach_seq INTEGER NOT NULL DEFAULT 0, reach_checksum BLOB NOT NULL DEFAULT x'');
CREATE TABLE log (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL, incarnation INTEGER NOT NULL, kind INTEGER NOT NULL,
    through INTEGER NOT NULL, size INTEGER NOT NULL, checksum BLOB NOT NULL, payload BLOB NOT NULL);
CREATE INDEX log_by_name ON log (name, seq, kind, size, through);
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, seq INTEGER, name TEXT NOT NULL, incarnation INTEGER NOT NULL, origin TEXT NOT NULL,
    reason TEXT NOT NULL, time REAL NOT NULL, times INTEGER NOT NULL, sha256 TEXT NOT NULL, payload BLOB NOT NULL,
    UNIQUE (name, sha256));
"""

_EMPTY_PAGES = 2
"""What a creation that was cut off leaves at most. A larger file without tables has lost its schema, not its rows."""

_BUSY_SECONDS = 2.0
"""How long to wait for somebody who looks at the file with `sqlite3`. Past it, the write fails and is tried again."""


def open_file(directory: Path, *, version: str) -> sqlite3.Connection:
    """The connection that writes; the file and its tables are made if they are missing.

    Raises:
        StoreSchemaError: if a newer peatd wrote the file.
        StoreError: if it is not a store, or cannot be opened.
    """
    path = directory / FILE
    try:
        # SQLite gives its other files the mode of this one. Updates are nobody else's business.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = connect(path)
        try:
            _prepare(connection, path, version)
        except BaseException:
            connection.close()
            raise
    except OSError as exc:
        raise StoreError(f"cannot open {path}: {exc.strerror}: {advice(exc)}") from exc
    except sqlite3.Error as exc:
        raise fault("open", path, exc) from exc
    return connection


def connect(path: Path, *, reading: bool = False) -> sqlite3.Connection:
    """A connection to a file that exists. Each is used by one thread at a time."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # Damaged text must become a row with a wrong checksum, not an error that hides the rows behind it.
        connection.text_factory = _decode
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cell_size_check = ON")
        if reading:
            connection.execute("PRAGMA query_only = ON")
    except UnicodeDecodeError as exc:  # from the sqlite3 module, of a message in which SQLite quotes a damaged schema
        connection.close()
        raise _unreadable(path) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def _unreadable(path: Path) -> StoreError:
    return StoreError(
        f"cannot read {path}: its first page is damaged: move the file away; "
        "the node then fetches its documents from its peers"
    )


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _prepare(connection: sqlite3.Connection, path: Path, version: str) -> None:
    connection.execute(AUTO_VACUUM)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if tables:
        _check(connection, path, tables)
    elif connection.execute("PRAGMA page_count").fetchone()[0] > _EMPTY_PAGES:
        raise _unreadable(path)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"cannot use {path}: its volume has no shared memory for SQLite: choose another --data-dir")
    if not tables:
        create_tables(connection, version)


def _check(connection: sqlite3.Connection, path: Path, tables: set[str]) -> None:
    row = None
    if "meta" in tables:
        row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    if row is None or not str(row[0]).isdigit():
        raise StoreError(f"{path} is an SQLite file, but not a store of peatd: choose another --data-dir")
    if int(row[0]) > SCHEMA:
        raise StoreSchemaError(
            f"{path} was written by a newer peatd (schema {row[0]}, this one knows {SCHEMA}): "
            "run that version, or choose another --data-dir"
        )


def note_damage(directory: Path) -> None:
    """Has the next opening save what can be read."""
    with contextlib.suppress(OSError):
        (directory / DAMAGE_SEEN).touch()


def create_tables(connection: sqlite3.Connection, version: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in filter(str.strip, _TABLES.split(";")):
            connection.execute(statement)
        rows = [("schema", str(SCHEMA)), ("created by", f"peatd {version}"), ("quarantine dropped", "0")]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
