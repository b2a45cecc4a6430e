"""Whose content must not come back: every node knows the clients of a document's earlier lives, however it learned."""

import random

import trio
from fakes.replicas import Replica, linked, mesh, until_equal
from trio.testing import MockClock

from peatd.library import DURABLE
from peatd.names import DocumentName

NOTES = DocumentName("notes/a")


def former(replica: Replica) -> tuple[int, ...]:
    entry = replica.replication.table.get(NOTES)
    assert entry is not None
    return entry.reach.former


async def test_the_end_of_a_life_is_told_with_its_clients_and_the_next_life_remembers(
    autojump_clock: MockClock,
) -> None:
    async with mesh("alice", "bob", "carol") as nodes:
        alice, bob, carol = nodes
        for node in nodes:
            await node.library.patch(NOTES, {node.name: 1}, if_match=None)
        await until_equal(*nodes)
        await bob.library.delete(NOTES, if_match=None)
        await until_equal(*nodes)
        assert len(former(alice)) == 3
        assert former(alice) == former(bob) == former(carol)
        before = former(alice)
        await carol.library.put(NOTES, {"n": 2}, if_match=None)
        await until_equal(*nodes)
        assert former(alice) == former(bob) == former(carol) == before


async def test_a_node_that_never_had_a_life_learns_who_wrote_it(autojump_clock: MockClock) -> None:
    seed = random.Random(3)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        await alice.library.delete(NOTES, if_match=None)
        async with linked(alice, bob):
            await until_equal(alice, bob)
            await trio.sleep(1)
            assert former(bob) == former(alice)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        await alice.library.delete(NOTES, if_match=None)
        await alice.library.put(NOTES, {"n": 2}, if_match=None)
        async with linked(alice, bob):
            await until_equal(alice, bob)
            await trio.sleep(1)
            assert former(bob) == former(alice)
            assert len(former(bob)) == 1


async def test_two_nodes_that_knew_of_different_writers_know_of_both(autojump_clock: MockClock) -> None:
    seed = random.Random(4)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        await bob.library.put(NOTES, {"m": 1}, if_match=None)
        await bob.library.delete(NOTES, if_match=None)
        async with linked(alice, bob):
            await until_equal(alice, bob)
            await trio.sleep(1)
            assert len(former(alice)) == 2
            assert former(bob) == former(alice)


async def test_it_is_remembered_over_restarts(autojump_clock: MockClock) -> None:
    seed = random.Random(5)
    replica = Replica("alice", seed)
    async with replica.running() as alice:
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        written = await alice.library.delete(NOTES, if_match=None)
        before = former(alice)
        await alice.library.acknowledged(written, DURABLE, 5)
    async with Replica("alice", seed, replica.disk).running() as alice:
        assert former(alice) == before
        written = await alice.library.put(NOTES, {"n": 2}, if_match=None)
        await alice.library.acknowledged(written, DURABLE, 5)
    async with Replica("alice", seed, replica.disk).running() as alice:
        assert former(alice) == before
