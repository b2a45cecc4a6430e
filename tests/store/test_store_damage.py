"""Damage on the disk: what is bad is named and set aside, all else loads, and no damage is an unexpected error."""

import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trio
from fakes.logs import log_of, updates_of
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from peatd.errors import StoreDamaged, StoreError
from peatd.names import DocumentKey, DocumentName
from peatd.store import Store
from peatd.store.salvage import readable_rows

NOTES = DocumentName("notes/today")
KEY = DocumentKey(NOTES, 1)


def damage(directory: Path, statement: str, *parameters: object) -> None:
    """Changes the file behind the store's back, as a bad disk does."""
    with closing(sqlite3.connect(directory / "peat.db")) as connection:
        assert connection.execute(statement, parameters).rowcount == 1
        connection.commit()


# Rows


async def test_a_corrupt_row_behind_the_checkpoint_is_set_aside_at_the_opening(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        store.record(KEY, b"one")
        bad = store.record(KEY, b"two")
        store.record(KEY, b"three")
    damage(tmp_path, "UPDATE log SET payload = 'TWO' WHERE seq = ?", bad)
    for _ in range(2):
        async with Store.open(tmp_path) as store:
            (document,) = store.documents()
            assert document.tail == (b"one", b"three")
            assert await updates_of(store, KEY) == [b"one", b"three"]
            assert store.quarantined_count == 1
    async with Store.open(tmp_path) as store:
        assert store.status().corrupt_rows == 0, "it was set aside for good"
        (entry,) = await store.quarantined()
    assert (entry.key, entry.origin, entry.reason) == (KEY, "store", "its checksum is wrong")


@pytest.mark.parametrize(
    "change",
    ["payload = x'00'", "seq = seq + 100", "incarnation = 7", "through = 1", "payload = NULL", "checksum = x''"],
)
async def test_every_column_of_a_row_is_under_its_checksum(tmp_path: Path, change: str) -> None:
    async with Store.open(tmp_path) as store:
        bad = store.record(KEY, b"bad")
        store.record(KEY, b"good")
    with closing(sqlite3.connect(tmp_path / "peat.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        if "NULL" in change:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'payload BLOB NOT NULL', 'payload BLOB')")
    damage(tmp_path, f"UPDATE log SET {change} WHERE seq = ?", bad)
    async with Store.open(tmp_path) as store:
        (document,) = store.documents()
        assert (document.incarnation, document.tail) == (1, (b"good",))
        assert store.status().corrupt_rows == 1


async def test_a_corrupt_row_under_the_checkpoint_is_found_by_the_load_and_told(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        bad = store.record(KEY, b"one")
        store.record(KEY, b"two")
        store.checkpoint(KEY, b"reach of both")
    damage(tmp_path, "UPDATE log SET payload = x'ff' WHERE seq = ?", bad)
    damaged: list[DocumentKey] = []
    async with Store.open(tmp_path) as store:
        store.watch_damage(damaged.append)
        assert store.documents()[0].reach == b"reach of both"
        assert damaged == []
        log = await log_of(store, KEY)
        assert ([stored.update for stored in log.updates], log.damaged) == ([b"two"], 1)
        assert damaged == [KEY]
        assert (await log_of(store, KEY)).updates == log.updates
        assert damaged == [KEY], "told once"
    async with Store.open(tmp_path) as store:
        (document,) = store.documents()
        assert (document.reach, document.tail) == (b"", (b"two",)), "the checkpoint claimed what is lost"


async def test_a_corrupt_snapshot_leaves_the_updates_after_it(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        snapshot = store.fold(KEY, b"snapshot", through=store.record(KEY, b"one"), reach=b"reach")
        store.record(KEY, b"two")
    damage(tmp_path, "UPDATE log SET payload = x'ff' WHERE seq = ?", snapshot)
    async with Store.open(tmp_path) as store:
        log = await log_of(store, KEY)
    assert (log.snapshot, [stored.update for stored in log.updates], log.damaged) == (None, [b"two"], 1)


# What is said of documents


@pytest.mark.parametrize("change", ["incarnation = 9", "deleted = 1 - deleted", "checksum = x'00'", "deleted = 'yes'"])
@pytest.mark.parametrize("deleted", [False, True])
async def test_a_documents_corrupt_row_is_rebuilt_from_the_log(tmp_path: Path, change: str, deleted: bool) -> None:
    async with Store.open(tmp_path) as store:
        store.record(DocumentKey(NOTES, 2), b"one")
        store.checkpoint(DocumentKey(NOTES, 2), b"reach")
        if deleted:
            store.set_incarnation(NOTES, 2, deleted=True)
    damage(tmp_path, f"UPDATE documents SET {change}")
    for _ in range(2):
        async with Store.open(tmp_path) as store:
            (document,) = store.documents()
            assert (document.incarnation, document.deleted) == (2, deleted)
            assert document.tail == (() if deleted else (b"one",))


async def test_a_documents_lost_row_is_rebuilt_from_the_log(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        store.record(KEY, b"one")
    damage(tmp_path, "DELETE FROM documents")
    async with Store.open(tmp_path) as store:
        assert [(document.name, document.tail) for document in store.documents()] == [(NOTES, (b"one",))]


@pytest.mark.parametrize("change", ["reach = x'00'", "reach_seq = reach_seq + 1", "reach_checksum = x''"])
async def test_a_corrupt_checkpoint_costs_only_the_reading_of_all_rows(tmp_path: Path, change: str) -> None:
    async with Store.open(tmp_path) as store:
        store.record(KEY, b"one")
        store.checkpoint(KEY, b"reach")
    damage(tmp_path, f"UPDATE documents SET {change}")
    async with Store.open(tmp_path) as store:
        (document,) = store.documents()
    assert (document.reach, document.tail) == (b"", (b"one",))


# Pages


async def test_a_damaged_tail_of_the_write_ahead_log_leaves_a_clean_prefix(tmp_path: Path) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"
    async with Store.open(live) as store:
        for number in range(40):
            await store.synced(store.record(KEY, b"%d" % number))
        shutil.copytree(live, copy)
    whole = (copy / "peat.db-wal").read_bytes()
    lengths = []
    for cut in range(len(whole) // 3, len(whole), len(whole) // 20):
        trial = tmp_path / f"cut at {cut}"
        shutil.copytree(copy, trial)
        (trial / "peat.db-wal").write_bytes(whole[:cut] + b"\xff" * (len(whole) - cut))
        async with Store.open(trial) as store:
            loaded = await updates_of(store, KEY)
            assert loaded == [b"%d" % number for number in range(len(loaded))]
            assert store.status().corrupt_rows == 0
            lengths.append(len(loaded))
    assert lengths == sorted(lengths)
    assert lengths[-1] > 30


@pytest.fixture
async def with_a_bad_page(tmp_path: Path) -> Path:
    """A store of 100 documents, with a checkpoint each, of which one page of rows is overwritten."""
    async with Store.open(tmp_path) as store:
        for number in range(100):
            store.record(document_key(number), b"%d" % number * 100)
            store.checkpoint(document_key(number), b"reach")
    with closing(sqlite3.connect(tmp_path / "peat.db")) as connection:
        (page,) = connection.execute(
            "SELECT pageno FROM dbstat WHERE name = 'log' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 3"
        ).fetchone()
    overwrite_page(tmp_path / "peat.db", page, b"\xff" * 4096)
    return tmp_path


def document_key(number: int) -> DocumentKey:
    return DocumentKey(DocumentName(f"notes/{number:03}"), 1)


def overwrite_page(path: Path, page: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(content)


async def test_a_bad_page_is_met_once_and_the_next_opening_saves_the_rest(with_a_bad_page: Path) -> None:
    refused = 0
    async with Store.open(with_a_bad_page) as store:
        assert len(store.documents()) == 100
        for number in range(100):
            try:
                await log_of(store, document_key(number))
            except StoreDamaged:
                refused += 1
    assert 0 < refused < 50
    async with Store.open(with_a_bad_page) as store:
        documents = store.documents()
        assert len(documents) == 100, "the lives are in `documents`, too"
        assert {document.reach for document in documents} == {b""}
        assert sum(document.tail == () for document in documents) == refused
        assert store.last_seq >= 200
        seq = store.record(document_key(0), b"goes on")
        await store.synced(seq)
    assert (with_a_bad_page / "peat.db.damaged").exists()
    async with Store.open(with_a_bad_page) as store:
        assert len(store.documents()) == 100


async def test_what_cannot_be_read_is_told_once_and_takes_no_readiness(with_a_bad_page: Path) -> None:
    messages = []
    with capture_logs() as logs:
        async with Store.open(with_a_bad_page) as store:
            assert store.status().message is None
            for number in range(100):
                try:
                    await log_of(store, document_key(number))
                except StoreDamaged as error:
                    messages.append(str(error))
            status = store.status()
    assert len(messages) > 1
    assert (status.ready, status.message) == (True, messages[0]), "the other documents are well"
    assert "restart peatd" in messages[0]
    assert [log["message"] for log in logs if log["event"] == "store_unreadable"] == messages[:1]


async def test_a_write_that_meets_a_bad_page_ends_the_program_rather_than_retry_for_ever(with_a_bad_page: Path) -> None:
    async def end_all_lives() -> None:
        async with Store.open(with_a_bad_page) as store:
            for number in range(100):
                store.set_incarnation(document_key(number).name, 1, deleted=True)
            await trio.sleep_forever()

    with pytest.RaisesGroup(pytest.RaisesExc(StoreDamaged, match="restart peatd: it then saves all rows")):
        await end_all_lives()
    async with Store.open(with_a_bad_page) as store:
        assert len(store.documents()) == 100


async def test_after_damage_nothing_is_whole_and_a_changed_note_is_none(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        store.record(KEY, b"one")
        store.note("horizon", b"far")
        store.note("other", b"kept")
    with closing(sqlite3.connect(tmp_path / "peat.db")) as connection:
        connection.execute("UPDATE meta SET value = CAST(value || x'00' AS BLOB) WHERE name = 'horizon'")
        connection.commit()
    async with Store.open(tmp_path) as store:
        assert store.notes == {"other": b"kept"}
        assert not store.is_whole


@pytest.mark.parametrize("crashed_after", ["copying", "renaming"])
async def test_a_salvage_that_crashed_goes_on_at_the_next_opening(tmp_path: Path, crashed_after: str) -> None:
    async with Store.open(tmp_path) as store:
        store.record(KEY, b"one")
    if crashed_after == "copying":
        (tmp_path / "peat.db.new").write_bytes(b"half of it")
    else:
        (tmp_path / "peat.db").rename(tmp_path / "peat.db.new")
        (tmp_path / "peat.db-wal").write_bytes(b"of the damaged file")
    async with Store.open(tmp_path) as store:
        assert await updates_of(store, KEY) == [b"one"]
    assert not (tmp_path / "peat.db.new").exists()


UNREADABLE = "-9223372036854775807 - 1"
"""SQLite's abs() fails on this number, as SQLite does on a bad page: when it comes to that row."""


def test_a_salvage_loses_the_bad_rows_and_no_others() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, payload)")
        connection.executemany("INSERT INTO log VALUES (?, 1)", [(seq,) for seq in range(1, 100)])
        connection.execute(f"UPDATE log SET payload = {UNREADABLE} WHERE seq BETWEEN 30 AND 37 OR seq IN (1, 50, 99)")
        query = "SELECT seq, abs(payload) FROM log WHERE seq >= ? ORDER BY seq"
        saved = [seq for seq, _ in readable_rows(connection, query)]
    assert saved == [*range(2, 30), *range(38, 50), *range(51, 99)]


def test_a_salvage_ends_although_damaged_rowids_go_backwards() -> None:
    query = f"SELECT abs(column1) FROM (VALUES (5), (1), (2), ({UNREADABLE}), (9)) WHERE ? IS NOT NULL"
    with closing(sqlite3.connect(":memory:")) as connection:
        assert list(readable_rows(connection, query)) == [(5,), (1,)]


async def load_each(directory: Path, keys: list[DocumentKey]) -> None:
    try:
        async with Store.open(directory) as store:
            for key in keys:
                assert set(await updates_of(store, key)) <= {key.name.encode() * 20}
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


@settings(max_examples=40, deadline=None)
@given(
    where=st.floats(0, 1, exclude_max=True), junk=st.one_of(st.binary(min_size=1, max_size=64), st.just(bytes(4096)))
)
async def test_no_damage_is_an_unexpected_error(where: float, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        keys = [document_key(number) for number in range(30)]
        async with Store.open(directory) as store:
            for key in keys:
                store.record(key, key.name.encode() * 20)
        with (directory / "peat.db").open("r+b") as file:
            file.seek(int(where * file.seek(0, 2)))
            file.write(junk)
        for _ in range(2):
            with suppress(StoreError):
                await load_each(directory, keys)


async def test_a_file_that_nothing_can_be_read_of_is_not_said_to_be_saved_by_a_restart(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        for number in range(200):
            store.record(KEY, b"%d" % number * 1000)
        await store.synced(store.last_seq)
    path = tmp_path / "peat.db"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        with pytest.raises(StoreError, match=r"nothing can be read of .* or move the file away"):
            async with Store.open(tmp_path):
                pass
    assert path.exists()
