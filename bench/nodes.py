"""Many nodes on one machine: how soon they are one mesh, what an update on all takes and costs, and what rest costs."""

import contextlib
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.daemons import Daemon, processor_seconds
from bench.latency import write_and_read
from bench.table import Row, percentile, tails

CONVERGED, ON_ALL, TRAFFIC, IDLE = 5.0, 250.0, 2.0, 1.0
"""Seconds; milliseconds (p99); times the bytes that a spanning tree would carry; percent of a core for each node."""

_MAX_LINKS = 16
_QUICK_SIZE, _QUICK_LINKS = 8, 4
_SIZE = 50
_LONGEST = 240.0
"""Seconds for the start: fifty Pythons that import take half a minute of two cores that have nothing else to do."""
_SETTLED = 20.0
"""Seconds after which nothing of the start is still going on."""


def measure(*, quick: bool) -> list[Row]:
    size, most = (_QUICK_SIZE, _QUICK_LINKS) if quick else (_SIZE, _MAX_LINKS)
    # An address for each: whoever is dialled from another's address may be there, too, and is dialled at once.
    net = f"127.{random.randrange(1, 255)}.{random.randrange(255)}"
    addresses = [f"{net}.{number}:11204" for number in range(1, size + 1)]
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as stack:
        daemons = []
        for number, address in enumerate(addresses):
            peers = [word for other in addresses if other != address for word in ("--peer", other)]
            options = ("--discovery", "static", "--max-links", str(most), *peers)
            daemons.append(stack.enter_context(Daemon(Path(made), f"n{number}", *options, bind=address)))
        rows = [_started(daemons)]
        time.sleep(_SETTLED / 4 if quick else _SETTLED)
        rows.append(_idle(daemons, 3.0 if quick else 20.0))
        rows += _updates(daemons, 20 if quick else 100)
        links = [int(_metrics(daemon)['peat_peers{state="linked"}']) for daemon in daemons]
        rows.append(Row(f"{size} nodes: links of each, at most", max(links), "", most, note=f"at least {min(links)}"))
    return rows


def _started(daemons: Sequence[Daemon]) -> Row:
    begun = daemons[0].started_at
    _until(lambda: all((daemon.directory / "node.json").exists() for daemon in daemons))
    ready = time.perf_counter()
    computed = _processor_seconds(daemons)

    def is_one(daemon: Daemon) -> bool:
        found = _metrics(daemon)
        return (found["peat_members"], found["peat_members_unreachable"]) == (len(daemons), 0)

    for daemon in daemons:
        _until(lambda daemon=daemon: is_one(daemon))  # type: ignore[misc]
    one = time.perf_counter()
    more = _processor_seconds(daemons) - computed
    note = (
        f"{one - begun:.1f} s after the first was started; of {os.cpu_count()} cores {computed:.0f} s until the last "
        f"was up, {more:.0f} s from then on"
    )
    return Row(f"{len(daemons)} nodes: one mesh after the last is up", one - ready, "s", CONVERGED, note=note)


def _updates(daemons: Sequence[Daemon], count: int) -> list[Row]:
    chance = random.Random(1)
    for number in range(30):  # until the tree has grown
        write_and_read(chance.choice(daemons), daemons, -1 - number)
        time.sleep(0.1)
    time.sleep(2.0)
    before, computed, times = [_metrics(daemon) for daemon in daemons], _processor_seconds(daemons), []
    for number in range(1, count + 1):
        times.append(write_and_read(chance.choice(daemons), daemons, number)[1])
        time.sleep(0.1)
    computed = _processor_seconds(daemons) - computed
    time.sleep(2.0)  # for what is sent later, to be confirmed
    after = [_metrics(daemon) for daemon in daemons]

    def more(name: str) -> float:
        return sum(late[name] - early[name] for early, late in zip(before, after, strict=True))

    tree = more("peat_news_bytes_total") * (len(daemons) - 1) / len(daemons)
    sent, everything = more("peat_link_sent_update_bytes_total"), more("peat_link_sent_bytes_total")
    size = len(daemons)
    note = f"{everything / count:,.0f} bytes for each with confirmations, summaries, pings and gossip"
    on_all = f"{tails(times)}, {1000 * computed / count:.0f} ms of processor time for each"
    return [
        Row(f"{size} nodes: an update on all (p99)", 1000 * percentile(times, 0.99), "ms", ON_ALL, note=on_all),
        Row(f"{size} nodes: bytes of updates / a spanning tree's", sent / tree, "", TRAFFIC, note=note),
    ]


def _idle(daemons: Sequence[Daemon], span: float) -> Row:
    before, begun = _processor_seconds(daemons), time.perf_counter()
    time.sleep(span)
    share = (_processor_seconds(daemons) - before) / (time.perf_counter() - begun) / len(daemons)
    return Row(f"{len(daemons)} nodes: a core's share of each when idle", 100 * share, "%", IDLE)


def _processor_seconds(daemons: Sequence[Daemon]) -> float:
    """Of all nodes and their engines."""
    return sum(processor_seconds(daemon.pids()) for daemon in daemons)


def _metrics(daemon: Daemon) -> Mapping[str, float]:
    lines = daemon.text("/metrics").splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_LONGEST:g} s")
        time.sleep(0.05)
