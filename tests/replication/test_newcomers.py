"""Who comes to a mesh, or comes back to it, gets each document once, whoever dials whom."""

import random
from collections.abc import Iterable
from contextlib import AsyncExitStack
from itertools import combinations

import pytest
import trio
from fakes.replicas import Replica, linked, mesh, until_equal
from replication.test_reconciling import typed, write
from trio.testing import MockClock

from peatd.fetches import PATIENCE, Coming
from peatd.names import DeviceId, DocumentName

DOCUMENTS, LETTERS = 300, 2_000
ALICE, BOB = DeviceId("aa" * 16), DeviceId("bb" * 16)
NAME, OTHER = DocumentName("notes/a"), DocumentName("notes/b")


def update_bytes(*replicas: Replica) -> int:
    """That these have sent, on all of their links."""
    return sum(replica.links.traffic().sent_update_bytes for replica in replicas)


@pytest.mark.parametrize("is_dialling", [True, False], ids=["it dials", "it is dialled"])
@pytest.mark.parametrize("had", [0, DOCUMENTS // 2], ids=["a new node", "one that was away"])
async def test_it_gets_each_document_from_one_peer(autojump_clock: MockClock, is_dialling: bool, had: int) -> None:
    content = typed(7, "x" * LETTERS)
    async with mesh("alice", "bob", "carol", "dave") as old, Replica("eve", random.Random(1)).running() as eve:
        write(old[0], range(DOCUMENTS), content)
        write(eve, range(had), content)
        await until_equal(*old)
        before = update_bytes(*old)
        async with AsyncExitStack() as links:
            for peer in old:
                ends = (eve, peer) if is_dialling else (peer, eve)
                await links.enter_async_context(linked(*ends))
            await until_equal(*old, eve)
            await trio.sleep(10)  # what would be sent in vain is sent by then
            brought = update_bytes(*old) - before
            assert 0.9 < brought / ((DOCUMENTS - had) * len(content.update)) < 1.2
            assert update_bytes(eve) < 0.2 * brought
            assert not any(replica.links.owed_documents() for replica in (*old, eve))


async def test_what_one_peer_does_not_bring_is_asked_of_another(autojump_clock: MockClock) -> None:
    """It has said what it has, and is cut off while all of that is on its way."""
    async with mesh("alice", "bob") as old, Replica("eve", random.Random(1)).running() as eve:
        write(old[0], range(DOCUMENTS), typed(7, "x" * LETTERS))
        await until_equal(*old)
        async with linked(eve, old[1], latency=0.5):
            async with linked(eve, old[0], latency=0.2):
                await trio.sleep(0.7)  # its offers have come, and what was asked for has not
                assert len(eve.replication.table) < DOCUMENTS
            with trio.fail_after(2 * PATIENCE):
                await until_equal(old[1], eve)


async def test_changes_of_both_sides_meet(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as old, Replica("eve", random.Random(1)).running() as eve:
        alice, bob, carol = old
        await put(alice, range(60), {"by": "alice"})
        await until_equal(*old)
        async with linked(eve, alice):
            await until_equal(*old, eve)
        await put(eve, range(0, 80, 2), {"by": "eve"})
        await put(bob, range(0, 60, 3), {"by": "bob"})
        await put(carol, range(100, 120), {"by": "carol"})
        await until_equal(*old)
        async with AsyncExitStack() as links:
            for peer in old:
                await links.enter_async_context(linked(peer, eve))
            with trio.fail_after(10):
                await until_equal(*old, eve)
        assert await eve.json() == await carol.json()


async def test_who_has_nothing_new_keeps_nobody_else_waiting(autojump_clock: MockClock) -> None:
    """Alice is asked first, and has less than eve. Bob, who is not linked with her, waits a beat or two and no more."""
    async with mesh("alice") as (alice,), mesh("bob") as (bob,), Replica("eve", random.Random(1)).running() as eve:
        await put(alice, range(20), {"by": "alice"})
        for other in (eve, bob):
            async with linked(other, alice):
                await until_equal(other, alice)
        await put(eve, range(20), {"by": "eve"})
        async with linked(eve, alice), linked(eve, bob):
            with trio.fail_after(PATIENCE / 2):
                await until_equal(alice, bob, eve)


async def put(replica: Replica, numbers: Iterable[int], value: dict[str, str]) -> None:
    for number in numbers:
        await replica.library.put(DocumentName(f"notes/{number}"), value, if_match=None)


def test_one_peer_is_asked_until_it_has_been_silent_for_long() -> None:
    coming = Coming()
    assert coming.may_ask(NAME, ALICE, now=0.0)
    assert coming.may_ask(OTHER, ALICE, now=0.0)
    assert not coming.may_ask(NAME, BOB, now=PATIENCE / 2)
    coming.came(OTHER, ALICE, now=PATIENCE - 0.1)
    assert coming.is_any(now=PATIENCE + 0.1), "it brings what it was asked for, one by one"
    assert not coming.may_ask(NAME, BOB, now=PATIENCE + 0.1)
    coming.came(OTHER, ALICE, now=2 * PATIENCE - 0.2)
    assert not coming.is_any(now=2 * PATIENCE), "what it was not asked for does not count"
    assert coming.may_ask(NAME, BOB, now=2 * PATIENCE)
    assert not coming.may_ask(NAME, ALICE, now=2 * PATIENCE)
    coming.parted(BOB)
    assert coming.may_ask(NAME, ALICE, now=2 * PATIENCE)


def test_nothing_is_kept_of_what_has_come_or_whose_link_has_ended() -> None:
    coming = Coming()
    for one, other in combinations((ALICE, BOB), 2):
        assert coming.may_ask(NAME, one, now=0.0)
        assert coming.may_ask(OTHER, other, now=0.0)
        coming.came(NAME, other, now=0.0)  # wherever it has come from
        assert coming.is_any(now=0.0)
        coming.parted(other)
        assert not coming.is_any(now=0.0)
