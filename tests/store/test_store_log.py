"""Damage in the write-ahead log of a process that crashed: what was committed is there, or its loss is told."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fakes.logs import updates_of
from structlog.testing import capture_logs

from peatd.names import DocumentKey, DocumentName
from peatd.store import Store
from peatd.store.wal import Damage, examine, parse_claim

KEY = DocumentKey(DocumentName("notes/today"), 1)
FRAME = 24 + 4096
ROWS = 60


@pytest.fixture
async def crashed(tmp_path: Path) -> Path:
    """The directory of a store that was killed after `ROWS` writes, each of which was acknowledged."""
    live, copy = tmp_path / "live", tmp_path / "crashed"
    async with Store.open(live) as store:
        for number in range(ROWS):
            await store.synced(store.record(KEY, row(number)))
        shutil.copytree(live, copy)
    return copy


def row(number: int) -> bytes:
    return b"%d" % number * 200


def wal(directory: Path) -> Path:
    return directory / "peat.db-wal"


def without_index(directory: Path) -> None:
    """As after a power cut, of which the index survives only by chance."""
    (directory / "peat.db-shm").unlink()


def flip(path: Path, at: int, bit: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (octet,) = file.read(1)
        file.seek(at)
        file.write(bytes([octet ^ bit]))


def overwrite(path: Path, at: int, octets: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(octets)


def found(directory: Path) -> Damage | None:
    index = directory / "peat.db-shm"
    return examine(wal(directory).read_bytes(), parse_claim(index.read_bytes()) if index.exists() else None)


async def open_and_load(directory: Path) -> tuple[list[bytes], list[dict[str, Any]]]:
    """What is there, and what was said. Twice: what was mended stays so."""
    with capture_logs() as said:
        async with Store.open(directory) as store:
            loaded = await updates_of(store, KEY)
    with capture_logs() as again:
        async with Store.open(directory) as store:
            assert await updates_of(store, KEY) == loaded
    assert again == []
    with closing(sqlite3.connect(directory / "peat.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return loaded, [dict(event) for event in said]


async def test_an_undamaged_log_is_left_alone(crashed: Path) -> None:
    assert found(crashed) is None
    assert await open_and_load(crashed) == ([row(number) for number in range(ROWS)], [])


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "no-index"])
async def test_one_flipped_bit_is_put_right_and_told(crashed: Path, tmp_path: Path, has_index: bool) -> None:
    """But for one in three that could be any of several: these may cost the row that they are in. In the very last
    transaction, and without the index, that is the same as a power cut in it."""
    chance = random.Random(5)
    size = wal(crashed).stat().st_size
    last_frame = size - FRAME
    places = [*(chance.randrange(32, last_frame) for _ in range(12)), *(last_frame + at for at in (0, 5, 17, 23, 999))]
    corrected = 0
    for number, place in enumerate(places):
        trial = tmp_path / str(number)
        shutil.copytree(crashed, trial)
        if not has_index:
            without_index(trial)
        flip(wal(trial), place, 1 << chance.randrange(8))
        loaded, said = await open_and_load(trial)
        if not said and not has_index:
            assert place > last_frame - 8 * FRAME
            assert loaded == [row(number) for number in range(ROWS - 1)]
            continue
        first = said[0]
        if first["event"] == "store_log_mended":
            assert loaded == [row(number) for number in range(ROWS)], place
        else:
            assert (first["event"], first["log_level"]) == ("store_log_damaged", "error"), place
            assert len(loaded) >= ROWS - 1, place
        corrected += first["corrected"]
    assert corrected > len(places) // 2


async def test_each_bit_that_is_known_to_be_wrong_is_the_one(crashed: Path) -> None:
    chance = random.Random(6)
    whole = wal(crashed).read_bytes()
    corrected = 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[chance.randrange(32, len(whole))] ^= 1 << chance.randrange(8)
        damage = examine(bytes(damaged), parse_claim((crashed / "peat.db-shm").read_bytes()))
        assert damage is not None
        if damage.corrected:
            corrected += 1
            assert damage.mended == whole[: len(damage.mended)]
    assert corrected > 36


@pytest.mark.parametrize("at", [0, 4, 8, 16, 19, 24], ids=lambda at: f"byte {at}")
async def test_a_flipped_bit_in_its_header_costs_nothing_while_the_index_is_there(crashed: Path, at: int) -> None:
    flip(wal(crashed), at)
    loaded, said = await open_and_load(crashed)
    assert loaded == [row(number) for number in range(ROWS)]
    assert [event["event"] for event in said] == ["store_log_mended"]


async def test_a_bad_sector_costs_no_more_than_the_page_that_it_is_in(crashed: Path, tmp_path: Path) -> None:
    frames = wal(crashed).stat().st_size // FRAME
    for number in range(5, frames - 5, frames // 8):
        trial = tmp_path / str(number)
        shutil.copytree(crashed, trial)
        overwrite(wal(trial), 32 + number * FRAME + 1000, b"\xff" * 512)
        loaded, said = await open_and_load(trial)
        whole = [row(number) for number in range(ROWS)]
        events = [event["event"] for event in said]
        if loaded == whole:
            assert events[0] in ("store_log_mended", "store_log_damaged")
        else:
            assert events[0] == "store_log_damaged"
            assert set(loaded) < set(whole)
            assert len(loaded) > ROWS - 30, number  # a page has some twenty of these rows


@pytest.mark.parametrize(
    "lose",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: overwrite(path, path.stat().st_size - 5 * FRAME, b"\xff" * 5 * FRAME),
        lambda path: path.write_bytes(path.read_bytes()[: -3 * FRAME - 100]),
    ],
    ids=["removed", "emptied", "overwritten", "cut"],
)
async def test_what_is_gone_is_told(crashed: Path, lose: Callable[[Path], object]) -> None:
    lose(wal(crashed))
    loaded, said = await open_and_load(crashed)
    assert loaded == [row(number) for number in range(len(loaded))]
    assert len(loaded) < ROWS
    assert [(event["event"], event["log_level"]) for event in said] == [("store_log_damaged", "error")]
    assert said[0]["missing_frames"] > 0


async def test_what_is_in_the_main_file_too_is_not_missed(tmp_path: Path) -> None:
    live = tmp_path / "live"
    async with Store.open(live) as store:
        for number in range(ROWS):
            await store.synced(store.record(KEY, row(number)))
        with closing(sqlite3.connect(live / "peat.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            shutil.copytree(live, tmp_path / "crashed")
    whole = wal(tmp_path / "crashed").read_bytes()
    for number, damaged in enumerate((b"", whole[: len(whole) // 2], whole[:10])):
        trial = tmp_path / str(number)
        shutil.copytree(tmp_path / "crashed", trial)
        wal(trial).write_bytes(damaged)
        loaded, said = await open_and_load(trial)
        assert loaded == [row(number) for number in range(ROWS)]
        assert not [event for event in said if event["event"] == "store_log_damaged"]


async def test_a_transaction_that_the_power_cut_was_not_committed(crashed: Path) -> None:
    """Its last frame may be on the disk and one before it not; without more behind it, it is no damage."""
    content = wal(crashed).read_bytes()
    claim = parse_claim((crashed / "peat.db-shm").read_bytes())
    assert claim is not None
    frames = [content[at : at + FRAME] for at in range(32, len(content), FRAME)][: claim.frames]
    commits = [number for number, frame in enumerate(frames) if frame[4:8] != bytes(4)]
    begins = commits[-2] + 1
    assert begins < commits[-1], "the last transaction has several frames"
    without_index(crashed)
    wal(crashed).write_bytes(content[:32] + b"".join(frames))
    overwrite(wal(crashed), 32 + begins * FRAME, bytes(FRAME))
    assert found(crashed) is None
    loaded, said = await open_and_load(crashed)
    assert (loaded, said) == ([row(number) for number in range(ROWS - 1)], [])


async def test_no_damage_of_a_log_is_an_unexpected_error(crashed: Path, tmp_path: Path) -> None:
    chance = random.Random(11)
    whole = [row(number) for number in range(ROWS)]
    for number in range(25):
        trial = tmp_path / f"trial-{number}"
        shutil.copytree(crashed, trial)
        if chance.random() < 0.3:
            without_index(trial)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(wal(trial).stat().st_size)
            overwrite(wal(trial), at, chance.randbytes(chance.choice((1, 3, 40, 5000))))
        with capture_logs() as said:
            async with Store.open(trial) as store:
                loaded = await updates_of(store, KEY)
        assert set(loaded) <= set(whole)
        if loaded != whole:
            assert said, number


@pytest.mark.parametrize("index", [b"", bytes(136), b"\xff" * 32768])
def test_what_is_no_index_claims_nothing(index: bytes) -> None:
    assert parse_claim(index) is None


@pytest.mark.parametrize("is_after_a_power_cut", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_log_that_was_begun_anew_over_an_older_one_is_left_alone(
    tmp_path: Path, rows: int, is_after_a_power_cut: bool
) -> None:
    live, copy = tmp_path / "live", tmp_path / "crashed"
    live.mkdir()
    with closing(sqlite3.connect(live / "peat.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE log (payload)")
        for number in range(40):
            connection.execute("INSERT INTO log VALUES (?)", (row(number),))
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        for number in range(rows):
            connection.execute("INSERT INTO log VALUES (?)", (row(number),))
        shutil.copytree(live, copy)
    assert wal(copy).stat().st_size > 40 * FRAME  # of which most is of the older log
    if is_after_a_power_cut:
        without_index(copy)
    assert found(copy) is None
