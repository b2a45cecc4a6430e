"""A mesh that is not full, of whole nodes: who is let in, what a link more costs, and that everything comes round."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import trio
from fakes.links import memory_links
from fakes.replicas import Replica, linked, until_equal
from trio.testing import MockClock

from peatd.names import DocumentName, NodeId
from peatd.speakers import Told

NOTES = DocumentName("notes/a")


@asynccontextmanager
async def nodes(*names: str, max_links: int) -> AsyncIterator[list[Replica]]:
    seed = random.Random(0)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Replica(name, seed, max_links=max_links).running()) for name in names]


@asynccontextmanager
async def seen(one: Replica, other: Replica) -> AsyncIterator[None]:
    """A link over which cursors go."""
    ours, theirs = memory_links(one.name, other.name)
    ours.peer, theirs.peer = (replace(link.peer, hears_awareness=True) for link in (ours, theirs))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.links.keep, ours)
        nursery.start_soon(other.links.keep, theirs)
        yield
        nursery.cancel_scope.cancel()


def link_count(node: Replica) -> int:
    return len(node.links.live())


def keep(node: Replica, other: Replica, nursery: trio.Nursery) -> None:
    """A link that lasts until one of them ends it."""
    ours, theirs = memory_links(node.name, other.name)
    nursery.start_soon(node.links.keep, ours)
    nursery.start_soon(other.links.keep, theirs)


async def test_a_full_node_lets_a_newcomer_in_and_ends_a_link_that_its_peer_can_do_without(
    autojump_clock: MockClock,
) -> None:
    async with (
        nodes("hub", "a", "b", "c", "d", "newcomer", max_links=4) as (hub, *others),
        trio.open_nursery() as nursery,
    ):
        for one in others[:4]:
            keep(hub, one, nursery)
        keep(others[0], others[1], nursery)
        await trio.sleep(3)
        assert link_count(hub) == 4
        keep(others[4], hub, nursery)
        await trio.sleep(3)
        assert link_count(hub) == 4
        assert link_count(others[4]) == 1
        assert {link_count(others[0]), link_count(others[1])} == {1, 2}  # one of the two that had two
        nursery.cancel_scope.cancel()


async def test_who_has_enough_links_is_sent_away_by_a_full_node(autojump_clock: MockClock) -> None:
    async with (
        nodes("hub", "a", "b", "c", "d", "rich", max_links=4) as (hub, *others),
        trio.open_nursery() as nursery,
    ):
        for one in others[:4]:
            keep(hub, one, nursery)
        keep(others[0], others[4], nursery)
        await trio.sleep(3)
        ours, theirs = memory_links("rich", "hub")
        nursery.start_soon(hub.links.keep, theirs)
        end = await others[4].links.keep(ours)
        assert (end.code, end.by_peer) == ("enough-links", True)
        assert link_count(hub) == 4
        nursery.cancel_scope.cancel()


async def test_everything_comes_round_a_ring(autojump_clock: MockClock) -> None:
    names = [f"n{number}" for number in range(6)]
    async with nodes(*names, max_links=4) as ring, AsyncExitStack() as stack:
        for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
            await stack.enter_async_context(linked(one, other))
        await trio.sleep(3)
        for number, node in enumerate(ring):
            await node.library.patch(NOTES, {f"k{number}": number}, if_match=None)
        await until_equal(*ring)
        await ring[3].library.delete(NOTES, if_match=None)
        await trio.sleep(1)
        assert all(node.states()[NOTES][1] for node in ring)


async def test_a_cursor_is_seen_at_the_other_end_and_goes_with_its_node(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", "c", "d", max_links=4) as (a, b, c, d), seen(b, c), seen(c, d):
        async with seen(a, b):
            await trio.sleep(3)
            here = a.awareness.enter(NOTES)
            a.awareness.heard(here, [Told(7, 1, b'"cursor"')], trio.current_time())
            await trio.sleep(1)
            assert [told.state for told in d.awareness.told(NOTES)] == [b'"cursor"']
            a.awareness.heard(here, [Told(7, 2, b'"moved"')], trio.current_time())
            await trio.sleep(1)
            assert [told.state for told in d.awareness.told(NOTES)] == [b'"moved"']
        await trio.sleep(8)
        for node in (b, c, d):
            node.awareness.expire(trio.current_time())
            assert node.awareness.told(NOTES) == []


async def test_a_cursor_outlives_a_link_while_its_node_is_there(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", "c", max_links=4) as (a, b, c), seen(a, b), seen(b, c):
        async with seen(a, c):
            await trio.sleep(3)
            here = a.awareness.enter(NOTES)
            a.awareness.heard(here, [Told(7, 1, b'"cursor"')], trio.current_time())
            await trio.sleep(1)
        await trio.sleep(8)
        c.awareness.expire(trio.current_time())
        assert [told.state for told in c.awareness.told(NOTES)] == [b'"cursor"']
        a.awareness.heard(here, [Told(7, 2, b"")], trio.current_time())
        await trio.sleep(1)
        assert c.awareness.told(NOTES) == []
        assert NodeId("a") in c.gossip.members.present_names
