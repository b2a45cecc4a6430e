"""How many small updates a second go from one node to another until they are durable there.

One client types into one document; its updates enter the node as those of a link or a WebSocket do, pipelined. The
source is in this process, the peer is a daemon: with their engines four processes.
"""

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio
import y_py

from bench.source import durable_on_peer, key, linked, sink, source
from bench.table import Row
from peatd.documents import News
from peatd.names import DocumentKey
from peatd.replication import Replication

y: Any = y_py  # its stubs are wrong

TARGET = 5000.0
"""Updates a second."""


def measure(*, quick: bool) -> list[Row]:
    updates = typed(5_000 if quick else 50_000)
    with tempfile.TemporaryDirectory() as made, sink(Path(made)) as peer:
        alone, through = trio.run(_run, Path(made), peer.mesh, updates)
    size = sum(map(len, updates)) / len(updates)
    return [
        Row(
            "small updates until durable on a peer",
            through,
            "/s",
            TARGET,
            more_is_better=True,
            beside=("until durable here", alone),
            note=f"{len(updates)} of {size:.0f} bytes, to one document",
        )
    ]


async def _run(directory: Path, address: str, updates: Sequence[bytes]) -> tuple[float, float]:
    async with source(directory) as replication:
        started = time.perf_counter()
        await _submit(replication, key(0), updates)
        await replication.store.synced(replication.store.last_seq)
        alone = len(updates) / (time.perf_counter() - started)
        async with linked(replication, directory, address):
            await durable_on_peer(replication, key(0))
            started = time.perf_counter()
            await _submit(replication, key(1), updates)
            await durable_on_peer(replication, key(1))
            return alone, len(updates) / (time.perf_counter() - started)


async def _submit(replication: Replication, to: DocumentKey, updates: Sequence[bytes]) -> None:
    """All of them, as fast as they are taken; returns when they are merged."""
    merged = trio.Event()
    left = len(updates)

    def then(news: News) -> None:
        nonlocal left
        replication.merge(to, news, None)
        left -= 1
        if not left:
            merged.set()

    for update in updates:
        await replication.store.room()
        replication.documents.submit(to, update, origin="bench", then=then, failed=partial(_fail, to))
        await replication.documents.room(to.name)
    await merged.wait()


def _fail(to: DocumentKey, error: Exception) -> None:
    raise RuntimeError(f"{to.name} was not updated") from error


def typed(count: int) -> list[bytes]:
    """The updates of a client that types so many letters."""
    document = y.YDoc(1)
    text = document.get_text("text")
    updates = []
    for number in range(count):
        before = y.encode_state_vector(document)
        with document.begin_transaction() as transaction:
            text.insert(transaction, number, "x")
        updates.append(y.encode_state_as_update(document, before))
    return updates
