"""A node that lost its power is linked again soon after it is back, though its peers were not told that it was gone."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import trio
from fakes.links import memory_links, peer
from fakes.replicas import Replica, linked
from structlog.testing import capture_logs
from trio.testing import MockClock

from peatd.transport.link import Link, LinkEnd

BOB = peer("bob", initiating=False).device_id


def again() -> tuple[Link, Link]:
    """A link on which bob, who has been started again, has dialled alice; alice's end, then bob's."""
    theirs, ours = memory_links("bob", "alice")
    ours.peer = replace(ours.peer, instance=b"started again...")
    return ours, theirs


@asynccontextmanager
async def running_alice() -> AsyncIterator[Replica]:
    async with Replica("alice", random.Random(0)).running() as alice:
        yield alice


async def test_a_node_that_died_without_a_word_is_no_twin_of_itself(autojump_clock: MockClock) -> None:
    dead, _ = memory_links("alice", "bob")
    with capture_logs() as logs:
        async with running_alice() as alice, trio.open_nursery() as nursery:
            nursery.start_soon(alice.links.keep, dead)
            await trio.sleep(1)
            ours, _ = again()
            nursery.start_soon(alice.links.keep, ours)
            await trio.sleep(5)
            live = alice.links.get(BOB)
            assert live is not None
            assert live[0] is ours
            nursery.cancel_scope.cancel()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == []
    assert next(line["code"] for line in logs if line["event"] == "peer unlinked") == "silence"


async def test_nor_when_its_machine_closes_the_old_link_just_then(autojump_clock: MockClock) -> None:
    dead, theirs = memory_links("alice", "bob")
    with capture_logs() as logs:
        async with running_alice() as alice, trio.open_nursery() as nursery:
            nursery.start_soon(alice.links.keep, dead)
            await trio.sleep(1)
            ours, _ = again()
            nursery.start_soon(alice.links.keep, ours)
            await trio.sleep(1)
            await theirs.stream.aclose()
            await trio.sleep(1)
            live = alice.links.get(BOB)
            assert live is not None
            assert live[0] is ours
            nursery.cancel_scope.cancel()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == []


async def test_one_that_lives_keeps_its_link_and_the_other_is_told(autojump_clock: MockClock) -> None:
    ends: list[LinkEnd] = []
    with capture_logs() as logs:
        async with running_alice() as alice, Replica("bob", random.Random(1)).running() as bob, linked(alice, bob):
            await trio.sleep(1)
            first = alice.links.get(BOB)
            ours, _ = again()
            begun = trio.current_time()
            ends.append(await alice.links.keep(ours))
            assert trio.current_time() - begun < 3
            assert alice.links.get(BOB) == first
    assert [end.code for end in ends] == ["duplicate-node-id"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["two nodes with one node id"]
