"""What Yjs clients get, of ours and of other servers that run here, in turns (services.py), from one crowd (crowd.py).

Only our rows have targets; they stand beside the best of the others. All servers run all the time, and each measurement
goes to one after the other, as often as it is repeated. A tail is of all repetitions together, a rate is their median.
"""

import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench import client_loads
from bench.client_loads import Result
from bench.services import OURS, Service, services
from bench.table import Row, percentile, tails

Load = Callable[[Service, str, bool], Result | None]

_LOADS: Sequence[tuple[Load, int]] = (
    (client_loads.idle, 1),
    (client_loads.thousand, 1),  # while there is no room left over from others
    (client_loads.across, 3),
    (client_loads.same, 3),
    (client_loads.fan_out, 3),
    (client_loads.burst, 3),
    (client_loads.busy, 3),
    (client_loads.join_1, 2),
    (client_loads.join_4, 2),
    (client_loads.presence_of_many, 3),
    (client_loads.typing, 3),
)
"""Each with how often it is repeated, when it is to be relied on."""


def measure(*, quick: bool) -> list[Row]:
    rows: list[Row] = []
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand clients here, and at each server
    with tempfile.TemporaryDirectory() as made, services(Path(made), only_ours=quick) as (running, missing):
        for load, times in _LOADS:
            started, used = time.perf_counter(), time.process_time()
            results: dict[str, list[Result]] = defaultdict(list)
            for turn in range(1 if quick else times):
                for service in running:
                    result = _result(load, service, turn, quick)
                    if result is not None:
                        results[service.name].append(result)
            took, used = time.perf_counter() - started, time.process_time() - used
            busy = f"the crowd took {used / took:.0%} of a core; load {os.getloadavg()[0]:.1f}"
            print(f"clients, {load.__name__}: {took:.1f} s; {busy}", file=sys.stderr)
            if results:
                rows += _rows(results, busy)
    return rows + [Row(f"clients: not measured, {lack}", 0.0, "") for lack in missing]


def _result(load: Load, service: Service, turn: int, quick: bool) -> Result | None:
    """None if it takes more than the service has; or can do, unless it is ours: that would be a fault."""
    try:
        return load(service, f"{load.__name__}-{turn}", quick)
    except (OSError, RuntimeError, TimeoutError) as exc:
        if service.name == OURS:
            raise
        print(f"clients, {load.__name__}: {service.name} failed: {exc}", file=sys.stderr)
        return None


def _rows(results: Mapping[str, Sequence[Result]], busy: str) -> list[Row]:
    """For each value of a load: ours beside the best of the others, then each of these."""
    rows = []
    for number, measured in enumerate(results[OURS][0].values):
        numbers = {
            name: [one for result in some for one in result.values[number].numbers] for name, some in results.items()
        }
        values = {name: percentile(all_, measured.share) for name, all_ in numbers.items()}
        others = {name: value for name, value in values.items() if name != OURS}
        best = (max if measured.more_is_better else min)(others, key=others.__getitem__, default=None)
        for name, value in values.items():
            note = tails([number / 1000 for number in numbers[name]]) if measured.unit == "ms" else ""
            row = Row(f"clients: {measured.what}, {name}", value, measured.unit, note=note)
            if name == OURS:
                row = replace(
                    row,
                    target=measured.target,
                    more_is_better=measured.more_is_better,
                    beside=None if best is None else (best, others[best]),
                    note="; ".join(filter(None, (note, busy))),
                )
            rows.append(row)
    return rows
