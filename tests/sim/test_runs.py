"""A run is a function of its seed; and what is wrong with the nodes, it finds."""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from sim.planted import BUGS
from sim.run import Outcome, hunt, run_seed


def replayed(hash_seed: int, *seeds: int) -> list[str]:
    """The checksums of these runs in a process of their own, where sets have another order."""
    program = f"from sim.run import run_seed\nfor seed in {seeds}: print(run_seed(seed).checksum)"
    environ = os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run((sys.executable, "-c", program), env=environ, capture_output=True, text=True, check=True)
    return ran.stdout.split()


def test_a_seed_replays_exactly() -> None:
    seeds = (0, 3, 9, 17)
    first, second = replayed(1, *seeds), replayed(2, *reversed(seeds))
    assert len(set(first)) == len(seeds)
    assert first == second[::-1]


FINDS = {
    "await-between-merge-and-record": 11,
    "tombstone-check-forgotten": 4,
    "fsync-skipped": 0,
    "raw-forward": 1,
    "owed-mark-lost-with-link": 0,
    "ack-before-durable": 0,
    "confirmed-before-durable": 1,
    "durable-seq-after-a-failed-write": 0,
    "anti-entropy-skipped": 6,
    "checkpoint-ahead-of-its-rows": 2,
    "tombstone-not-on-disk": 0,
    "confirmation-of-the-whole-link": 2,
    "await-between-snapshot-and-fold": 11,
}
"""The first seed that finds the bug. When the nodes do things in another order, another one does: it is hunted for."""


@pytest.fixture(scope="module")
def hunted() -> dict[str, Outcome | None]:
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        return dict(zip(BUGS, pool.map(hunt, BUGS, map(FINDS.get, BUGS)), strict=True))


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(hunted: dict[str, Outcome | None], bug: str) -> None:
    found = hunted[bug]
    assert found is not None
    print(f"{bug}: seed {found.seed}: {found.failure}")
    assert "Traceback" not in str(found.failure), "the bug itself is broken, and found by that"
    assert run_seed(found.seed, size=3).failure is None  # it is the bug that was found


@pytest.mark.parametrize("seed", [1, 14, 19])
def test_copies_are_as_many_as_there_are_to_be_and_nothing_is_lost(seed: int) -> None:
    assert run_seed(seed, size=4, copies=2).failure is None
