"""How fast a first sync of large values is, beside the same TLS stream that carries nothing but bytes.

Between them stand the disk and the engine, through which every update goes. The slowest of the three, each measured
alone, is what a sync until durable can reach at most: each engine is set beside both, the stream and that limit.
"""

import importlib.util
import random
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import trio
import y_py

from bench.daemons import bare_environ
from bench.source import dialled, durable_on_peer, key, linked, sink, source
from bench.table import Row
from peatd.documents import News
from peatd.names import DocumentKey
from peatd.replication import Replication
from peatd.store import Store

y: Any = y_py  # its stubs are wrong

SHARE = 0.5
"""Of what the stream carries, and of what the slowest stage does alone."""

_VALUE_BYTES = 250_000
_CHUNK_BYTES = 256 * 1024


def measure(*, quick: bool) -> list[Row]:
    values = [_update(number) for number in range(60 if quick else 400)]
    size = sum(map(len, values)) / 1e6
    raw_bytes = sum(map(len, values)) // _CHUNK_BYTES * _CHUNK_BYTES
    with tempfile.TemporaryDirectory() as made, _drain(Path(made), raw_bytes) as address:
        raw = raw_bytes / 1e6 / trio.run(_raw, Path(made), address, raw_bytes)
    stored = trio.run(_stored, values)
    rows = [Row("bulk: a store alone, until durable", stored, "MB/s", beside=("raw TLS", raw))]
    for engine in _engines():
        with tempfile.TemporaryDirectory() as made, sink(Path(made), engine) as peer:
            synced, merged = trio.run(_run, Path(made), engine, peer.mesh, values)
        stages = {"raw TLS": raw, "the store alone": stored, "the engine alone": size / merged}
        rows += _rows(f"bulk sync until durable, {engine}", size / synced, stages)
        rows[-1] = replace(rows[-1], note=f"{size:.0f} MB in {len(values)} documents")
    return rows


def _rows(what: str, reached: float, stages: Mapping[str, float]) -> list[Row]:
    slowest = min(stages, key=stages.__getitem__)
    return [
        Row(what, reached, "MB/s", SHARE * stages[limit], more_is_better=True, beside=(limit, stages[limit]))
        for limit in dict.fromkeys(("raw TLS", slowest))
    ]


def _engines() -> list[str]:
    return ["y-py", "pycrdt"] if importlib.util.find_spec("pycrdt") else ["y-py"]


async def _run(directory: Path, engine: str, address: str, values: Sequence[bytes]) -> tuple[float, float]:
    """Seconds for the sync, and for an engine to merge all that is synced."""
    async with source(directory, engine) as replication:
        for number, update in enumerate(values):
            merge = partial(_merge, replication, key(number))
            await replication.documents.apply(key(number), update, origin="bench", then=merge)
        for number in range(len(values)):
            replication.documents.close(key(number))  # as after a start: a first sync finds most documents closed
        await replication.store.synced(replication.store.last_seq)
        started = time.perf_counter()
        async with linked(replication, directory, address):
            for number in range(len(values)):
                await durable_on_peer(replication, key(number))
            synced = time.perf_counter() - started
        return synced, await _merge_alone(replication, values)


async def _merge_alone(replication: Replication, values: Sequence[bytes]) -> float:
    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number, update in enumerate(values, start=len(values)):
            apply = partial(replication.documents.apply, key(number), update, origin="bench", then=_forget)
            nursery.start_soon(apply)
    return time.perf_counter() - started


async def _stored(values: Sequence[bytes]) -> float:
    with tempfile.TemporaryDirectory() as made:
        async with Store.open(Path(made)) as store:
            started = time.perf_counter()
            for number, update in enumerate(values):
                await store.room()
                store.record(key(number), update)
            await store.synced(store.last_seq)
            return sum(map(len, values)) / 1e6 / (time.perf_counter() - started)


def _merge(replication: Replication, to: DocumentKey, news: News) -> None:
    replication.merge(to, news, None)


def _forget(_news: News) -> None:
    """It is not to be recorded."""


@contextmanager
def _drain(directory: Path, size_bytes: int) -> Iterator[str]:
    """A process that throws away so much of what comes; its address."""
    command = [sys.executable, "-m", "bench.drain", str(directory), str(size_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=bare_environ()) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


async def _raw(directory: Path, address: str, size_bytes: int) -> float:
    """Seconds in which a link's stream carries so much."""
    link = await dialled(directory, address)
    is_awaited = bool(link.early)
    while not is_awaited:
        is_awaited = bool(link.connection.receive(await link.stream.receive_some()))
    started = time.perf_counter()
    for _ in range(size_bytes // _CHUNK_BYTES):
        await link.stream.send_all(bytes(_CHUNK_BYTES))
    await link.stream.receive_some(1)
    took = time.perf_counter() - started
    await trio.aclose_forcefully(link.stream)
    return took


def _update(number: int) -> bytes:
    """One client's document that holds one large value."""
    document = y.YDoc(number + 1)
    value = "".join(random.choices(string.ascii_letters, k=_VALUE_BYTES))
    with document.begin_transaction() as transaction:
        document.get_map("data").set(transaction, "value", value)
    return bytes(y.encode_state_as_update(document))
