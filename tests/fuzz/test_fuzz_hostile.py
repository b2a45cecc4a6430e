"""Updates that no Yjs program sends, through living engines: nobody else notices, and what was taken stays what it is.

Of a document that was fed nonsense: each refusal is a `DocumentError`; who made the engine panic is in the quarantine,
by name; what a snapshot, a diff and the document opened anew hold is what the node thinks that it has (so that a peer
with the same ETag has the same), and they read as the same JSON.
"""

import random
from collections.abc import AsyncIterator

import pytest
import trio
from fakes.hostile_updates import Hostile
from fakes.log import MemoryLog
from hypothesis import settings

from peatd.documents import Documents, News, Put
from peatd.errors import DocumentError, Quarantined
from peatd.names import DocumentKey
from peatd.reach import EMPTY_STATE_VECTOR, Reach
from peatd.update import check

BYSTANDER = DocumentKey("notes/bystander", 1)
UPDATES = 25
SEEDS = range({"short": 75, "long": 20_000}.get(settings.get_current_profile_name(), 30))


class Fed:
    """A document that is fed by a hostile client, and what its node thinks that it has."""

    def __init__(self, documents: Documents, log: MemoryLog, seed: int) -> None:
        self._documents = documents
        self._log = log
        self._hostile = Hostile(random.Random(seed))
        self.key = DocumentKey(f"hostile/{seed}", 1)
        self.reach = Reach()
        self.panics = 0

    async def feed(self) -> None:
        for update in self._hostile.updates(UPDATES):
            try:
                await self._documents.apply(self.key, update, origin="eve", then=self._merged)
            except Quarantined:
                self.panics += 1
            except DocumentError:
                pass

    def _merged(self, news: News) -> None:
        if news.update:
            self._log.record(self.key, news.update)
            self.reach.absorb(news.content)
            self._hostile.took(dict(news.content.ends))

    async def holds(self) -> tuple[bytes, bytes, object]:
        """The digests of its snapshot and of its full diff, and its JSON."""
        snapshot = await self._documents.snapshot(self.key, bytes)
        diff = await self._documents.diff(self.key, EMPTY_STATE_VECTOR, bytes)
        return digest(snapshot), digest(diff), await self._documents.read(self.key, lambda json: json)


def digest(update: bytes) -> bytes:
    reach = Reach()
    reach.absorb(check(update, subdocuments=True))
    return reach.digest()


class Mill:
    """Documents, one of which is nobody's enemy."""

    def __init__(self, engine: str) -> None:
        self.log = MemoryLog()
        self.fed: dict[DocumentKey, Fed] = {}
        self.documents = Documents(self.log, engine=engine, shrunk=self._opened)

    def _opened(self, key: DocumentKey, reach: bytes) -> None:
        if key in self.fed:
            self.fed[key].reach = Reach.decode(reach)

    async def begin(self) -> None:
        await self.documents.edit(
            BYSTANDER, Put({"a": 1}), origin="api", then=lambda news: self.log.record(BYSTANDER, news.update)
        )

    async def run(self, seed: int) -> None:
        fed = Fed(self.documents, self.log, seed)
        self.fed[fed.key] = fed
        await fed.feed()
        named = [culprit for culprit in self.log.quarantined if culprit.key == fed.key and culprit.seq is None]
        assert len(named) == fed.panics
        assert all(culprit.origin == "eve" and culprit.reason for culprit in named)
        await fed.holds()  # rows that spoil it are found now
        before = await fed.holds()
        self.documents.close(fed.key)
        assert await fed.holds() == before
        assert before[0] == before[1] == fed.reach.digest()
        del self.fed[fed.key]

    async def end(self) -> None:
        assert (await self.documents.read(BYSTANDER, lambda json: json)).document == {"a": 1}
        assert self.documents.status().ready


@pytest.fixture(params=["y-py", "pycrdt"])
async def mill(request: pytest.FixtureRequest, nursery: trio.Nursery) -> AsyncIterator[Mill]:
    mill = Mill(request.param)
    await nursery.start(mill.documents.run)
    await mill.begin()
    yield mill
    await mill.end()


async def test_what_was_taken_stays_what_it_is(mill: Mill) -> None:
    for seed in SEEDS:
        await mill.run(seed)
