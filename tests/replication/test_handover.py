"""A link that goes by a relay makes room for a direct one, and nothing of it shows to those who write or look."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from fakes.links import memory_links
from fakes.replicas import Replica, mesh, until_equal
from trio.testing import MockClock

from peatd.library import replicated
from peatd.names import document_name
from peatd.transport import Link

NAME = document_name("notes", "a")
RELAY = "https://relay.example.org"
REPLICATED = replicated(1)


def links(*, via: str | None) -> tuple[Link, Link]:
    """The two ends of one that alice has dialled."""
    ends = memory_links("alice", "bob")
    for end in ends:
        end.peer = replace(end.peer, via=via)
    return ends


@asynccontextmanager
async def two_replicas() -> AsyncIterator[tuple[Replica, Replica, trio.Nursery]]:
    async with mesh("alice") as (alice,), mesh("bob") as (bob,), trio.open_nursery() as nursery:
        yield alice, bob, nursery
        nursery.cancel_scope.cancel()


def keep(alice: Replica, bob: Replica, nursery: trio.Nursery, *, via: str | None) -> tuple[Link, Link]:
    ours, theirs = links(via=via)
    nursery.start_soon(alice.links.keep, ours)
    nursery.start_soon(bob.links.keep, theirs)
    return ours, theirs


def vias(*replicas: Replica) -> list[str | None]:
    return [link.peer.via for replica in replicas for link, _ in replica.links.live()]


async def test_while_it_is_handed_over_every_write_is_acknowledged(autojump_clock: MockClock) -> None:
    async with two_replicas() as (alice, bob, nursery):
        keep(alice, bob, nursery, via=RELAY)
        written = await alice.library.put(NAME, {"n": 0}, if_match=None)
        assert await alice.library.acknowledged(written, REPLICATED, 10.0) == REPLICATED
        for n in range(1, 40):
            if n == 10:
                keep(alice, bob, nursery, via=None)
            written = await alice.library.patch(NAME, {f"k{n}": n}, if_match=None)
            assert await alice.library.acknowledged(written, REPLICATED, 10.0) == REPLICATED
            assert (await bob.json())[NAME][f"k{n}"] == n, "it was not acknowledged before bob had it"
        assert vias(alice, bob) == [None, None]
        await until_equal(alice, bob)


@pytest.mark.parametrize("first", ["alice", "bob"])
async def test_whichever_end_is_first_the_direct_link_stays(autojump_clock: MockClock, first: str) -> None:
    async with two_replicas() as (alice, bob, nursery):
        keep(alice, bob, nursery, via=RELAY)
        await trio.sleep(1.0)
        ends = dict(zip((alice, bob), links(via=None), strict=True))
        order = (alice, bob) if first == "alice" else (bob, alice)
        for replica in order:
            nursery.start_soon(replica.links.keep, ends[replica])
            await trio.sleep(0.2)
        await trio.sleep(1.0)
        assert vias(alice, bob) == [None, None]


async def test_a_relayed_link_does_not_take_the_place_of_a_direct_one_that_lives(autojump_clock: MockClock) -> None:
    async with two_replicas() as (alice, bob, nursery):
        keep(alice, bob, nursery, via=None)
        await trio.sleep(1.0)
        keep(alice, bob, nursery, via=RELAY)
        await trio.sleep(10.0)
        assert vias(alice, bob) == [None, None]


async def test_but_of_one_that_is_dead_without_knowing_it(autojump_clock: MockClock) -> None:
    """Bob has noticed that the direct way is cut, alice has not: nothing was sent on it since."""
    async with two_replicas() as (alice, bob, nursery):
        ours, _ = links(via=None)
        nursery.start_soon(alice.links.keep, ours)
        await trio.sleep(5.0)
        assert vias(alice) == [None]
        keep(alice, bob, nursery, via=RELAY)
        await trio.sleep(5.0)
        assert vias(alice, bob) == [RELAY, RELAY]
