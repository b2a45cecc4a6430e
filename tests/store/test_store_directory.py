"""The data directory: private, and one daemon's alone."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from peatd.errors import StoreError, StoreLocked, StoreSchemaError
from peatd.names import DocumentKey, DocumentName
from peatd.store import Store

KEY = DocumentKey(DocumentName("notes/today"), 1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "peat"


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())}


async def test_a_new_directory_and_its_files_are_private(directory: Path) -> None:
    async with Store.open(directory) as store:
        await store.synced(store.record(KEY, b"secret"))
        files = modes(directory)
    assert files.pop(directory.name) == 0o700
    assert files == dict.fromkeys(["peat.db", "peat.db-wal", "peat.db-shm", "peat.lock"], 0o600)


async def test_a_second_daemon_on_the_directory_is_refused_and_told_who_has_it(directory: Path) -> None:
    async with Store.open(directory):
        with pytest.raises(StoreLocked, match=f"{directory} is in use by process {os.getpid()}: stop it"):
            async with Store.open(directory):
                pass
    async with Store.open(directory):
        pass


async def test_a_directory_that_cannot_be_made_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot use .*/file/peat as data directory: File exists: choose another"):
        async with Store.open(tmp_path / "file" / "peat"):
            pass


async def test_a_lock_file_that_was_removed_is_made_anew_and_still_locks(directory: Path) -> None:
    async with Store.open(directory) as store:
        (directory / "peat.lock").unlink()
        await store.synced(store.record(KEY, b"x"))
        with pytest.raises(StoreLocked):
            async with Store.open(directory):
                pass


async def test_a_file_that_is_not_sqlite_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "peat.db").write_bytes(b"my holiday pictures" * 1000)
    with pytest.raises(StoreError, match=r"cannot open .*peat.db: file is not a database .*: move the file away"):
        async with Store.open(tmp_path):
            pass
    assert (tmp_path / "peat.db").read_bytes() == b"my holiday pictures" * 1000


async def test_somebody_elses_sqlite_file_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "peat.db")) as connection:
        connection.execute("CREATE TABLE pictures (name)")
    with pytest.raises(StoreError, match=r"is an SQLite file, but not a store of peatd"):
        async with Store.open(tmp_path):
            pass


async def test_a_store_of_a_newer_peatd_is_refused(directory: Path) -> None:
    async with Store.open(directory):
        pass
    with closing(sqlite3.connect(directory / "peat.db")) as connection:
        connection.execute("UPDATE meta SET value = '2' WHERE name = 'schema'")
        connection.commit()
    with pytest.raises(
        StoreSchemaError, match=r"written by a newer peatd .schema 2, this one knows 1.: run that version"
    ):
        async with Store.open(directory):
            pass
