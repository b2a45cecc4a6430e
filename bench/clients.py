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
from pathlib import Path

from bench import client_loads
from bench.client_loads import Result
from bench.services import OURS, Service, services
from bench.table import Row, percentile

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
            started = time.perf_counter()
            results: dict[str, list[Result]] = defaultdict(list)
            for turn in range(1 if quick else times):
                for service in running:
                    result = load(service, f"{load.__name__}-{turn}", quick)
                    if result is not None:
                        results[service.name].append(result)
            print(f"clients, {load.__name__}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
            if results:
                rows += _rows(results)
    rows.append(Row("clients: load of the machine", os.getloadavg()[0], "", note="; ".join(missing)))
    return rows


def _rows(results: Mapping[str, Sequence[Result]]) -> list[Row]:
    """For each value of a load: ours beside the best of the others, then each of these."""
    rows = []
    for number, measured in enumerate(results[OURS][0].values):
        values = {
            name: _value([result.values[number].numbers for result in some], measured.share)
            for name, some in results.items()
        }
        others = {name: value for name, value in values.items() if name != OURS}
        best = (max if measured.more_is_better else min)(others, key=others.__getitem__, default=None)
        for name, value in values.items():
            is_ours = name == OURS
            rows.append(
                Row(
                    f"clients: {measured.what}, {name}",
                    value,
                    measured.unit,
                    measured.target if is_ours else None,
                    measured.more_is_better,
                    beside=(best, others[best]) if is_ours and best is not None else None,
                )
            )
    return rows


def _value(numbers: Sequence[Sequence[float]], share: float) -> float:
    return percentile([number for some in numbers for number in some], share)
