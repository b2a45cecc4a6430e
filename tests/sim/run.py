"""Runs the simulation of one seed, and says how it went."""

import contextlib
import faulthandler
import gc
import itertools
import os
import shutil
import signal
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import trio
from sim import sqlite_vfs
from sim.invariants import Violation
from sim.plan import make_plan
from sim.planted import BUGS
from sim.stage import staged
from sim.world import World
from trio.testing import MockClock

_MEMORY = Path("/dev/shm")
"""Where files are kept that nobody syncs: durability is `Disk`'s business."""
_MAX_FAILURE = 4000
"""Characters that are told of a failure."""
_ENOUGH = 500
"""Seeds in which a bug of the kinds that this is for is to be found."""
_HANGS = 600.0
"""Seconds of processor time after which a run is taken for one without end. The largest meshes take a minute."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went.

    Attributes:
        failure: what was wrong; None if nothing was.
        checksum: of all that went over the network: the same whenever the seed is run.
        seconds: that it took, and that passed in it.
    """

    seed: int
    nodes: int
    failure: str | None
    checksum: int
    asked: int
    acknowledged: int
    deliveries: int
    seconds: float
    simulated: float


def run_seed(
    seed: int,
    *,
    size: int | None = None,
    bug: str | None = None,
    copies: int | None = None,
    told: Callable[[str], object] | None = None,
) -> Outcome:
    """One run. The same seed, size and bug give the same outcome, but for `seconds`.

    Args:
        size: the number of nodes, in place of the seed's.
        bug: the name of one of `planted.BUGS`, which the nodes then have.
        copies: so many there are to be of each document, in place of one on each node.
        told: is told what happens, line by line.
    """
    begun = time.perf_counter()
    plan = replace(make_plan(seed, size), copies=copies)
    place = tempfile.mkdtemp(prefix="peatd-sim-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
    root = Path(place).resolve()
    clock = MockClock(autojump_threshold=0)
    world: World | None = None
    simulated = 0.0

    async def main() -> None:
        nonlocal world, simulated
        world = World(plan, root, told)
        try:
            await world.run()
        finally:
            simulated = trio.current_time()

    failure = None
    try:
        with staged(seed, is_verbose=told is not None), BUGS[bug]() if bug else contextlib.nullcontext():
            trio.run(main, clock=clock)
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt | MemoryError):
            raise
        failure = _why(exc)
    finally:
        sqlite_vfs.forget(root)
        shutil.rmtree(root, ignore_errors=True)
        gc.collect()
    assert world is not None
    asked = world.history.asked
    return Outcome(
        seed=seed,
        nodes=len(plan.nodes),
        failure=failure,
        checksum=zlib.crc32((failure or "").encode(), world.network.checksum),
        asked=len(asked),
        acknowledged=sum(1 for each in asked if each.rung is not None),
        deliveries=world.network.deliveries,
        seconds=time.perf_counter() - begun,
        simulated=simulated,
    )


def run_or_die(seed: int, *, size: int | None, bug: str | None, copies: int | None = None) -> Outcome:
    """As `run_seed`; but a run without end ends the process, and tells where it was."""
    faulthandler.register(signal.SIGPROF, chain=True)  # and then the signal does what it always does
    signal.setitimer(signal.ITIMER_PROF, _HANGS)
    try:
        return run_seed(seed, size=size, bug=bug, copies=copies)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def hunt(bug: str, likely: int | None = None) -> Outcome | None:
    """The first run of few nodes that finds the planted bug; None if no seed does that ought to.

    Args:
        likely: the seed to begin with.
    """
    seeds = itertools.chain(() if likely is None else (likely,), range(_ENOUGH))
    runs = (run_seed(seed, size=3, bug=bug) for seed in seeds)
    return next((found for found in runs if found.failure is not None), None)


def _why(exc: BaseException) -> str:
    """A violation as a sentence; whatever else was raised with its traceback."""
    leaves = list(_leaves(exc))
    violations = [str(leaf) for leaf in leaves if isinstance(leaf, Violation)]
    others = [leaf for leaf in leaves if not isinstance(leaf, Violation | trio.Cancelled)]
    told = [*violations, *("".join(traceback.format_exception(other))[-_MAX_FAILURE:] for other in others)]
    return "\n".join(each[:_MAX_FAILURE] for each in told)


def _leaves(exc: BaseException):  # type: ignore[no-untyped-def]  # a recursive generator of exceptions
    if isinstance(exc, BaseExceptionGroup):
        for inner in exc.exceptions:
            yield from _leaves(inner)
    else:
        yield exc
