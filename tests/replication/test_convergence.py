"""Nodes that write, delete, crash and are cut off from each other end up with the same."""

import random
from functools import partial

import pytest
import trio
from fakes.replicas import Replica, linked, mesh, until_equal
from trio.testing import MockClock

from peatd.errors import NoSuchDocument, Overtaken
from peatd.library import DURABLE, replicated
from peatd.names import DocumentName

NOTES = DocumentName("notes/today")


async def test_a_write_on_one_node_is_on_all(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol):
        await alice.library.put(NOTES, {"title": "today"}, if_match=None)
        await until_equal(alice, bob, carol)
        assert await carol.json() == {NOTES: {"title": "today"}}


async def test_what_comes_from_every_peer_is_the_engines_to_merge_only_once(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol", "dave") as (alice, *others):
        await alice.library.put(NOTES, {"n": 0}, if_match=None)
        await until_equal(alice, *others)
        before = [other.documents.applied for other in others]
        for number in range(1, 11):
            await alice.library.put(NOTES, {"n": number}, if_match=None)
            await until_equal(alice, *others)
        assert sum(other.documents.applied for other in others) - sum(before) <= 2 * 10 * len(others)
        assert all(other.links.owed_documents() == 0 for other in (alice, *others))


async def test_an_empty_document_replicates_too(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob):
        await alice.library.put(NOTES, {}, if_match=None)
        await until_equal(alice, bob)
        assert await bob.json() == {NOTES: {}}


async def test_concurrent_patches_of_different_fields_both_survive(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob):
        await alice.library.put(NOTES, {"at": {"x": 0}}, if_match=None)
        await until_equal(alice, bob)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: alice.library.patch(NOTES, {"at": {"y": 1}}, if_match=None))
            nursery.start_soon(lambda: bob.library.patch(NOTES, {"at": {"z": 2}}, if_match=None))
        await until_equal(alice, bob)
        assert await bob.json() == {NOTES: {"at": {"x": 0, "y": 1, "z": 2}}}


async def test_what_was_written_before_the_link_is_exchanged(autojump_clock: MockClock) -> None:
    seed = random.Random(1)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        for number in range(50):
            await alice.library.put(DocumentName(f"a/{number}"), {"n": number}, if_match=None)
            await bob.library.put(DocumentName(f"b/{number}"), {"n": number}, if_match=None)
        await alice.library.put(NOTES, {"alice": 1}, if_match=None)
        await bob.library.put(NOTES, {"bob": 1}, if_match=None)
        async with linked(alice, bob):
            await until_equal(alice, bob)
        assert (await alice.json())[NOTES] == {"alice": 1, "bob": 1}
        assert alice.library.count() == 101
        assert alice.library.digest() == bob.library.digest()
        await alice.library.delete(NOTES, if_match=None)
        assert alice.library.digest() != bob.library.digest()


@pytest.mark.parametrize("name", ["alice", "bob"])
async def test_what_a_failing_disk_refused_comes_as_soon_as_it_works(autojump_clock: MockClock, name: str) -> None:
    async with mesh("alice", "bob") as nodes:
        (here,) = (node for node in nodes if node.name == name)
        (there,) = (node for node in nodes if node.name != name)
        await there.library.put(NOTES, {"n": 1}, if_match=None)
        await until_equal(*nodes)
        with here.store.failing():
            await there.library.patch(NOTES, {"n": 2}, if_match=None)
            await there.library.put(DocumentName("notes/new"), {"n": 3}, if_match=None)
            await trio.sleep(100)
            assert here.states() != there.states()
        with trio.fail_after(5):
            await until_equal(*nodes)


async def test_what_was_refused_and_then_came_from_another_is_owed_no_more(autojump_clock: MockClock) -> None:
    """When the disk works again, what Carol is to hear of it is on its way while all of it comes from Bob."""
    seed = random.Random(3)
    async with (
        Replica("alice", seed).running() as alice,
        Replica("bob", seed).running() as bob,
        Replica("carol", seed).running() as carol,
        linked(alice, bob),
        linked(bob, carol),
        linked(alice, carol, latency=0.3),
    ):
        await bob.library.put(NOTES, {"n": 1}, if_match=None)
        await until_equal(alice, bob, carol)
        with alice.store.failing():
            await bob.library.patch(NOTES, {"n": 2}, if_match=None)
            await carol.library.patch(NOTES, {"m": 2}, if_match=None)
            await carol.library.put(DocumentName("notes/new"), {"n": 3}, if_match=None)
            await trio.sleep(5)
            assert carol.links.owed_documents() == 2
        with trio.fail_after(5):
            await until_equal(alice, bob, carol)


async def test_a_deletion_is_replicated_once_it_is_on_the_disks_of_peers(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol):
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        await until_equal(alice, bob, carol)
        written = await bob.library.delete(NOTES, if_match=None)
        with trio.fail_after(5):
            assert await bob.library.acknowledged(written, replicated(2), 5) == replicated(2)
        assert all(node.disk.lives[NOTES].deleted for node in (alice, bob, carol))


async def test_a_deleted_document_does_not_come_back_from_a_node_that_was_away(autojump_clock: MockClock) -> None:
    seed = random.Random(2)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        async with linked(alice, bob):
            await alice.library.put(NOTES, {"n": 1}, if_match=None)
            await until_equal(alice, bob)
        await alice.library.delete(NOTES, if_match=None)
        await bob.library.patch(NOTES, {"written": "in ignorance"}, if_match=None)
        async with linked(alice, bob):
            await until_equal(alice, bob)
            assert await bob.json() == await alice.json() == {}
            written = await bob.library.put(NOTES, {"n": 2}, if_match=None)
            assert (written.created, written.incarnation) == (True, 2)
            await until_equal(alice, bob)
        assert await alice.json() == {NOTES: {"n": 2}}


async def test_a_node_learns_of_a_tombstone_of_what_it_never_had(autojump_clock: MockClock) -> None:
    seed = random.Random(3)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        await alice.library.delete(NOTES, if_match=None)
        async with linked(alice, bob):
            await until_equal(alice, bob)
        with pytest.raises(NoSuchDocument):
            await bob.library.read(NOTES)


async def test_a_write_is_acknowledged_when_peers_say_that_it_is_on_their_disks(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol):
        written = await alice.library.put(NOTES, {"n": 1}, if_match=None)
        assert await alice.library.acknowledged(written, replicated(2), timeout=10) >= replicated(2)
        for peer in (bob, carol):
            assert peer.disk.lives[NOTES].rows


@pytest.mark.parametrize("is_made_anew", [True, False])
async def test_a_write_that_a_deletion_has_overtaken_is_not_acknowledged(
    autojump_clock: MockClock, is_made_anew: bool
) -> None:
    seed = random.Random(6)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        async with linked(alice, bob):
            await alice.library.put(NOTES, {"n": 1}, if_match=None)
            await until_equal(alice, bob)
        await alice.library.delete(NOTES, if_match=None)
        if is_made_anew:
            await alice.library.put(NOTES, {"n": 2}, if_match=None)
        written = await bob.library.patch(NOTES, {"written": "in ignorance"}, if_match=None)
        assert await bob.library.acknowledged(written, DURABLE, timeout=10) == DURABLE, "as far as bob can know"
        async with linked(alice, bob):
            with trio.fail_after(5), pytest.raises(Overtaken, match="notes/today was deleted before"):
                await bob.library.acknowledged(written, replicated(1), timeout=10)
            await until_equal(alice, bob)
        assert await bob.json() == ({NOTES: {"n": 2}} if is_made_anew else {})


async def test_a_document_from_before_the_link_can_be_acknowledged_too(autojump_clock: MockClock) -> None:
    seed = random.Random(4)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        async with linked(alice, bob):
            await alice.library.put(NOTES, {"n": 1}, if_match=None)
            await until_equal(alice, bob)
        async with linked(alice, bob):
            written = await alice.library.put(NOTES, {"n": 1}, if_match=None)  # changes nothing
            assert await alice.library.acknowledged(written, replicated(1), timeout=10) >= replicated(1)


async def test_a_large_document_goes_in_pieces_and_a_small_one_overtakes_it(autojump_clock: MockClock) -> None:
    seed = random.Random(5)
    large = DocumentName("large/one")
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        await alice.library.put(large, {str(n): "x" * 100_000 for n in range(50)}, if_match=None)
        async with linked(alice, bob):
            while not any(bob.links.get(d) for d in [e.device_id for e in bob.peers._acquaintances.values()]):
                await trio.lowlevel.checkpoint()
            await alice.library.put(NOTES, {"n": 1}, if_match=None)
            await until_equal(alice, bob)
        assert len((await bob.json())[large]) == 50


@pytest.mark.parametrize(("clients", "least", "most"), [(2, 15, 60), (100, 1, 10)])
async def test_changes_that_a_crowd_makes_gather_on_their_way_to_peers(
    autojump_clock: MockClock, clients: int, least: int, most: int
) -> None:
    async with mesh("alice", "bob") as (alice, bob):
        await alice.library.put(NOTES, {}, if_match=None)
        await until_equal(alice, bob)
        alice.replication.audience[NOTES] = clients
        before = alice.links.traffic().sent_messages
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(partial(alice.library.patch, NOTES, {str(number): number}, if_match=None))
                await trio.sleep(0.002)
            await until_equal(alice, bob)
        assert least <= alice.links.traffic().sent_messages - before <= most
