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


@pytest.fixture(scope="module")
def hunted() -> dict[str, Outcome | None]:
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        return dict(zip(BUGS, pool.map(hunt, BUGS), strict=True))


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(hunted: dict[str, Outcome | None], bug: str) -> None:
    found = hunted[bug]
    assert found is not None
    print(f"{bug}: seed {found.seed}: {found.failure}")
    assert run_seed(found.seed, size=3).failure is None  # it is the bug that was found
