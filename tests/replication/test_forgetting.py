"""Tombstones go, and what was deleted stays deleted all the same; documents go that outlive their collection's time."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import fakes.links
import fakes.replicas
import pytest
import trio
from fakes.links import OTHER_SECRET
from fakes.memory_store import Disk
from fakes.replicas import Replica, linked, until_equal
from trio.testing import MockClock

from peatd.names import DocumentName

TTL = 1000.0
AGES = 3 * TTL
NOTES, MORE = DocumentName("notes/a"), DocumentName("notes/b")


class Mesh:
    """Nodes that come and go; each has a disk that stays."""

    def __init__(self) -> None:
        self.seed = random.Random(7)
        self.disks: dict[str, Disk] = {}

    @asynccontextmanager
    async def up(self, *names: str, ttl: float = TTL) -> AsyncIterator[list[Replica]]:
        """These nodes, all linked with each other."""
        async with trio.open_nursery() as nursery:
            replicas = []
            for name in names:
                replica = Replica(name, self.seed, self.disks.get(name), tombstone_ttl=ttl)
                self.disks[name] = replica.disk
                await nursery.start(_run, replica)
                replicas.append(replica)
            for index, one in enumerate(replicas):
                for other in replicas[index + 1 :]:
                    await nursery.start(_link, one, other)
            yield replicas
            await trio.sleep(100)
            for replica in replicas:
                replica.forgetting.save()
                await replica.store.written()
            nursery.cancel_scope.cancel()


async def _run(replica: Replica, *, task_status: trio.TaskStatus[None]) -> None:
    async with replica.running():
        task_status.started()
        await trio.sleep_forever()


async def _link(one: Replica, other: Replica, *, task_status: trio.TaskStatus[None]) -> None:
    async with linked(one, other):
        task_status.started()
        await trio.sleep_forever()


async def put(replica: Replica, name: DocumentName, value: object) -> None:
    await replica.library.put(name, {"v": value}, if_match=None)


async def delete(replica: Replica, name: DocumentName) -> None:
    await replica.library.delete(name, if_match=None)


def has_tombstone(replica: Replica, name: DocumentName = NOTES) -> bool:
    entry = replica.replication.table.get(name)
    return entry is not None and entry.deleted


async def test_tombstones_go_from_all_nodes_memories_and_disks(autojump_clock: MockClock) -> None:
    mesh = Mesh()
    async with mesh.up("alice", "bob", "carol") as nodes:
        for number in range(20):
            await put(nodes[0], DocumentName(f"notes/{number}"), 1)
        await until_equal(*nodes)
        for number in range(20):
            await delete(nodes[1], DocumentName(f"notes/{number}"))
        await until_equal(*nodes)
        await trio.sleep(TTL / 2)
        assert all(len(node.replication.table) == 20 for node in nodes)
        await trio.sleep(TTL)
        assert [len(node.replication.table) for node in nodes] == [0, 0, 0]
        assert len({node.library.digest() for node in nodes}) == 1
        assert all(len(node.replication.table.tree) == 0 for node in nodes)
    assert [disk.lives for disk in mesh.disks.values()] == [{}, {}, {}]


async def test_what_was_deleted_does_not_come_back_from_a_node_that_was_away_for_longer(
    autojump_clock: MockClock,
) -> None:
    mesh = Mesh()
    async with mesh.up("alice", "bob", "carol") as (alice, bob, carol):
        await put(carol, NOTES, "old")
        await put(alice, MORE, "kept")
        await until_equal(alice, bob, carol)
    async with mesh.up("alice", "bob") as (alice, bob):
        await delete(bob, NOTES)
        await trio.sleep(AGES)
        assert not has_tombstone(alice)
        assert not has_tombstone(bob)
    async with mesh.up("carol") as (carol,):
        await put(carol, DocumentName("notes/while-away"), "new")
        await put(carol, MORE, "kept and changed")
    async with mesh.up("alice", "bob", "carol") as nodes:
        await until_equal(*nodes)
        for node in nodes:
            assert await node.json() == {MORE: {"v": "kept and changed"}, "notes/while-away": {"v": "new"}}


async def test_nor_from_two_nodes_that_were_away_together(autojump_clock: MockClock) -> None:
    mesh = Mesh()
    async with mesh.up("alice", "bob", "carol", "dave") as nodes:
        await put(nodes[0], NOTES, "old")
        await put(nodes[0], MORE, "old")
        await until_equal(*nodes)
    async with mesh.up("alice", "bob") as (alice, bob), mesh.up("carol", "dave") as (carol, dave):
        await delete(alice, NOTES)
        await delete(carol, MORE)
        await put(alice, DocumentName("notes/of-these"), 1)
        await put(carol, DocumentName("notes/of-those"), 2)
        await trio.sleep(AGES)
        assert not any(has_tombstone(node, name) for node in (alice, bob, carol, dave) for name in (NOTES, MORE))
    async with mesh.up("alice", "bob", "carol", "dave") as nodes:
        await until_equal(*nodes)
        for node in nodes:
            assert await node.json() == {"notes/of-these": {"v": 1}, "notes/of-those": {"v": 2}}


async def test_nor_from_one_that_was_away_through_a_rotation_too(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the formation secret all keys change, and the nodes are who they were."""
    mesh = Mesh()
    async with mesh.up("alice", "bob") as (alice, bob):
        await put(bob, NOTES, "old")
        await until_equal(alice, bob)
        key = bob.membership.device_id
    monkeypatch.setattr(fakes.links, "SECRET", OTHER_SECRET)
    monkeypatch.setattr(fakes.replicas, "credentials", fakes.links.credentials.__wrapped__)  # it is kept for each name
    async with mesh.up("alice") as (alice,):
        await delete(alice, NOTES)
        await trio.sleep(AGES)
        assert not has_tombstone(alice)
    async with mesh.up("alice", "bob") as (alice, bob):
        assert bob.membership.device_id != key
        await until_equal(alice, bob)
        assert await alice.json() == await bob.json() == {}


async def test_nor_by_a_node_that_is_new_since_then(autojump_clock: MockClock) -> None:
    """It has heard of all that was, from those that were there."""
    mesh = Mesh()
    async with mesh.up("alice", "carol") as (alice, carol):
        await put(carol, NOTES, "old")
        await put(alice, MORE, "kept")
        await until_equal(alice, carol)
    async with mesh.up("alice") as (alice,):
        await delete(alice, NOTES)
        await trio.sleep(AGES)
        assert not has_tombstone(alice)
    async with mesh.up("alice", "newcomer") as (alice, newcomer):
        await until_equal(alice, newcomer)
        await trio.sleep(60)
    async with mesh.up("newcomer", "carol") as (newcomer, carol):
        await until_equal(newcomer, carol)
        assert await newcomer.json() == await carol.json() == {MORE: {"v": "kept"}}


async def test_an_empty_node_takes_nothing_away(autojump_clock: MockClock) -> None:
    """One that lost its disk knows nothing, so it has forgotten nothing."""
    mesh = Mesh()
    async with mesh.up("alice", "bob") as (alice, bob):
        await put(alice, NOTES, "kept")
        await until_equal(alice, bob)
        await trio.sleep(100)
    del mesh.disks["bob"]
    async with mesh.up("alice", "bob") as (alice, bob):
        await until_equal(alice, bob)
        assert await bob.json() == {NOTES: {"v": "kept"}}


async def test_nor_does_one_that_was_put_back_to_an_earlier_state(autojump_clock: MockClock) -> None:
    """It numbers anew what it does from there, and nobody takes that for what it did in its lost future."""
    mesh = Mesh()
    async with mesh.up("alice", "bob") as (alice, bob):
        await put(alice, NOTES, "kept")
        await until_equal(alice, bob)
    backup = mesh.disks["bob"].copy()
    async with mesh.up("alice", "bob") as (alice, bob):
        for number in range(50):
            await put(bob, DocumentName(f"future/{number}"), 1)
        await until_equal(alice, bob)
        for number in range(50):
            await delete(bob, DocumentName(f"future/{number}"))
        await until_equal(alice, bob)
        await trio.sleep(AGES)
    mesh.disks["bob"] = backup
    async with mesh.up("bob") as (bob,):
        for number in range(20):
            await put(bob, DocumentName(f"notes/{number}"), "new")
    async with mesh.up("alice", "bob") as (alice, bob):
        await until_equal(alice, bob)
        documents = await alice.json()
        assert [documents[DocumentName(f"notes/{number}")] for number in range(20)] == [{"v": "new"}] * 20
        assert documents[NOTES] == {"v": "kept"}


async def test_a_name_that_was_forgotten_begins_beyond_all_its_lives(autojump_clock: MockClock) -> None:
    mesh = Mesh()
    async with mesh.up("alice", "bob", "carol") as nodes:
        await put(nodes[0], NOTES, "old")
        await until_equal(*nodes)
    async with mesh.up("alice", "bob") as (alice, bob):
        await delete(bob, NOTES)
        await trio.sleep(AGES)
        await put(alice, NOTES, "new")
        await until_equal(alice, bob)
    async with mesh.up("alice", "bob", "carol") as nodes:
        await until_equal(*nodes)
        assert [await node.json() for node in nodes] == [{NOTES: {"v": "new"}}] * 3
        assert {node.replication.table.get(NOTES).incarnation for node in nodes} == {2}  # type: ignore[union-attr]


async def test_a_tombstone_stays_until_all_linked_peers_have_it(autojump_clock: MockClock) -> None:
    mesh = Mesh()
    async with mesh.up("alice", "bob") as (alice, bob):
        await put(alice, NOTES, "old")
        await until_equal(alice, bob)
        await trio.sleep(100)
        with bob.store.failing():
            bob.store.stall()
            await delete(alice, NOTES)
            await trio.sleep(AGES)
            assert has_tombstone(alice)
        bob.store.go_on()
        await trio.sleep(TTL)
        assert not has_tombstone(alice)


async def test_ages_outlive_restarts(autojump_clock: MockClock) -> None:
    mesh = Mesh()
    async with mesh.up("alice") as (alice,):
        await put(alice, NOTES, "old")
        await delete(alice, NOTES)
        await trio.sleep(0.7 * TTL)
    async with mesh.up("alice") as (alice,):
        assert has_tombstone(alice)
        await trio.sleep(0.5 * TTL)
        assert not has_tombstone(alice)
    async with mesh.up("alice") as (alice,):
        assert alice.replication.table.get(NOTES) is None
        assert alice.replication.table.first_incarnation() == 2


async def test_who_hears_late_of_an_end_hears_how_long_ago_it_was(autojump_clock: MockClock) -> None:
    mesh = Mesh()
    async with mesh.up("alice") as (alice,):
        await put(alice, NOTES, "old")
        await delete(alice, NOTES)
        await trio.sleep(0.5 * TTL)
    async with mesh.up("alice", "bob") as (alice, bob):
        await until_equal(alice, bob)
        assert has_tombstone(bob)
        await trio.sleep(0.7 * TTL)
        assert not has_tombstone(bob)
        assert not has_tombstone(alice)


async def test_documents_go_when_their_collections_time_is_over(autojump_clock: MockClock) -> None:
    seed = random.Random(1)
    ages = {"notes": 500.0}
    async with (
        Replica("alice", seed, collections=ages).running() as alice,
        Replica("bob", seed, collections=ages).running() as bob,
        linked(alice, bob),
    ):
        await put(alice, NOTES, 1)
        await put(alice, MORE, 1)
        await put(alice, DocumentName("others/a"), 1)
        for _ in range(5):
            await trio.sleep(200)
            await put(bob, MORE, 2)  # no change: it is as it was after the first time
            await bob.library.patch(MORE, {"n": trio.current_time()}, if_match=None)
        await until_equal(alice, bob)
        assert set(await alice.json()) == {MORE, "others/a"}
        assert has_tombstone(bob)
        assert {node.replication.table.get(NOTES).incarnation for node in (alice, bob)} == {1}  # type: ignore[union-attr]
        await trio.sleep(700)
        assert set(await alice.json()) == set(await bob.json()) == {"others/a"}
        assert alice.forgetting.expired + bob.forgetting.expired >= 2


async def test_how_old_a_document_is_outlives_a_restart(autojump_clock: MockClock) -> None:
    seed, ages = random.Random(1), {"notes": 500.0}
    async with Replica("alice", seed, collections=ages).running() as alice:
        await put(alice, NOTES, 1)
        await trio.sleep(300)
        alice.forgetting.save()
        await alice.store.written()
    async with Replica("alice", seed, alice.disk, collections=ages).running() as alice:
        await trio.sleep(100)
        assert set(await alice.json()) == {NOTES}
        await trio.sleep(200)
        assert await alice.json() == {}
