"""How long until a durable write on one of three nodes can be read on both others, all asked over HTTP."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.daemons import Daemon, mesh
from bench.table import Row, percentile, tails

P50, P99 = 10.0, 50.0
"""Milliseconds."""

_DOCUMENT = "documents/bench/latency"


def measure(*, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as made, mesh(Path(made), ("alice", "bob", "carol")) as (alice, *others):
        for number in range(20):
            write_and_read(alice, others, -number)
        times = [write_and_read(alice, others, number) for number in range(1, 51 if quick else 1001)]
        durable, readable = zip(*times, strict=True)
        fsync = 1000 * percentile(_fsyncs(Path(made)), 0.5)
    return [
        Row("written: durable here (p50)", 1000 * percentile(durable, 0.5), "ms", note=tails(durable)),
        Row(
            "written: readable on both others (p50)",
            1000 * percentile(readable, 0.5),
            "ms",
            P50,
            beside=("one fsync", fsync),
            note=tails(readable),
        ),
        Row("written: readable on both others (p99)", 1000 * percentile(readable, 0.99), "ms", P99),
    ]


def write_and_read(writer: Daemon, readers: Sequence[Daemon], number: int) -> tuple[float, float]:
    """Seconds from before the request: until it was answered, and until the last reader had it."""
    started = time.perf_counter()
    status, _ = writer.ask("PUT", _DOCUMENT, {"number": number})
    if status not in (200, 201, 204):
        raise RuntimeError(f"the write was answered with {status}")
    durable = time.perf_counter() - started
    waiting = list(readers)
    while waiting:
        for reader in waiting:
            reader.question("GET", _DOCUMENT)
        waiting = [reader for reader in waiting if not _has(reader.answer(), number)]
    return durable, time.perf_counter() - started


def _has(answer: tuple[int, Any], number: int) -> bool:
    status, body = answer
    return bool(status == 200 and body["document"]["number"] == number)


def _fsyncs(directory: Path) -> list[float]:
    """Seconds for 1 KB and an fsync, again and again, where the nodes have their disks."""
    times = []
    with (directory / "fsync").open("wb", buffering=0) as file:
        for _ in range(100):
            started = time.perf_counter()
            file.write(bytes(1024))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return times
