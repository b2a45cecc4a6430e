"""The store stays small, opens quickly, and tells the truth after damage."""

import random

import trio
from fakes.replicas import Replica, linked, until_equal
from trio.testing import MockClock

from peatd.names import DocumentKey, DocumentName
from peatd.upkeep import INTERVAL

NOTES = DocumentName("notes/today")
KEY = DocumentKey(NOTES, 1)


async def write(replica: Replica, count: int) -> None:
    for number in range(count):
        await replica.library.patch(NOTES, {f"field-{number % 10}": number}, if_match=None)


async def test_many_updates_are_folded_into_a_snapshot_that_replays_to_the_same(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(1)).running() as alice:
        await write(alice, 1200)
        assert alice.store.tail_rows(NOTES) == 1200
        await trio.sleep(3 * INTERVAL)
        assert alice.store.tail_rows(NOTES) == 0
        await write(alice, 5)
        await trio.sleep(3 * INTERVAL)
        states, documents = alice.states(), await alice.json()
    async with Replica("alice", random.Random(2), alice.disk).running() as again:
        assert again.states() == states
        assert await again.json() == documents


async def test_a_small_tail_is_left_alone(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(1)).running() as alice:
        await write(alice, 100)
        await trio.sleep(3 * INTERVAL)
        assert alice.store.tail_rows(NOTES) == 100


async def test_one_large_update_is_as_good_as_its_snapshot(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(1)).running() as alice:
        await alice.library.put(NOTES, {"text": "x" * 100_000}, if_match=None)
        await trio.sleep(3 * INTERVAL)
        assert alice.store.tail_rows(NOTES) == 1
        await write(alice, 1)
        await trio.sleep(3 * INTERVAL)
        assert alice.store.tail_rows(NOTES) == 0


async def test_a_large_document_of_which_most_was_deleted_is_made_small(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(1)).running() as alice:
        for number in range(100):
            await alice.library.patch(NOTES, {f"field-{number}": "x" * 1000}, if_match=None)
        await trio.sleep(3 * INTERVAL)
        assert alice.store.tail_rows(NOTES) == 0
        await alice.library.put(NOTES, {"field-0": "x" * 1000}, if_match=None)
        await trio.sleep(3 * INTERVAL)
        assert alice.store.size_bytes(NOTES) < 5000
        assert await alice.json() == {NOTES: {"field-0": "x" * 1000}}


async def test_what_is_reached_is_saved_so_that_a_start_reads_no_updates(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(1)).running() as alice:
        await write(alice, 10)
        await trio.sleep(3 * INTERVAL)
        await alice.store.synced(alice.store.last_seq)
        (stored,) = alice.store.documents()
        assert stored.tail == ()
        assert stored.reach


async def test_what_a_disk_has_lost_comes_back_from_a_peer(autojump_clock: MockClock) -> None:
    seed = random.Random(3)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        async with linked(alice, bob):
            await write(alice, 20)
            await until_equal(alice, bob)
            whole = await bob.json()
        await alice.store.synced(alice.store.last_seq)
    async with Replica("alice", seed, alice.disk).running() as alice, Replica("bob", seed, bob.disk).running() as bob:
        alice.store.damage(KEY, 10)
        await trio.sleep(3 * INTERVAL)
        assert alice.states() != bob.states()
        async with linked(alice, bob):
            await until_equal(alice, bob)
        assert await alice.json() == whole


async def test_what_turns_out_to_be_lost_is_asked_for_at_once(autojump_clock: MockClock) -> None:
    seed = random.Random(4)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob, linked(alice, bob):
        await write(alice, 20)
        await until_equal(alice, bob)
        whole = await bob.json()
        alice.documents.close(KEY)
        alice.store.damage(KEY, 10)
        await trio.sleep(5 * INTERVAL)  # no comparison falls into it
        assert await alice.json() == whole
