"""A member that lies: what it says of documents it may say, but it harms no link, no memory and nobody else's data."""

import random

import pytest
import trio
from fakes.liars import lying_to
from fakes.links import peer
from fakes.replicas import Replica, linked, mesh, until_equal
from trio.testing import MockClock

from peatd import exchange as exchange_module
from peatd import pieces as pieces_module
from peatd import unborn as unborn_module
from peatd.awareness import Awareness
from peatd.errors import AckTimeout, DocumentEnded, WireError
from peatd.exchange import PeerExchange
from peatd.library import replicated
from peatd.names import DocumentName
from peatd.pieces import AllHeld, Assembly
from peatd.reach import EMPTY_STATE_VECTOR
from peatd.speakers import Told
from peatd.wire.messages import (
    MAX_PRESENCE_CLOCK,
    Durable,
    Offer,
    Offered,
    Piece,
    Presence,
    Present,
    Reached,
    State,
    Tombstone,
    Updates,
    decode,
    encode,
)

NOTES, OTHER = DocumentName("notes/a"), DocumentName("notes/b")
LAST = 2**53 - 1
MALLORY = peer("mallory", initiating=False)


async def test_a_name_whose_last_life_a_peer_has_ended_is_spent_and_no_link_breaks(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob):
        await alice.library.put(OTHER, {"n": 1}, if_match=None)
        await until_equal(alice, bob)
        before = [link for link, _ in alice.links.live()]
        async with lying_to(alice) as mallory:
            mallory.inbox.send(Tombstone(NOTES, LAST))
            await trio.sleep(1)
            await until_equal(alice, bob)
        for node in (alice, bob):
            with pytest.raises(DocumentEnded, match="another name"):
                await node.library.put(NOTES, {"n": 2}, if_match=None)
        await bob.library.patch(OTHER, {"n": 2}, if_match=None)
        await until_equal(alice, bob)
        assert [link for link, _ in alice.links.live()] == before
        assert (await alice.json()) == {OTHER: {"n": 2}}


async def test_what_no_client_could_parse_ends_the_link(autojump_clock: MockClock) -> None:
    async with mesh("alice") as (alice,), lying_to(alice) as mallory:
        for state in (b"{", b"NaN", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b'"\xed\xa0\x80"'):
            async with lying_to(alice, f"mallory{len(state)}{state[0]}") as liar:
                liar.inbox.send(Presence(NOTES, [Present(1, 1, state)]))
                end = await liar.end()
            assert end is not None
            assert (end.code, end.by_peer) == ("nonsense", True)
        assert alice.awareness.told(NOTES) == []
        assert not mallory.ended.is_set()


def test_a_clock_at_its_end_is_not_passed_on_beyond_it() -> None:
    awareness = Awareness()
    awareness.peer_told(MALLORY.device_id, NOTES, [Told(7, MAX_PRESENCE_CLOCK, b"{}"), Told(7, 1, b"")], 0)
    carol = awareness.enter(NOTES)
    awareness.heard(carol, [Told(7, 1, b'{"user":"carol"}')], 1)
    awareness.company(awareness.enter(NOTES))
    (told,) = awareness.told(NOTES)
    assert told == Told(7, MAX_PRESENCE_CLOCK, b'{"user":"carol"}')
    message = Presence(NOTES, [Present(told.client, told.clock, told.state)])
    assert decode(encode(message)) == message


async def test_what_is_told_of_documents_that_are_not_here_is_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unborn_module, "_MAX_UNBORN", 100)
    async with mesh("alice") as (alice,), lying_to(alice) as mallory:
        for n in range(50):
            mallory.inbox.send(State(f"x/{n}", 1, b"\x01\x05\x05", bytes(16), 1, 1, answer=False, former=[*range(10)]))
        await trio.sleep(1)
        assert sum(map(len, alice.replication._unborn._former.values())) == 100
        assert not mallory.ended.is_set()


@pytest.mark.parametrize("is_read", [True, False])
async def test_who_speaks_of_ever_more_documents_that_are_not_here_is_cut_off(
    is_read: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks and does not read, or it sends what cannot be merged."""
    monkeypatch.setattr(exchange_module, "_BURDEN", 100)
    async with mesh("alice") as (alice,):
        exchange = PeerExchange(alice.replication, MALLORY.device_id, compares=False)

        async def say(n: int) -> None:
            if is_read:
                await exchange.received(Updates(f"x/{n}", 1, 1, 0, [b"nonsense"]))
                await trio.sleep(0.1)
            else:
                await exchange.received(Offer("", [Offered(f"x/{n}", 1, False, bytes(16))]))

        for n in range(100):
            await say(n)
        await trio.sleep(1)
        with pytest.raises(WireError, match="too many documents"):  # noqa: PT012  # the merging comes later
            for n in (100, 101):
                await say(n)


def test_updates_that_begin_and_never_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces_module, "_ASSEMBLED_BYTES", 100 * pieces_module._BEGUN_BYTES)
    assembly = Assembly(AllHeld())
    for n in range(100):
        assert assembly.add(Piece(f"x/{n}", 1, 1, 0, 10, 0, b"")) is None
    for _ in range(1000):
        assert assembly.add(Piece("x/0", 1, 1, 0, 10, 0, b"")) is None
    whole = assembly.add(Piece("x/0", 1, 1, 0, 2, 0, b"ok"))
    assert whole is not None
    assert whole.updates == [b"ok"]
    assert assembly.add(Piece("x/101", 1, 1, 0, 10, 0, b"")) is None
    with pytest.raises(WireError, match="unfinished"):
        assembly.add(Piece("x/102", 1, 1, 0, 10, 0, b""))


async def test_a_confirmation_of_what_was_never_sent_counts_for_nothing(autojump_clock: MockClock) -> None:
    async with mesh("alice") as (alice,), lying_to(alice) as mallory:
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        mallory.inbox.send(State(NOTES, 1, EMPTY_STATE_VECTOR, bytes(16), LAST, LAST, answer=False))
        await trio.sleep(1)
        mallory.scope.cancel()
        await trio.sleep(1)
        async with lying_to(alice) as again:
            again.inbox.send(Durable([Reached(NOTES, 1, LAST), Reached(OTHER, 1, LAST), Reached(NOTES, LAST, LAST)]))
            await trio.sleep(1)
            written = await alice.library.patch(NOTES, {"n": 2}, if_match=None)
            with pytest.raises(AckTimeout):
                await alice.library.acknowledged(written, replicated(1), 1)


async def test_a_flood_of_deletions_deletes_what_it_names_and_nothing_else(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob):
        for n in range(5):
            await bob.library.put(DocumentName(f"notes/{n}"), {"n": n}, if_match=None)
        await until_equal(alice, bob)
        async with lying_to(alice) as mallory:
            mallory.inbox.send(Tombstone("notes/0", 1), *(Tombstone(f"gone/{n}", 1) for n in range(500)))
            await trio.sleep(5)
        await until_equal(alice, bob)
        expected = {DocumentName(f"notes/{n}"): {"n": n} for n in range(1, 5)}
        assert await alice.json() == await bob.json() == expected


async def test_a_state_with_a_lying_digest_costs_its_teller_only(autojump_clock: MockClock) -> None:
    """Who says that it has what we have is owed nothing; who says so to one node is believed by that one only."""
    seed = random.Random(1)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        await alice.library.put(NOTES, {"n": 1}, if_match=None)
        entry = alice.replication.table.get(NOTES)
        assert entry is not None
        async with lying_to(alice) as mallory:
            mallory.inbox.send(State(NOTES, 1, EMPTY_STATE_VECTOR, entry.reach.digest(), 1, 1, answer=True))
            await trio.sleep(1)
        async with linked(alice, bob):
            await until_equal(alice, bob)
        assert await bob.json() == {NOTES: {"n": 1}}
