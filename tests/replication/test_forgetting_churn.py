"""Nodes that come and go for longer than tombstones are kept, by chance: nothing is lost, and nothing comes back."""

import random
from dataclasses import dataclass, field

import pytest
import trio
from fakes.memory_store import Disk
from fakes.replicas import Replica, linked, until_equal
from trio.testing import MockClock

from peatd.library import DURABLE
from peatd.names import DocumentName

NAMES = ("alice", "bob", "carol", "dave")
TTL = 60.0
SETTLED = 15.0
"""Seconds after which all is told of what was known: what happens in the last of them before a crash may come back."""


@dataclass
class World:
    """The nodes that are up, the links between them, and what was done."""

    seed: random.Random
    nursery: trio.Nursery
    disks: dict[str, Disk] = field(default_factory=dict)
    up: dict[str, tuple[Replica, trio.CancelScope]] = field(default_factory=dict)
    links: dict[tuple[str, str], trio.CancelScope] = field(default_factory=dict)
    written: set[DocumentName] = field(default_factory=set)
    deleted: dict[DocumentName, set[str]] = field(default_factory=dict)
    spread: set[DocumentName] = field(default_factory=set)

    def holders(self, name: DocumentName) -> set[str]:
        """The nodes that have the document, those that are away included."""
        away = {n for n, disk in self.disks.items() if n not in self.up and name in disk.lives}
        living = {n for n in away if not self.disks[n].lives[name].deleted}
        entries = {n: replica.replication.table.get(name) for n, (replica, _) in self.up.items()}
        return living | {n for n, entry in entries.items() if entry is not None and not entry.deleted}

    async def step(self) -> None:
        do = self.seed.choice(
            (self.put, self.put, self.delete, self.delete, self.pause, self.toggle, self.toggle, self.link)
        )
        await do()
        # Who got a deleted document from a node that had not heard of it is for the others one that has made it.
        self.spread |= {name for name, holders in self.deleted.items() if not self.holders(name) <= holders}

    def some(self) -> Replica | None:
        return self.up[self.seed.choice(sorted(self.up))][0] if self.up else None

    async def put(self) -> None:
        if node := self.some():
            name = DocumentName(f"notes/{len(self.written)}")
            done = await node.library.put(name, {"n": len(self.written)}, if_match=None)
            await node.library.acknowledged(done, DURABLE, 10)
            self.written.add(name)

    async def delete(self) -> None:
        node = self.some()
        living = sorted(e.name for e in node.replication.table if not e.deleted) if node else []
        if node and living:
            name = self.seed.choice(living)
            holders = self.holders(name)
            done = await node.library.delete(name, if_match=None)
            await node.library.acknowledged(done, DURABLE, 10)
            self.deleted.setdefault(name, holders)

    async def pause(self) -> None:
        await trio.sleep(self.seed.choice((1.0, 20.0, TTL, 3 * TTL)))

    async def toggle(self) -> None:
        """Starts a node, or crashes it."""
        name = self.seed.choice(NAMES)
        if name in self.up:
            await trio.sleep(SETTLED)
            self.up.pop(name)[1].cancel()
            for pair in [pair for pair in self.links if name in pair]:
                self.links.pop(pair).cancel()
            await trio.sleep(0.1)
        else:
            await self.start(name)

    async def start(self, name: str) -> None:
        replica = Replica(name, self.seed, self.disks.get(name), tombstone_ttl=TTL)
        self.disks[name] = replica.disk
        self.up[name] = replica, await self.nursery.start(_run, replica)

    async def link(self) -> None:
        """Links two nodes, or cuts their link."""
        if len(self.up) < 2:
            return
        one, other = sorted(self.seed.sample(sorted(self.up), 2))
        if (one, other) in self.links:
            await trio.sleep(SETTLED)
            self.links.pop((one, other)).cancel()
        else:
            self.links[one, other] = await self.nursery.start(_link, self.up[one][0], self.up[other][0])

    async def all_together(self) -> list[Replica]:
        for name in NAMES:
            if name not in self.up:
                await self.start(name)
        for index, one in enumerate(NAMES):
            for other in NAMES[index + 1 :]:
                if (one, other) not in self.links:
                    self.links[one, other] = await self.nursery.start(_link, self.up[one][0], self.up[other][0])
        return [self.up[name][0] for name in NAMES]


async def _run(replica: Replica, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        async with replica.running():
            task_status.started(scope)
            await trio.sleep_forever()


async def _link(one: Replica, other: Replica, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        async with linked(one, other):
            task_status.started(scope)
            await trio.sleep_forever()


@pytest.mark.parametrize("seed", [*range(11), 57])
async def test_nothing_is_lost_and_nothing_comes_back(seed: int, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        world = World(random.Random(seed), nursery)
        for _ in range(60):
            await world.step()
        nodes = await world.all_together()
        await until_equal(*nodes)
        await trio.sleep(3 * TTL)
        living = {entry.name for entry in nodes[0].replication.table if not entry.deleted}
        assert world.written - world.deleted.keys() - living == set(), "lost"
        assert living & world.deleted.keys() <= world.spread, "came back"
        assert len(nodes[0].replication.table) == len(living), "tombstones are gone"
        nursery.cancel_scope.cancel()
