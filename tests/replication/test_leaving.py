"""Before a node leaves, its live peers have what they are owed, as far as they can be given it."""

import random

import trio
from fakes.links import memory_links
from fakes.replicas import Replica, linked, mesh
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.entry import Entry
from peatd.leaving import Flush
from peatd.names import DeviceId, DocumentName

NOTES = DocumentName("notes/today")
OTHER = DocumentName("notes/tomorrow")


class Arrival:
    """Watches for the first change."""

    def __init__(self) -> None:
        self.merged = trio.Event()

    def begun(self, entry: Entry, origin: DeviceId | None) -> None:
        """Is not the change yet."""

    def changed(self, entry: Entry, update: bytes, origin: DeviceId | None) -> None:
        self.merged.set()

    def ended(self, entry: Entry, origin: DeviceId | None) -> None:
        """Does not happen."""


async def write_steadily(replica: Replica) -> None:
    n = 0
    while True:
        n += 1
        await replica.library.patch(NOTES, {f"{replica.name}-{n}": n}, if_match=None)
        await trio.sleep(0.001)


async def test_with_nobody_there_is_nothing_to_wait_for(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(1)).running() as alice:
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        flush = Flush(alice.links, alice.replication)
        with trio.fail_after(0):
            await flush.wait()
        assert flush.owed() == {}


async def test_it_ends_when_every_peer_has_everything_on_its_disk(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol):
        await wait_all_tasks_blocked()
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        await alice.library.put(OTHER, {"text": "x" * 1_000_000}, if_match=None)
        await alice.library.delete(OTHER, if_match=None)
        flush = Flush(alice.links, alice.replication)
        assert flush.owed() == {"bob": 2, "carol": 2}
        with trio.fail_after(1):
            await flush.wait()
        assert flush.owed() == {}
        for peer in (bob, carol):
            assert peer.states() == alice.states()
            assert peer.store.durable_seq == peer.store.last_seq


async def test_a_peer_that_stalls_is_owed_and_named(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(1)).running() as alice, trio.open_nursery() as nursery:
        ours, _theirs = memory_links("alice", "bob")
        nursery.start_soon(alice.links.keep, ours)
        await wait_all_tasks_blocked()
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        flush = Flush(alice.links, alice.replication)
        with trio.move_on_after(5) as bound:
            await flush.wait()
        assert bound.cancelled_caught
        assert flush.owed() == {"bob": 1}
        ours.goaway("test", "it is cut off")
        await flush.wait()
        assert flush.owed() == {}, "who is gone is not waited for"


async def test_others_that_go_on_writing_do_not_hold_it_up(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol), trio.open_nursery() as nursery:
        await wait_all_tasks_blocked()
        nursery.start_soon(write_steadily, bob)
        nursery.start_soon(write_steadily, carol)
        for n in range(20):
            await alice.library.patch(NOTES, {f"alice-{n}": n}, if_match=None)
            flush = Flush(alice.links, alice.replication)
            with trio.fail_after(0.5):
                await flush.wait()
            for peer in (bob, carol):
                assert (await peer.library.read(NOTES)).document[f"alice-{n}"] == n
        nursery.cancel_scope.cancel()


async def test_peers_know_that_what_they_sent_is_on_our_disk(autojump_clock: MockClock) -> None:
    for seed in range(10):
        randomness = random.Random(seed)
        async with Replica("alice", randomness).running() as alice, Replica("bob", randomness).running() as bob:
            async with linked(alice, bob):
                await wait_all_tasks_blocked()
                arrival = Arrival()
                alice.replication.watch(arrival)
                await bob.library.put(NOTES, {"n": seed}, if_match=None)
                await arrival.merged.wait()
                await Flush(alice.links, alice.replication).wait()
                ours, _ = alice.links.live()[0]
                ours.goaway("shutdown", "alice is leaving")
                await bob.links.changed.wait()
            (peer,) = bob.peers.all(trio.current_time())
            assert peer.parting is not None
            assert peer.parting.debt == frozenset()


async def test_a_node_that_is_closing_takes_no_new_link(autojump_clock: MockClock) -> None:
    seed = random.Random(1)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        await alice.drain.close()
        ours, theirs = memory_links("alice", "bob")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.links.keep, ours)
            end = await bob.links.keep(theirs)
        assert (end.code, end.by_peer) == ("shutdown", True)
        assert alice.links.live() == []
