"""`python -m sim`: runs seeds, in as many processes as there are processors. Fails if one of them does."""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from sim.plan import mesh_of
from sim.planted import BUGS
from sim.run import Outcome, run_or_die, run_seed

_MAX_SHOWN = 5
"""Failures after which no more seeds are begun."""
_TELLS = 30.0
"""Seconds until it is told again how many are done."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds to run (300)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="replay this one, and tell all that happens")
    parser.add_argument("--nodes", type=int, help="nodes in each run; otherwise 3, every 10th seed 10, every 100th 50")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant this bug, until a seed finds it")
    parser.add_argument("--copies", type=int, help="of each document; otherwise one on each node")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes")
    args = parser.parse_args()
    if args.seed is not None:
        outcome = run_seed(args.seed, size=args.nodes, bug=args.bug, copies=args.copies, told=print)
        print(_line(outcome))
        return int(outcome.failure is not None)
    return _run_all(args)


def _run_all(args: argparse.Namespace) -> int:
    begun = time.monotonic()
    tells_at = begun + _TELLS
    failed: list[Outcome] = []
    slowest: list[Outcome] = []
    asked = acknowledged = 0
    simulated = 0.0
    # What is imported is garbage in no run, and each run ends with a collection.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, mp_context=context, initializer=gc.freeze) as pool:
        # The large meshes first: they take longest.
        seeds = sorted(range(args.first, args.first + args.seeds), key=lambda seed: -_size(seed, args.nodes))
        runs = {
            pool.submit(run_or_die, seed, size=args.nodes, bug=args.bug, copies=args.copies): seed for seed in seeds
        }
        try:
            for number, done in enumerate(as_completed(runs), start=1):
                outcome = done.result()
                if time.monotonic() >= tells_at:
                    tells_at = time.monotonic() + _TELLS
                    print(f"{number} of {args.seeds} seeds in {time.monotonic() - begun:.0f} s", flush=True)
                asked, acknowledged = asked + outcome.asked, acknowledged + outcome.acknowledged
                simulated += outcome.simulated
                slowest = sorted([*slowest, outcome], key=lambda o: -o.seconds)[:3]
                if outcome.failure is not None:
                    failed.append(outcome)
                    print(_line(outcome), flush=True)
                    if len(failed) >= _MAX_SHOWN or args.bug:
                        pool.shutdown(cancel_futures=True, wait=False)
                        break
        except BrokenProcessPool:
            running = sorted(seed for run, seed in runs.items() if not run.done() or run.exception() is not None)
            print(f"a process died in the run of one of these seeds: {running[: 2 * args.jobs]}", file=sys.stderr)
            return 1
    print(
        f"{args.seeds} seeds from {args.first} in {time.monotonic() - begun:.0f} s: {len(failed)} failed; "
        f"{asked} requests, {acknowledged} acknowledged, {simulated / 3600:.1f} h of simulated time"
    )
    print("slowest:", ", ".join(f"{o.seed} ({o.nodes} nodes) {o.seconds:.1f} s" for o in slowest))
    return int(bool(failed))


def _size(seed: int, nodes: int | None) -> int:
    return nodes or mesh_of(seed)


def _line(outcome: Outcome) -> str:
    told = f"seed {outcome.seed} ({outcome.nodes} nodes, {outcome.asked} requests, {outcome.deliveries} deliveries, "
    told += f"{outcome.simulated:.0f} s in {outcome.seconds:.2f} s, checksum {outcome.checksum:08x}): "
    if outcome.failure is None:
        return told + "ok"
    return told + f"{outcome.failure}\n  replay: nox -s sim -- --seed {outcome.seed}"


if __name__ == "__main__":
    sys.exit(main())
