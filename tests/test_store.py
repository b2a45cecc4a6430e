"""The store as its callers see it: real SQLite in a real directory."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from fakes.logs import log_of, updates_of

from peatd.errors import StoreError
from peatd.names import DocumentKey, DocumentName
from peatd.store import Store, StoredLog, StoredUpdate

NOTES = DocumentName("notes/today")
KEY = DocumentKey(NOTES, 1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "peat"


def size_on_disk(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("peat.db*") if path.name != "peat.db-shm")


# Recording and loading


async def test_logs_are_loaded_together_as_long_as_they_are_small(directory: Path) -> None:
    keys = [DocumentKey(DocumentName(f"notes/{number}"), 1) for number in range(4)]
    async with Store.open(directory) as store:
        for key, size in zip(keys, (1, 1_000_000, 100_000, 1), strict=True):
            store.set_incarnation(key.name, 1, deleted=False)
            store.record(key, bytes(size))
        await store.synced(store.last_seq)
        unwritten = store.record(keys[0], b"not written yet")
        logs = await store.load(keys)
        assert list(logs) == keys[:3]
        assert logs[keys[0]].updates[-1] == StoredUpdate(unwritten, b"not written yet")
        assert [len(logs[key].updates[0].update) for key in keys[:3]] == [1, 1_000_000, 100_000]


async def test_what_was_recorded_is_there_after_reopening_in_order(directory: Path) -> None:
    async with Store.open(directory) as store:
        for number in range(100):
            store.record(KEY, b"update %d" % number)
        await store.synced(store.last_seq)
    async with Store.open(directory) as store:
        log = await log_of(store, KEY)
    assert [stored.update for stored in log.updates] == [b"update %d" % number for number in range(100)]
    assert [stored.seq for stored in log.updates] == sorted(stored.seq for stored in log.updates)
    assert log.snapshot is None


async def test_a_load_sees_what_was_recorded_just_before_it(directory: Path) -> None:
    async with Store.open(directory) as store:
        seq = store.record(KEY, b"not written yet")
        assert store.durable_seq < seq
        assert (await log_of(store, KEY)).updates == (StoredUpdate(seq, b"not written yet"),)


async def test_a_document_that_was_never_heard_of_is_not_looked_for_on_the_disk(directory: Path) -> None:
    async with Store.open(directory) as store:
        await store.synced(store.record(KEY, b"x"))
        with closing(sqlite3.connect(directory / "peat.db")) as somebody:
            somebody.execute("DROP TABLE log")
        with pytest.raises(StoreError):
            await log_of(store, KEY)
        for unheard_of in (DocumentKey(DocumentName("notes/tomorrow"), 1), DocumentKey(NOTES, 2)):
            assert await log_of(store, unheard_of) == StoredLog(None, ())


async def test_seqs_grow_over_all_documents_and_over_reopening(directory: Path) -> None:
    other = DocumentKey(DocumentName("notes/tomorrow"), 1)
    async with Store.open(directory) as store:
        seqs = [store.record(key, b"x") for key in (KEY, other, KEY, other)]
    async with Store.open(directory) as store:
        assert store.durable_seq == store.last_seq == seqs[-1]
        seqs.append(store.record(KEY, b"x"))
    assert seqs == sorted(set(seqs))


async def test_leaving_makes_what_is_pending_durable_even_when_cancelled(directory: Path) -> None:
    with trio.CancelScope() as scope:
        async with Store.open(directory) as store:
            store.record(KEY, b"last words")
            scope.cancel()
            await trio.lowlevel.checkpoint()
    async with Store.open(directory) as store:
        assert await updates_of(store, KEY) == [b"last words"]


# Group commit


async def test_waiters_that_come_during_a_commit_share_the_next_one(directory: Path) -> None:
    woken: list[int] = []
    async with Store.open(directory) as store, trio.open_nursery() as nursery:

        async def write(number: int) -> None:
            await store.synced(store.record(KEY, b"%d" % number))
            woken.append(store.durable_seq)

        for number in range(256):
            nursery.start_soon(write, number)
    assert len(woken) == 256
    assert len(set(woken)) <= 3, "one commit for the first, one for all that waited meanwhile"


async def test_wait_synced_past_tells_the_next_durable_seq(directory: Path) -> None:
    async with Store.open(directory) as store:
        before = store.durable_seq
        seq = store.record(KEY, b"x")
        assert await store.wait_synced_past(before) == store.durable_seq >= seq


# Lives


async def test_the_end_of_a_life_drops_its_rows_and_what_comes_too_late(directory: Path) -> None:
    async with Store.open(directory) as store:
        store.record(KEY, b"first life")
        end = store.set_incarnation(NOTES, 1, deleted=True)
        assert store.record(KEY, b"from a peer that was away") == end
        assert store.set_incarnation(NOTES, 1, deleted=False) == end
        assert (await log_of(store, KEY)).updates == ()
        assert store.size_bytes(NOTES) == 0
    async with Store.open(directory) as store:
        (document,) = store.documents()
        assert (document.incarnation, document.deleted, document.tail, document.size_bytes) == (1, True, (), 0)
        store.record(DocumentKey(NOTES, 2), b"second life")
    async with Store.open(directory) as store:
        (document,) = store.documents()
        assert (document.incarnation, document.deleted, document.tail) == (2, False, (b"second life",))


# Checkpoints and snapshots


async def test_a_checkpoint_leaves_only_what_came_after_it_to_be_read(directory: Path) -> None:
    async with Store.open(directory) as store:
        store.record(KEY, b"one")
        store.checkpoint(KEY, b"reach of one")
        store.record(KEY, b"two")
    async with Store.open(directory) as store:
        (document,) = store.documents()
        assert (document.reach, document.tail, document.size_bytes) == (b"reach of one", (b"two",), 6)
        assert await updates_of(store, KEY) == [b"one", b"two"]


async def test_a_fold_takes_the_place_of_the_rows_it_stands_for_and_no_others(directory: Path) -> None:
    async with Store.open(directory) as store:
        through = store.record(KEY, b"one")
        store.record(KEY, b"three")
        store.fold(KEY, b"snapshot", through=through, reach=b"reach of one")
        seq = store.record(KEY, b"seven..")
        before = await log_of(store, KEY)
        await store.synced(seq)
        assert (store.tail_rows(NOTES), store.tail_bytes(NOTES), store.size_bytes(NOTES)) == (2, 12, 20)
        assert await log_of(store, KEY) == before
    assert (before.snapshot, [stored.update for stored in before.updates]) == (b"snapshot", [b"three", b"seven.."])
    async with Store.open(directory) as store:
        (document,) = store.documents()
        assert (document.reach, document.tail) == (b"reach of one", (b"three", b"seven.."))


async def test_a_fold_that_is_older_than_the_one_that_stands_is_ignored(directory: Path) -> None:
    async with Store.open(directory) as store:
        first, second = store.record(KEY, b"one"), store.record(KEY, b"two")
        store.fold(KEY, b"one and two", through=second, reach=b"")
    async with Store.open(directory) as store:
        store.fold(KEY, b"one", through=first, reach=b"")
        assert (await log_of(store, KEY)).snapshot == b"one and two"
        with pytest.raises(ValueError, match="the last record is"):
            store.fold(KEY, b"prophecy", through=store.last_seq + 1, reach=b"")


async def test_space_that_folding_freed_goes_back_to_the_volume(directory: Path) -> None:
    async with Store.open(directory) as store:
        for _ in range(64):
            seq = store.record(KEY, bytes(256 * 1024))
        await store.synced(seq)
    grown = size_on_disk(directory)
    async with Store.open(directory) as store:
        await store.synced(store.fold(KEY, b"all of it", through=seq, reach=b""))
        while store.heartbeat is not None:  # the thread tidies up
            await trio.lowlevel.checkpoint()
        assert size_on_disk(directory) < grown // 4
