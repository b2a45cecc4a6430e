"""Whole nodes, but for sockets, disks and the engine's process, in one process and in no time (MockClock)."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio
from fakes.engine_in_process import InProcessDocuments
from fakes.links import credentials, hello, memory_links, peer
from fakes.memory_store import Disk, MemoryStore
from fakes.slow_streams import slow_stream_pair

from peatd.awareness import Awareness
from peatd.drain import Drain
from peatd.forgetting import Forgetting
from peatd.gossip.gossip import Gossip
from peatd.holding import Holding
from peatd.interest import Copies, Interest
from peatd.links import Links
from peatd.local_library import LocalLibrary
from peatd.membership import Membership
from peatd.names import DocumentName
from peatd.peers import PeerTable
from peatd.replication import TOMBSTONE_TTL, Replication
from peatd.revocations import Revocations
from peatd.upkeep import Upkeep
from peatd.view import View


class Replica:
    """One run of one node. Its `disk` outlives it."""

    def __init__(
        self,
        name: str,
        seed: random.Random,
        disk: Disk | None = None,
        *,
        tombstone_ttl: float = TOMBSTONE_TTL,
        collections: Mapping[str, float] | None = None,
        max_links: int = 16,
        copies: Mapping[str, Copies] | None = None,
    ) -> None:
        self.name = name
        self.disk = disk or Disk()
        self.store = MemoryStore(self.disk, sync_delay=lambda: seed.uniform(0.0, 0.02))
        self.documents = InProcessDocuments(self.store, seed, delay=lambda: seed.choice((0.0, 0.0, 0.001)))
        store: Any = self.store
        documents: Any = self.documents
        own = peer(name, initiating=False)
        interest = Interest(copies or {}, bytes.fromhex(own.device_id))
        self.replication = Replication(store, documents, tombstone_ttl=tombstone_ttl, interest=interest)
        self.drain = Drain()
        self.peers = PeerTable(own.node_id, own.device_id)
        self.membership = Membership(credentials(name), hello(name), Revocations())
        self.awareness = Awareness()
        self.gossip = Gossip(self.membership, own.node_id, self.drain)
        view = View(self.gossip.members, max_links, self.gossip.linked_devices)
        self.holding = Holding(self.replication, self.gossip.members, max_links)
        self.library = LocalLibrary(self.replication, self.drain, self.holding.fetch)
        self.links = Links(self.membership, self.peers, self.replication, self.drain, self.awareness, self.gossip, view)
        self.upkeep = Upkeep(self.replication)
        self.forgetting = Forgetting(self.replication, collections or {})

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Replica"]:
        """Leaving it is a crash: what the disk has not synced is gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.store.run)
            await nursery.start(self.documents.run)
            nursery.start_soon(self.upkeep.run)
            nursery.start_soon(self.forgetting.run)
            nursery.start_soon(self.replication.pulse.run)
            nursery.start_soon(self.gossip.run, 11204)
            nursery.start_soon(self.holding.run)
            yield self
            nursery.cancel_scope.cancel()

    def states(self) -> dict[DocumentName, tuple[int, bool, bytes, bytes]]:
        """What it has: incarnation, deleted, state vector and digest of every document."""
        return {
            e.name: (e.incarnation, e.deleted, b"", b"")
            if e.deleted
            else (e.incarnation, e.deleted, e.reach.state_vector(), e.reach.digest())
            for e in self.replication.table
        }

    async def json(self) -> dict[DocumentName, Any]:
        """The JSON of every living document."""
        living = [e.name for e in self.replication.table if not e.deleted]
        return {name: dict((await self.library.read(name)).document) for name in sorted(living)}


@asynccontextmanager
async def linked(one: Replica, other: Replica, latency: float = 0.0) -> AsyncIterator[None]:
    """A link between two replicas, cut without a word at the end; `latency` seconds one way."""
    restricted = [replica.replication.interest.restricted for replica in (one, other)]
    streams = slow_stream_pair(latency) if latency else None
    ours, theirs = memory_links(one.name, other.name, streams=streams, restricted=restricted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.links.keep, ours)
        nursery.start_soon(other.links.keep, theirs)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def mesh(*names: str, seed: int = 0) -> AsyncIterator[list[Replica]]:
    """Replicas with a link between each two."""
    randomness = random.Random(seed)
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(Replica(n, randomness).running()) for n in names]
        for index, one in enumerate(replicas):
            for other in replicas[index + 1 :]:
                await stack.enter_async_context(linked(one, other))
        yield replicas


async def until_equal(*replicas: Replica) -> None:
    """Waits until all have the same, and nobody owes anybody anything."""
    give_up = trio.current_time() + 300
    while True:
        first, *others = [replica.states() for replica in replicas]
        if all(first == other for other in others) and not any(r.links.owed_documents() for r in replicas):
            return
        assert trio.current_time() < give_up, [(r.name, r.links.owed_documents(), r.states()) for r in replicas]
        await trio.sleep(0.05)
