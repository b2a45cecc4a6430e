"""What crosses which links: a change each link at most once, and most links not at all; and nothing is lost by it."""

import itertools
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from fakes.links import memory_links
from fakes.replicas import Replica, linked, mesh, until_equal
from trio.testing import MockClock

from peatd.exchange import PeerExchange
from peatd.interest import Copies
from peatd.library import replicated
from peatd.names import DocumentName
from peatd.wire.messages import Graft, Having, Message, Updates

NAME = DocumentName("notes/a")


class Heard:
    """What the nodes receive, by kind; and what is dropped on its way to some of them, or takes a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.updates = self.summaries = self.grafts = 0
        self.dropped: set[PeerExchange] = set()
        self.latency = 0.0
        received = PeerExchange.received

        async def counted(exchange: PeerExchange, message: Message) -> None:
            if isinstance(message, Updates):
                if exchange in self.dropped:
                    return
                self.updates += 1
            self.summaries += isinstance(message, Having)
            self.grafts += isinstance(message, Graft)
            await trio.sleep(self.latency)
            await received(exchange, message)

        monkeypatch.setattr(PeerExchange, "received", counted)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(monkeypatch)


async def write(node: Replica, key: str, value: int) -> None:
    await node.library.patch(NAME, {key: value}, if_match=None)


async def until_same(one: Replica, other: Replica) -> None:
    """As soon as they have the same, whatever they owe each other."""
    while True:
        if one.states() == other.states():
            return
        await trio.sleep(0.01)


async def test_in_a_full_mesh_a_change_soon_comes_once(heard: Heard, autojump_clock: MockClock) -> None:
    async with mesh(*(f"n{number}" for number in range(6))) as nodes:
        for count in range(5):
            for node in nodes:
                await write(node, node.name, count)
                await trio.sleep(1)
        heard.updates = 0
        for count in range(5):
            for node in nodes:
                await write(node, node.name, 10 + count)
                await trio.sleep(1)
        await until_equal(*nodes)
        assert heard.updates == 5 * 6 * 5
        assert heard.grafts == 0


async def test_in_a_ring_with_chords_it_crosses_the_links_of_a_tree(heard: Heard, autojump_clock: MockClock) -> None:
    async with AsyncExitStack() as stack:
        seed = random.Random(1)
        nodes = [await stack.enter_async_context(Replica(f"n{n}", seed).running()) for n in range(12)]
        pairs = {(one, (one + step) % 12) for one in range(12) for step in (1, 3)}
        for one, other in sorted(pairs):
            await stack.enter_async_context(linked(nodes[one], nodes[other]))
        for count in range(8):
            await write(nodes[0], "a", count)
            await trio.sleep(2)
        await until_equal(*nodes)
        heard.updates = 0
        for count in range(20):
            await write(nodes[0], "b", count)
            await trio.sleep(2)
        await until_equal(*nodes)
        assert heard.updates <= 20 * 11 * 1.3
        assert heard.updates >= 20 * 11


@asynccontextmanager
async def circulant(size: int, seed: random.Random) -> AsyncIterator[list[Replica]]:
    """A mesh in which each is linked with six others."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Replica(f"n{n}", seed).running()) for n in range(size)]
        for one, other in sorted({(n, (n + step) % size) for n in range(size) for step in (1, 3, 6)}):
            await stack.enter_async_context(linked(nodes[one], nodes[other]))
        yield nodes


async def grow_tree(nodes: list[Replica], seed: random.Random) -> None:
    for count in range(30):
        await write(seed.choice(nodes), "a", count)
        await trio.sleep(2)


async def test_whoever_writes_it_crosses_the_links_of_one_tree(heard: Heard, autojump_clock: MockClock) -> None:
    seed = random.Random(2)
    async with circulant(16, seed) as nodes:
        for count in range(60):
            if count == 30:
                await until_equal(*nodes)
                heard.updates = heard.grafts = 0
            await write(seed.choice(nodes), "a", count)
            begun = trio.current_time()
            for node in nodes:
                await until_same(nodes[0], node)
            assert count < 30 or trio.current_time() - begun < 0.35, "nobody waits for a summary"
            await trio.sleep(2)
        await until_equal(*nodes)
        # 15 along the tree, and from its author to those of six who are not beside it there: they confirm it.
        assert heard.updates <= 30 * (15 + 5) * 1.05
        assert heard.grafts <= 2


async def test_where_all_are_linked_and_have_nothing_each_gets_a_document_once(
    heard: Heard, autojump_clock: MockClock
) -> None:
    async with circulant(16, random.Random(3)) as nodes, Replica("full", random.Random(4)).running() as full:
        await trio.sleep(2)
        for number in range(20):
            await full.library.put(DocumentName(f"notes/{number}"), {"n": number}, if_match=None)
        async with linked(full, nodes[0]), linked(full, nodes[7]):
            await until_equal(full, *nodes)
    assert heard.updates <= 20 * 16 * 1.1


async def test_the_tree_stands_while_many_write_at_once(heard: Heard, autojump_clock: MockClock) -> None:
    seed = random.Random(3)
    async with circulant(16, seed) as nodes:
        await grow_tree(nodes, seed)
        heard.updates = 0
        for count in range(200):
            await write(seed.choice(nodes), "b", count)
            await trio.sleep(0.005)
        await until_equal(*nodes)
        assert heard.updates <= 200 * 15 * 1.5


async def test_the_tree_stands_while_a_document_goes_on_changing(heard: Heard, autojump_clock: MockClock) -> None:
    seed = random.Random(6)
    async with circulant(16, seed) as nodes:
        await grow_tree(nodes, seed)
        heard.grafts, heard.latency = 0, 0.01
        for count in range(100):
            await write(seed.choice(nodes), "b", count)
            begun = trio.current_time()
            for node in nodes:
                await until_same(nodes[0], node)
            assert trio.current_time() - begun < 0.35, "nobody waits for a summary"
            await trio.sleep(0.1)
        assert heard.grafts <= 2


async def test_in_a_partial_mesh_a_write_is_confirmed_by_all_who_are_linked(autojump_clock: MockClock) -> None:
    seed = random.Random(4)
    async with circulant(16, seed) as nodes:
        for count in range(20):
            author = seed.choice(nodes)
            written = await author.library.patch(NAME, {"a": count}, if_match=None)
            with trio.fail_after(1.0):  # one summary
                await author.library.acknowledged(written, replicated(6), 5.0)
            await trio.sleep(1)


async def test_documents_of_few_copies_do_not_wait_for_a_summary(heard: Heard, autojump_clock: MockClock) -> None:
    seed = random.Random(5)
    few = {"few": Copies(2)}
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Replica(f"n{n}", seed, copies=few).running()) for n in range(8)]
        for one, other in sorted({(n, (n + step) % 8) for n in range(8) for step in (1, 2)}):
            await stack.enter_async_context(linked(nodes[one], nodes[other]))
        for count in range(20):  # which links rest is found by what is everywhere
            await write(seed.choice(nodes), "a", count)
            await trio.sleep(2)
        names = [DocumentName(f"few/{number}") for number in range(8)]
        for name in names:
            await nodes[0].library.put(name, {"count": 0}, if_match=None)
        await trio.sleep(60)
        rested = 0
        for name in names:
            holders = [node for node in nodes if (entry := node.replication.table.get(name)) and not entry.is_name]
            for one, other in itertools.permutations(holders, 2):
                link = one.links.get(other.membership.device_id)
                if link is not None and link[1].sync.lazy.is_late:
                    rested += 1
                    await one.library.patch(name, {"count": rested}, if_match=None)
                    await trio.sleep(0.3)  # a summary may be due later
                    assert (await other.library.read(name)).document["count"] == rested
        assert rested


async def test_a_branch_that_breaks_is_grafted(heard: Heard, autojump_clock: MockClock) -> None:
    """Alice's changes come to carol from alice; bob rests. Then alice's link to carol carries nothing, and says so to
    nobody."""
    async with mesh("alice", "bob") as (alice, bob), mesh("carol") as (carol,):
        ours, theirs = memory_links("alice", "carol")
        async with trio.open_nursery() as nursery, linked(bob, carol):
            nursery.start_soon(alice.links.keep, ours)
            nursery.start_soon(carol.links.keep, theirs)
            for count in range(5):
                await write(alice, "a", count)
                await trio.sleep(2)
            assert carol.states() == alice.states()
            live = carol.links.get(alice.membership.device_id)
            assert live is not None
            heard.dropped.add(live[1])
            begun = trio.current_time()
            await write(alice, "a", 100)
            await until_same(alice, carol)
            assert trio.current_time() - begun < 2.0
            heard.dropped.clear()
            assert heard.grafts >= 1
            begun = trio.current_time()
            heard.dropped.add(live[1])
            await write(alice, "a", 101)
            await until_same(alice, carol)
            assert trio.current_time() - begun < 0.3  # bob pushes again
            nursery.cancel_scope.cancel()


async def test_a_write_is_replicated_to_as_many_as_are_linked(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol", "dave") as nodes:
        for count in range(5):
            for node in nodes:
                written = await node.library.patch(NAME, {node.name: count}, if_match=None)
                with trio.fail_after(0.4):  # before any summary
                    await node.library.acknowledged(written, replicated(3), 5.0)


async def test_a_deletion_goes_everywhere_at_once(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol), mesh("dave") as (dave,), linked(carol, dave):
        for count in range(3):
            await write(alice, "a", count)
            await trio.sleep(1)
        await alice.library.delete(NAME, if_match=None)
        await trio.sleep(0.3)
        assert [node.states()[NAME][1] for node in (alice, bob, carol, dave)] == [True] * 4
