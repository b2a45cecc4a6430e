"""A disk that is full, read-only, slow or in somebody else's hands; a process that is killed. All for real."""

import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from fakes.logs import log_of, updates_of
from trio.testing import MockClock

from peatd.errors import StoreError, Unavailable
from peatd.names import DocumentKey, DocumentName
from peatd.store import Store, keeper
from peatd.store.writing import Writer

KEY = DocumentKey(DocumentName("notes/today"), 1)


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """No file of this process grows past this: the kernel refuses the write, as it does on a bad or full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A small volume of our own, which only root can mount."""
    path = tmp_path / "volume"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def remount(volume: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", volume], check=True)


# Failing and recovering


async def test_a_failing_disk_is_told_and_recovers_with_everything_in_order(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        await store.synced(store.record(KEY, b"acknowledged"))
        with files_limited_to(64 * 1024):
            first = store.record(KEY, bytes(256 * 1024))
            with pytest.raises(Unavailable, match=r"cannot write to .*peat.db: .*SQLITE_IOERR_WRITE"):
                await store.synced(first)
            last = store.record(KEY, b"while it fails")
            status = store.status()
            assert not status.ready
            assert status.pending_bytes > 256 * 1024
            assert status.message is not None
            with pytest.raises(Unavailable):
                await store.room()
            assert await updates_of(store, KEY) == [b"acknowledged", bytes(256 * 1024), b"while it fails"]
            assert store.durable_seq < first
        assert await store.wait_synced_past(first) >= last
        assert store.status().ready
        assert store.status().message is None
        assert store.status().pending_bytes == 0
        await store.room()
    async with Store.open(tmp_path) as store:
        assert await updates_of(store, KEY) == [b"acknowledged", bytes(256 * 1024), b"while it fails"]


async def test_when_nothing_is_written_any_more_the_write_ahead_log_is_given_back(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidied, tidy = trio.Event(), Writer.tidy

    def observed(writer: Writer) -> bool:
        is_owed = tidy(writer)
        trio.from_thread.run_sync(tidied.set)
        return is_owed

    monkeypatch.setattr(Writer, "tidy", observed)
    async with Store.open(tmp_path) as store:
        await store.synced(store.record(KEY, bytes(3 * 2**20)))
        assert (tmp_path / "peat.db-wal").stat().st_size > 3 * 2**20
        assert not tidied.is_set()
        await tidied.wait()
        assert (tmp_path / "peat.db-wal").stat().st_size == 0
        assert await updates_of(store, KEY) == [bytes(3 * 2**20)]


async def test_a_full_volume_is_told_and_recovers_when_there_is_space(volume: Path) -> None:
    async with Store.open(volume / "peat") as store:
        await store.synced(store.record(KEY, b"acknowledged"))
        seq = store.record(KEY, bytes(4 * 2**20))
        with pytest.raises(Unavailable, match=r"database or disk is full .SQLITE_FULL.: free space on its volume"):
            await store.synced(seq)
        remount(volume, "size=32m")
        assert await store.wait_synced_past(seq - 1) == seq
        assert await updates_of(store, KEY) == [b"acknowledged", bytes(4 * 2**20)]


async def test_a_boot_on_a_full_volume_is_refused_with_what_to_do(volume: Path) -> None:
    async with Store.open(volume / "peat") as store:
        await store.synced(store.record(KEY, b"acknowledged"))
    fill(volume / "ballast")
    with pytest.raises(StoreError, match=r"cannot open .*peat.db: .*: free space on its volume"):
        async with Store.open(volume / "peat"):
            pass
    (volume / "ballast").unlink()
    async with Store.open(volume / "peat") as store:
        assert await updates_of(store, KEY) == [b"acknowledged"]


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))


async def test_files_that_turn_read_only_are_told_and_it_recovers(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store:
        await store.synced(store.record(KEY, b"acknowledged"))
        with immutable(tmp_path / "peat.db", tmp_path / "peat.db-wal"):
            seq = store.record(KEY, b"refused")
            with pytest.raises(Unavailable, match=r"cannot write to .*peat.db"):
                await store.synced(seq)
        assert await store.wait_synced_past(seq - 1) == seq
        assert await updates_of(store, KEY) == [b"acknowledged", b"refused"]


@contextmanager
def immutable(*paths: Path) -> Iterator[None]:
    if subprocess.run(["chattr", "+i", *paths], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs the right to make a file immutable, and a file system that knows how")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *paths], check=True)


async def test_somebody_who_holds_the_file_is_waited_for_and_the_thread_is_seen_to_wait(tmp_path: Path) -> None:
    async with Store.open(tmp_path) as store, trio.open_nursery() as nursery:
        assert store.heartbeat is None
        with closing(sqlite3.connect(tmp_path / "peat.db", isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            nursery.start_soon(store.synced, store.record(KEY, b"x"))
            await trio.testing.wait_all_tasks_blocked()
            heartbeat = store.heartbeat
            assert heartbeat is not None
            assert heartbeat <= time.monotonic()
            assert await updates_of(store, KEY) == [b"x"], "a load waits for no write"
            somebody.execute("ROLLBACK")


async def test_files_removed_under_the_store_are_no_longer_trusted_until_they_are_back(tmp_path: Path) -> None:
    database = tmp_path / "peat.db"
    async with Store.open(tmp_path) as store:
        database.rename(tmp_path / "elsewhere")
        seq = store.record(KEY, b"x")
        with pytest.raises(Unavailable, match="were removed or replaced while in use: put them back, or restart"):
            await store.synced(seq)
        (tmp_path / "elsewhere").rename(database)
        await store.wait_synced_past(seq - 1)


# Backpressure, and the end


async def test_room_waits_while_too_much_is_pending(tmp_path: Path) -> None:
    async with Store.open(tmp_path, pending_bytes=1000) as store:
        seq = store.record(KEY, bytes(2000))
        assert store.durable_seq < seq
        assert not store.has_room
        await store.room()
        assert store.has_room
        assert store.durable_seq == seq


async def test_leaving_gives_up_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "FINAL_SYNC", 0.05)
    with files_limited_to(64 * 1024):
        async with Store.open(tmp_path) as store:
            store.record(KEY, bytes(256 * 1024))
    async with Store.open(tmp_path) as store:
        assert await updates_of(store, KEY) == []


# Killed


WRITER = """
import sys, trio
from pathlib import Path
from peatd.names import DocumentKey, DocumentName
from peatd.store import Store

async def main():
    async with Store.open(Path(sys.argv[1])) as store, trio.open_nursery() as nursery:
        async def write(name):
            key = DocumentKey(DocumentName(name), 1)
            while True:
                seq = store.record(key, name.encode())
                if store.tail_rows(key.name) > 20:
                    store.fold(key, b"all up to %d" % seq, through=seq, reach=b"")
                await store.synced(seq)
                print(name, seq, flush=True)
        for number in range(4):
            nursery.start_soon(write, f"notes/{number}")

trio.run(main)
"""


async def test_whatever_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20)
    for _ in range(15):
        acknowledged = await trio.to_thread.run_sync(acknowledged_until_killed, tmp_path, chance.randint(1, 150))
        async with Store.open(tmp_path) as store:
            assert store.status().corrupt_rows == 0
            for name, seq in acknowledged.items():
                log = await log_of(store, DocumentKey(DocumentName(name), 1))
                folded = int((log.snapshot or b"all up to 0").split()[-1])
                assert max([folded, *(stored.seq for stored in log.updates)]) >= seq


def acknowledged_until_killed(directory: Path, lines: int) -> dict[str, int]:
    """The last acknowledged seq of each document, of a process that was killed after so many lines."""
    acknowledged = {}
    with subprocess.Popen([sys.executable, "-c", WRITER, directory], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for number, line in enumerate(writer.stdout):
            if number == lines:
                writer.send_signal(signal.SIGKILL)  # what it said meanwhile is still in the pipe
            if line.endswith("\n"):
                name, seq = line.split()
                acknowledged[name] = int(seq)
    assert writer.returncode == -signal.SIGKILL
    return acknowledged


# Gathering


async def test_records_that_nobody_waits_for_gather_for_a_moment_behind_a_commit(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with Store.open(tmp_path) as store:
        seq = store.record(KEY, b"after a pause")
        assert await store.wait_synced_past(seq - 1) == seq
        last = store.record(KEY, b"in its wake")
        await trio.testing.wait_all_tasks_blocked()
        assert store.durable_seq == seq
        last = store.record(KEY, b"and one more")
        mock_clock.jump(keeper.GATHERING)
        assert await store.wait_synced_past(seq) == last


async def test_after_a_pause_a_record_that_nobody_waits_for_leaves_the_processor_to_those_who_are_told_of_it(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with Store.open(tmp_path) as store:
        seq = store.record(KEY, b"after a pause")
        await trio.testing.wait_all_tasks_blocked()
        assert store.heartbeat is None
        mock_clock.jump(keeper.BREATH)
        while store.durable_seq < seq:
            await trio.lowlevel.checkpoint()


async def test_where_a_peer_waits_records_gather_for_a_quarter_of_that(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with Store.open(tmp_path) as store, trio.open_nursery() as nursery:
        await store.synced(store.record(KEY, b"after a pause"))
        seq = store.record(KEY, b"in its wake")
        nursery.start_soon(store.wait_synced_past, seq - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert store.durable_seq == seq - 1
        mock_clock.jump(keeper.GATHERING_AWAITED)


async def test_whoever_waits_for_a_record_has_it_written_at_once(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with Store.open(tmp_path) as store:
        for n in range(5):  # the clock stands still
            await store.synced(store.record(KEY, b"%d" % n))
        store.record(KEY, b"nobody waits for it, and it is written at the end")
    async with Store.open(tmp_path) as store:
        assert len(await updates_of(store, KEY)) == 6
