"""What all peers together may take of a node: over it they wait, nothing is lost, and it is told."""

import random

import pytest
import trio
from fakes.replicas import Replica, linked, until_equal
from trio.testing import MockClock

from peatd import links as links_module
from peatd.errors import Unavailable
from peatd.limits import Limit
from peatd.names import DocumentName
from peatd.pieces import AllHeld, Assembly
from peatd.wire.messages import Piece


def piece(name: str, offset: int, part: bytes, total: int = 1000) -> Piece:
    return Piece(f"x/{name}", 1, 1, 0, total, offset, part)


def test_beyond_the_limit_one_peer_goes_on_and_the_others_begin_again() -> None:
    dropped: list[str] = []
    held = AllHeld(10_000, dropped.append)
    bob, carol = Assembly(held), Assembly(held)
    assert bob.add(piece("b", 0, bytes(600))) is None
    assert carol.add(piece("c", 0, bytes(600))) is None
    assert bob.add(piece("b2", 0, bytes(900), 20_000)) is None  # which is one too many
    assert len(dropped) == 1
    assert bob.add(piece("b2", 900, bytes(900), 20_000)) is None
    assert bob.add(piece("b", 600, bytes(400))) is not None
    assert carol.add(piece("c", 600, bytes(400))) is not None
    assert held.held_bytes == 0
    for offset in range(0, 20_000, 1000):  # alone, it may take what it needs
        whole = bob.add(piece("b2", offset, bytes(1000), 20_000))
    assert whole is not None
    assert (held.held_bytes, len(dropped)) == (0, 1)


def test_what_a_link_held_goes_with_it() -> None:
    held = AllHeld(10_000)
    bob = Assembly(held)
    bob.add(piece("b", 0, bytes(600)))
    bob.clear()
    assert held.held_bytes == 0


async def test_what_was_dropped_comes_again(autojump_clock: MockClock) -> None:
    chance = random.Random(3)
    async with (
        Replica("alice", chance).running() as alice,
        Replica("bob", chance).running() as bob,
        Replica("carol", chance).running() as carol,
    ):
        carol.links._held.limit_bytes = 300_000
        for node in (alice, bob):
            for n in range(2):
                text = chance.randbytes(400_000).hex()
                await node.library.put(DocumentName(f"{node.name}/{n}"), {"text": text}, if_match=None)
        async with linked(alice, carol), linked(bob, carol):
            await until_equal(alice, bob, carol)
        assert carol.links._held.held_bytes == 0
        assert carol.links._hits.counts[Limit.PEER_UPDATES] > 0


async def test_beyond_so_many_links_a_node_takes_no_more_and_says_so(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(links_module, "MAX_LINKS", 1)
    chance = random.Random(4)
    async with (
        Replica("alice", chance).running() as alice,
        Replica("bob", chance).running() as bob,
        Replica("carol", chance).running() as carol,
        linked(alice, bob),
    ):
        await trio.sleep(1)
        async with linked(alice, carol):
            await trio.sleep(1)
            assert [link.peer.node_id for link, _ in alice.links.live()] == ["bob"]
            assert carol.links.live() == []
        assert alice.links._hits.counts[Limit.LINKS] == 1


async def test_beyond_so_many_documents_none_is_begun_and_what_peers_have_stays_owed(autojump_clock: MockClock) -> None:
    chance = random.Random(5)
    names = [DocumentName(f"notes/{n}") for n in range(5)]
    async with Replica("alice", chance).running() as alice, Replica("bob", chance).running() as bob:
        told: list[str] = []
        alice.replication.table.most, alice.replication.table.full = 3, told.append
        for name in names[:3]:
            await alice.library.put(name, {"n": 1}, if_match=None)
        async with linked(alice, bob):
            await until_equal(alice, bob)
            for name in names:
                await bob.library.patch(name, {"bob": 1}, if_match=None)
            await trio.sleep(60)
            assert len(alice.replication.table) == 3
            assert bob.links.owed_documents() == 2
            with pytest.raises(Unavailable, match="no more are taken"):
                await alice.library.put(DocumentName("notes/another"), {}, if_match=None)
            await alice.library.patch(names[0], {"n": 2}, if_match=None)
            assert told
            alice.replication.table.most = 5
            await until_equal(alice, bob)
