"""The disk forgets what it may forget, and nothing else; SQLite is the real one."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sim.disk import Disk


@contextmanager
def opened(directory: Path, synchronous: str = "FULL") -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(directory / "peat.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE IF NOT EXISTS log (number INTEGER)")
        yield connection


def write(connection: sqlite3.Connection, *numbers: int) -> None:
    for number in numbers:
        connection.execute("INSERT INTO log VALUES (?)", (number,))


def read(directory: Path) -> list[int]:
    with opened(directory) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM log ORDER BY number")]


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Disk:
    return Disk(tmp_path.resolve(), "peat-mesh-0", random.Random(getattr(request, "param", 0)))


every_chance = pytest.mark.parametrize("disk", range(10), indirect=True)


@every_chance
def test_what_was_synced_survives_a_power_cut(disk: Disk) -> None:
    with opened(disk.begin_life()) as connection:
        write(connection, 1, 2, 3)
        disk.end_life(power=True)
    assert read(disk.begin_life()) == [1, 2, 3]


def test_what_was_not_synced_is_lost_by_some_power_cuts_and_its_order_never_is(tmp_path: Path) -> None:
    left = []
    for seed in range(20):
        disk = Disk(tmp_path.resolve(), f"peat-mesh-{seed}", random.Random(seed))
        with opened(disk.begin_life(), synchronous="OFF") as connection:
            write(connection, *range(20))
            disk.end_life(power=True)
        with suppress(sqlite3.DatabaseError):  # it was told to take no care
            left.append(read(disk.begin_life()))
    assert all(numbers == list(range(len(numbers))) for numbers in left)
    assert any(len(numbers) < 20 for numbers in left)


@every_chance
def test_a_killed_process_takes_nothing_with_it(disk: Disk) -> None:
    with opened(disk.begin_life(), synchronous="OFF") as connection:
        write(connection, 1, 2, 3)
        disk.end_life(power=False)
    assert read(disk.begin_life()) == [1, 2, 3]


@every_chance
def test_what_a_dead_life_still_writes_goes_nowhere(disk: Disk) -> None:
    with opened(disk.begin_life()) as connection:
        write(connection, 1)
        disk.end_life(power=False)
        with pytest.raises(sqlite3.OperationalError):
            write(connection, 2)
        assert read(disk.begin_life()) == [1]
        with pytest.raises(sqlite3.OperationalError):
            write(connection, 3)
    disk.end_life(power=False)
    assert read(disk.begin_life()) == [1]


@every_chance
@pytest.mark.parametrize("operation", range(1, 15))
def test_a_power_cut_at_any_operation_leaves_whole_transactions(disk: Disk, operation: int) -> None:
    with opened(disk.begin_life()) as connection:
        write(connection, 1)
        disk.end_life_at(operation, lambda: disk.end_life(power=True))
        done = [1]
        with suppress(sqlite3.OperationalError):
            for number in range(2, 20):
                write(connection, number)
                done.append(number)
    assert disk.is_dead
    assert read(disk.begin_life()) in (done, [*done, done[-1] + 1])


def test_a_full_disk_takes_nothing_more_until_there_is_space(disk: Disk) -> None:
    with opened(disk.begin_life()) as connection:
        write(connection, 1)
        disk.is_full = True
        with pytest.raises(sqlite3.OperationalError, match="full"):
            write(connection, 2)
        disk.is_full = False
        write(connection, 3)
        disk.end_life(power=True)
    assert read(disk.begin_life()) == [1, 3]


def test_a_broken_disk_syncs_nothing(disk: Disk) -> None:
    with opened(disk.begin_life()) as connection:
        disk.is_broken = True
        with pytest.raises(sqlite3.OperationalError, match="I/O"):
            write(connection, 1)


def test_another_disk_is_an_empty_one(disk: Disk) -> None:
    with opened(disk.begin_life()) as connection:
        write(connection, 1)
        disk.end_life(power=True)
    disk.lose()
    assert read(disk.begin_life()) == []
