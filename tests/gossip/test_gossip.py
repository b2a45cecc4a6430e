"""Whole nodes: what they know of each other while links come, go and fall silent. Time is trio's mock clock."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from fakes.links import memory_links
from fakes.replicas import Replica, linked, mesh
from gossip.conftest import One
from trio.testing import MockClock

from peatd.discovery.events import PeerFound, PeerLost
from peatd.discovery.members import MissedMembers
from peatd.topology import far_links, member_views


def states(node: Replica) -> dict[str, str]:
    return {view.id: view.state for view in member_views(node.gossip, trio.current_time())}


def known_links(node: Replica) -> set[tuple[str, str]]:
    return {(link.from_id, link.to_id) for link in far_links(node.gossip.members)}


async def until(state: str, name: str, *nodes: Replica) -> None:
    while True:
        if all(states(node)[name] == state for node in nodes):
            return
        await trio.sleep(0.1)


class Deaf(trio.abc.Stream):
    """Brings nothing from the moment on at which `silent` is set, and takes all that is sent."""

    def __init__(self, inner: trio.abc.Stream, silent: trio.Event) -> None:
        self._inner, self._silent = inner, silent

    async def send_all(self, data: bytes) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        received = await self._inner.receive_some(max_bytes)
        if self._silent.is_set():
            await trio.sleep_forever()
        return received

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def falling_silent(one: Replica, other: Replica, silent: trio.Event) -> AsyncIterator[None]:
    """A link on which neither hears anything more from the moment on at which `silent` is set."""
    ours, theirs = memory_links(one.name, other.name)
    ours.stream, theirs.stream = Deaf(ours.stream, silent), Deaf(theirs.stream, silent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.links.keep, ours)
        nursery.start_soon(other.links.keep, theirs)
        yield
        nursery.cancel_scope.cancel()


async def test_all_know_all_and_who_is_linked_to_whom(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol):
        await trio.sleep(3)
        assert states(alice) == {"alice": "self", "bob": "reachable", "carol": "reachable"}
        assert known_links(alice) == {("bob", "carol")}
        assert known_links(carol) == {("alice", "bob")}
        assert alice.gossip.members.book.digest == bob.gossip.members.book.digest
        assert alice.gossip.status().message is None


async def test_of_many_new_cards_the_first_goes_on_at_once_and_the_others_together(autojump_clock: MockClock) -> None:
    """As when a hundred nodes start: not a message for each card and link."""
    strangers = [One(f"n{number}") for number in range(100)]
    async with mesh("alice", "bob", "carol") as nodes:
        alice, *others = nodes
        await trio.sleep(3)
        links = [link for node in nodes for link, _ in node.links.live()]
        before = sum(link.sent_messages for link in links)
        for stranger in strangers:
            alice.gossip.members.hear(stranger.card, trio.current_time())
            await trio.sleep(0.002)
            assert all(node.gossip.members.book.get(strangers[0].device) is not None for node in others)
        await trio.sleep(0.5)
        assert all(node.gossip.members.book.get(one.device) is not None for node in others for one in strangers)
        told = sum(link.sent_messages for link in links) - before
        assert told <= 20


async def test_a_new_card_goes_to_three_at_once_and_a_second_later_to_whoever_has_not_told_it(
    autojump_clock: MockClock,
) -> None:
    names = [f"n{number}" for number in range(9)]
    async with mesh(*names) as (hub, *others):
        await trio.sleep(5)
        links = [link for node in (hub, *others) for link, _ in node.links.live()]
        before = sum(link.sent_messages for link in links)
        stranger = One("a stranger")
        hub.gossip.members.hear(stranger.card, trio.current_time())
        await trio.sleep(0.001)
        knowing = [node for node in others if node.gossip.members.book.get(stranger.device) is not None]
        assert len(knowing) >= 3
        assert sum(link.sent_messages for link in links) - before <= 9 * 3
        await trio.sleep(1.25)
        assert all(node.gossip.members.book.get(stranger.device) is not None for node in others)
        assert sum(link.sent_messages for link in links) - before < len(links) * 0.8, "each link would carry it once"


async def test_a_killed_node_is_missed_by_all_at_once(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol):
        async with Replica("dave", random.Random(1)).running() as dave, linked(alice, dave):
            await trio.sleep(3)
            assert states(carol)["dave"] == "reachable"
        await trio.sleep(2)
        assert [states(node)["dave"] for node in (alice, bob, carol)] == ["unreachable"] * 3
        assert carol.gossip.status().message is None  # it may be starting again
        await trio.sleep(3)
        status = carol.gossip.status()
        assert status.ready
        assert status.message.startswith("1 of 4 known members cannot be reached, the first for 4 s: dave")


async def test_a_node_that_falls_silent_is_asked_about_accused_and_found_dead(autojump_clock: MockClock) -> None:
    silent = trio.Event()
    async with mesh("alice", "bob", "carol") as nodes, mesh("dave") as (dave,):
        alice, bob, carol = nodes
        async with falling_silent(alice, dave, silent), falling_silent(bob, dave, silent):
            await trio.sleep(5)
            silent.set()
            begun = trio.current_time()
            await until("suspected", "dave", carol)
            await until("unreachable", "dave", *nodes)
            # The next ping, the time for others' answers, and the time of an accusation; links die after 30 s.
            assert trio.current_time() - begun < 10 + 1.5 + 3 + 6 + 1
            assert alice.links.get(dave.membership.device_id) is not None


async def test_one_silent_link_kills_nobody(autojump_clock: MockClock) -> None:
    silent = trio.Event()
    async with mesh("alice", "bob", "carol") as nodes, mesh("dave") as (dave,):
        alice, bob, carol = nodes
        async with falling_silent(alice, dave, silent), linked(bob, dave), linked(carol, dave):
            await trio.sleep(5)
            silent.set()
            incarnation = dave.gossip.members.own.card.incarnation
            for _ in range(250):
                await trio.sleep(0.1)
                assert {states(node)["dave"] for node in nodes} == {"reachable"}
            assert alice.gossip.doubts.strain > 0
            assert dave.gossip.members.own.card.incarnation == incarnation


async def test_who_is_found_dead_and_is_not_says_so_when_it_is_back(autojump_clock: MockClock) -> None:
    silent = trio.Event()
    async with mesh("alice", "bob") as (alice, bob), mesh("dave") as (dave,):
        async with falling_silent(alice, dave, silent), falling_silent(bob, dave, silent):
            await trio.sleep(5)
            silent.set()
            await until("unreachable", "dave", bob)
        async with linked(alice, dave):
            await trio.sleep(3)
            assert (states(alice)["dave"], states(bob)["dave"]) == ("reachable", "reachable")


async def test_who_stops_in_order_is_not_missed(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, _, carol):
        await trio.sleep(3)
        await carol.drain.close()
        await trio.sleep(1)
        assert states(alice)["carol"] == "left"
        assert alice.gossip.status().message is None


async def test_the_two_ends_of_a_mended_mesh_tell_each_other_what_they_missed(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob), mesh("carol", "dave") as (carol, dave):
        async with linked(bob, carol):
            await trio.sleep(3)
        await trio.sleep(60)
        assert set(states(alice).values()) == {"self", "reachable", "unreachable"}
        async with linked(alice, dave):
            await trio.sleep(3)
            for node in (alice, bob, carol, dave):
                assert sorted(states(node).values()) == ["reachable"] * 3 + ["self"]


async def test_what_a_link_has_lost_a_comparison_finds(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob):
        await trio.sleep(3)
        carol = Replica("carol", random.Random(1))
        alice.gossip.members.book._feeds.clear()  # as if the link had dropped it
        alice.gossip.members.hear(carol.gossip.members.own.signed, trio.current_time())
        await trio.sleep(3)
        assert "carol" not in states(bob)
        await trio.sleep(60)
        assert "carol" in states(bob)


@pytest.mark.parametrize("speaks", [True, False])
async def test_a_peer_of_an_earlier_release_is_told_nothing(autojump_clock: MockClock, speaks: bool) -> None:
    async with mesh("alice") as (alice,), mesh("bob") as (bob,):
        ours, theirs = memory_links("alice", "bob")
        ours.peer, theirs.peer = (replace(link.peer, gossips=speaks) for link in (ours, theirs))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.links.keep, ours)
            nursery.start_soon(bob.links.keep, theirs)
            await trio.sleep(40)
            assert ("bob" in states(alice)) is speaks
            nursery.cancel_scope.cancel()


async def test_members_beyond_reach_are_a_source_of_peers(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob), mesh("carol") as (carol,):
        async with linked(bob, carol):
            await trio.sleep(3)
        source = MissedMembers(alice.gossip.members, lambda node_id, _: node_id == "bob", alice.links.view)
        events = source.event_stream()
        async with trio.open_nursery() as nursery:
            await nursery.start(source.start)
            found = await events.receive()
            assert isinstance(found, PeerFound)
            assert (found.peer.node_id, [str(a) for a in found.peer.addresses]) == ("carol", ["carol:11204"])
            async with linked(alice, carol):
                assert await events.receive() == PeerLost("carol")
            source.stop()
