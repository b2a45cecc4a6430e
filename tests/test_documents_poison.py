"""Thousands of damaged updates through living engines: whatever they do to one, the node and the others are well."""

import json
import random
from pathlib import Path

import pytest
import trio
from fakes.log import MemoryLog

from peatd.documents import Documents, Put
from peatd.errors import DocumentError, Unavailable
from peatd.names import DocumentKey

TARGET = DocumentKey("notes/target", 1)
BYSTANDER = DocumentKey("notes/bystander", 1)
VECTORS = Path(__file__).parent / "vectors"
SEEDS = [bytes.fromhex(vector["hex"]) for vector in json.loads((VECTORS / "updates.json").read_text())["good"]]
SEEDS.append(bytes.fromhex(json.loads((VECTORS / "yjs_document.json").read_text())["hex"]))


def mutants(rng: random.Random, count: int):
    for _ in range(count):
        mutant = bytearray(rng.choice(SEEDS))
        for _ in range(rng.randint(1, 3)):
            mutant[rng.randrange(len(mutant))] = rng.choice((rng.randrange(256), 0, 1, 255))
        yield bytes(mutant)


@pytest.mark.parametrize("engine", ["y-py", "pycrdt"])
async def test_damaged_updates_harm_nobody_else(engine, nursery):
    log, rng = MemoryLog(), random.Random(11204)
    documents = Documents(log, engine=engine, deadline=1.0)
    await nursery.start(documents.run)
    await documents.edit(BYSTANDER, Put({"a": 1}), origin="api", then=lambda news: log.record(BYSTANDER, news.update))
    failures, left, done = [], 3000, trio.Event()

    def ended(failure=None):
        nonlocal left
        left -= 1
        if failure is not None:
            failures.append(failure)
        if not left:
            done.set()

    def then(news):
        if news.update:
            log.record(TARGET, news.update)
        ended()

    for mutant in mutants(rng, 3000):
        documents.submit(TARGET, mutant, origin="mutant", then=then, failed=ended)
        await documents.room(TARGET.name)
    await done.wait()

    assert all(isinstance(failure, DocumentError) for failure in failures)
    assert len(failures) > 1000
    assert (await documents.read(BYSTANDER, lambda view: view)).document == {"a": 1}
    try:
        await documents.read(TARGET, lambda view: view)
        await documents.snapshot(TARGET, bytes)
    except (DocumentError, Unavailable):
        pass  # a document made of damage may be beyond reading; it says so, and that is all
    assert (await documents.read(BYSTANDER, lambda view: view)).document == {"a": 1}
