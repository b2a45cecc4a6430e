"""The store as its callers see it: real SQLite in a real directory."""

import stat
from pathlib import Path

import pytest
import trio
import trio.testing

from peatd.errors import StoreError, StoreLocked
from peatd.names import DocumentKey, DocumentName
from peatd.store import Store, StoredUpdate

NOTES = DocumentName("notes/today")
KEY = DocumentKey(NOTES, 1)


def updates_of(log: object) -> list[bytes]:
    return [stored.update for stored in log.updates]  # type: ignore[attr-defined]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "peat"


# Recording and loading


async def test_what_was_recorded_is_there_after_reopening_in_order(directory: Path) -> None:
    async with Store.open(directory) as store:
        for number in range(100):
            store.record(KEY, b"update %d" % number)
        await store.synced(store.last_seq)
    async with Store.open(directory) as store:
        log = await store.load(KEY)
    assert updates_of(log) == [b"update %d" % number for number in range(100)]
    assert [stored.seq for stored in log.updates] == sorted(stored.seq for stored in log.updates)
    assert log.snapshot is None


async def test_a_load_sees_what_was_recorded_just_before_it(directory: Path) -> None:
    async with Store.open(directory) as store:
        seq = store.record(KEY, b"not written yet")
        assert store.durable_seq < seq
        assert (await store.load(KEY)).updates == (StoredUpdate(seq, b"not written yet"),)


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
        assert updates_of(await store.load(KEY)) == [b"last words"]


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


# The directory


async def test_a_new_directory_and_its_files_are_private(directory: Path) -> None:
    async with Store.open(directory) as store:
        await store.synced(store.record(KEY, b"secret"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert set(modes) == {"peat.db", "peat.db-wal", "peat.db-shm", "peat.lock"}
    assert set(modes.values()) == {0o600}


async def test_a_second_daemon_on_the_directory_is_refused_and_told_who_has_it(directory: Path) -> None:
    import os

    async with Store.open(directory):
        with pytest.raises(StoreLocked, match=f"{directory} is in use by process {os.getpid()}: stop it"):
            async with Store.open(directory):
                pass
    async with Store.open(directory):
        pass


async def test_a_directory_that_cannot_be_made_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use .*/file/peat as data directory: Not a directory: choose another"):
        async with Store.open(tmp_path / "file" / "peat"):
            pass
