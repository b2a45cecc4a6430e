"""How a node stands in its formation, and what it and a peer tell each other of that over a link."""

import random
from dataclasses import replace

import pytest
import trio
from fakes.links import OTHER_SECRET, SECRET, Inbox, credentials, hello, memory_links, peer
from fakes.replicas import Replica, linked, mesh
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.claims import Claim, Verdict
from peatd.errors import RevocationForged
from peatd.formation import Formation
from peatd.identity import Keypair
from peatd.library import replicated
from peatd.membership import Membership, credentials_of
from peatd.names import DeviceId, DocumentName, NodeId
from peatd.papers.certificates import mint
from peatd.papers.order import Order, Papers
from peatd.peers import PeerState
from peatd.revocations import Revocation, Revocations, sign
from peatd.transport import converse
from peatd.transport.link import LinkPeer
from peatd.wire.members import Accepts, Revoked, RevokedDigest, RevokedKey

ALICE = NodeId("alice")
EVE = DeviceId("ee" * 16)


async def mint_here(order: Order) -> tuple[Papers, ...]:
    await trio.lowlevel.checkpoint()
    return mint(order)


async def membership(*secrets: bytes, own_key: Keypair | None = None) -> Membership:
    shown = await credentials_of(Formation("peat", secrets or (SECRET,)), ALICE, own_key, mint_here)
    return Membership(shown, hello(ALICE), Revocations(), own_key=own_key, mint=mint_here)


def proven(by: Membership, *names: int) -> LinkPeer:
    """Bob, over a link that was proven by the secrets with these places."""
    bob = peer("bob", initiating=True)
    fingerprints = tuple(by.fingerprints[name] for name in names)
    return LinkPeer(
        *(bob.node_id, bob.device_id, bob.public_key, bob.instance, bob.version, True),
        proven_by=fingerprints,
        met_as=by.device_id,
    )


async def test_a_further_secret_changes_nothing_for_whoever_is_linked() -> None:
    alice = await membership(SECRET)
    before, bob = alice.device_id, proven(alice, 0)
    told: list[tuple[str, ...]] = []
    alice.watch(lambda: told.append(tuple(alice.hello.secrets)))
    assert await alice.exchange((SECRET, OTHER_SECRET))
    assert alice.device_id == before
    assert alice.judged(bob) is None
    assert told == [alice.fingerprints]
    assert len(alice.client_token_keys()) == 2


async def test_with_another_first_secret_the_key_is_another_and_every_link_is_made_anew() -> None:
    """Who holds the old secret can derive the old key."""
    alice = await membership(SECRET, OTHER_SECRET)
    before, bob = alice.device_id, proven(alice, 1)
    await alice.exchange((OTHER_SECRET, SECRET))
    assert alice.device_id == alice.claim.device_id != before
    assert alice.device_id == Keypair.from_seed(OTHER_SECRET, ALICE).device_id
    assert alice.judged(bob) is Verdict.ROTATED


async def test_a_key_of_its_own_stays_and_links_end_with_the_secret_that_they_stand_on() -> None:
    alice = await membership(SECRET, OTHER_SECRET, own_key=Keypair.generate())
    before = alice.device_id
    old, new, both = proven(alice, 0), proven(alice, 1), proven(alice, 1, 0)
    await alice.exchange((OTHER_SECRET, SECRET))
    assert alice.device_id == before
    assert [alice.judged(bob) for bob in (old, new, both)] == [None, None, None]
    await alice.exchange((OTHER_SECRET,))
    assert [alice.judged(bob) for bob in (old, new, both)] == [Verdict.ROTATED, None, Verdict.ROTATED]


async def test_the_same_secrets_are_no_change() -> None:
    alice = await membership(SECRET)
    alice.watch(lambda: pytest.fail("nothing has changed"))
    assert not await alice.exchange((SECRET,))


async def test_where_no_certificate_can_be_minted_nothing_changes() -> None:
    alice = await membership(SECRET)

    async def fail(_order: Order) -> tuple[Papers, ...]:
        await trio.lowlevel.checkpoint()
        raise ChildProcessError("no memory")

    alice._mint = fail
    with pytest.raises(ChildProcessError):
        await alice.exchange((OTHER_SECRET,))
    assert alice.fingerprints == Formation("peat", (SECRET,)).fingerprints
    assert alice.hello.secrets == list(alice.fingerprints)


async def test_who_is_revoked_is_judged_so_before_anything_else() -> None:
    alice = await membership(SECRET)
    bob = proven(alice, 0)
    alice.revoke(bob.device_id)
    await alice.exchange((OTHER_SECRET,))
    assert alice.judged(bob) is Verdict.REVOKED
    assert alice.revoked() is None


async def test_a_node_that_is_revoked_says_so() -> None:
    alice = await membership(SECRET)
    entry = sign(Revocation(alice.device_id, 7, EVE), alice.credentials.formation, alice.fingerprints[0])
    with capture_logs() as logs:
        alice.heard_revoked([entry])
    assert EVE in (alice.revoked() or "")
    assert [line["log_level"] for line in logs] == ["warning", "error"]
    await alice.exchange((OTHER_SECRET,))
    assert alice.revoked() is None, "its new key is another"


async def test_of_what_a_peer_tells_nothing_forged_is_believed() -> None:
    alice = await membership(SECRET)
    good = sign(Revocation(EVE, 7, EVE), alice.credentials.formation, alice.fingerprints[0])
    other = Formation("peat", (OTHER_SECRET,))
    forged = sign(Revocation(DeviceId("ff" * 16), 7, EVE), other, other.fingerprints[0])
    with capture_logs(), pytest.raises(RevocationForged):
        alice.heard_revoked([good, forged])
    assert [entry.device_id for entry in alice.revocations] == [EVE]


# Over links ----------------------------------------------------------------------------------------------------


def secrets_of(one: Replica, other: str) -> tuple[str, ...]:
    (found,) = (known for known in one.peers.all(trio.current_time()) if known.node_id == other)
    return found.accepts


async def test_a_revocation_reaches_whoever_is_linked_and_whoever_comes_later(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob):
        with capture_logs():
            alice.membership.revoke(EVE)
            await trio.sleep(1)
            assert EVE in bob.membership.revocations
            async with Replica("carol", random.Random(1)).running() as carol:
                carol.membership.revoke(DeviceId("dd" * 16))
                async with linked(bob, carol):
                    await trio.sleep(1)
                    digests = {one.membership.revocations.digest() for one in (alice, bob, carol)}
    assert len(digests) == 1
    assert len(alice.membership.revocations) == 2


async def test_a_long_list_comes_whole(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(0)).running() as alice, Replica("bob", random.Random(1)).running() as bob:
        with capture_logs():
            for number in range(600):
                alice.membership.revoke(DeviceId(f"{number:032x}"))
            async with linked(alice, bob):
                await trio.sleep(1)
        assert len(bob.membership.revocations) == 600


async def test_a_revoked_peer_is_out_at_once_on_all(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob", "carol") as (alice, bob, carol):
        with capture_logs():
            alice.membership.revoke(carol.membership.device_id)
            await trio.sleep(3)
        assert [link.peer.node_id for link, _ in alice.links.live()] == ["bob"]
        assert [link.peer.node_id for link, _ in bob.links.live()] == ["alice"]
        assert carol.links.live() == []


async def test_a_peer_says_what_it_accepts_when_that_changes(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, bob):
        await trio.sleep(1)
        assert secrets_of(alice, "bob") == bob.membership.fingerprints
        bob.membership._mint = mint_here
        await bob.membership.exchange((SECRET, OTHER_SECRET))
        await trio.sleep(1)
        assert secrets_of(alice, "bob") == bob.membership.fingerprints
        assert len(secrets_of(alice, "bob")) == 2


async def test_a_peer_that_comes_back_with_another_key_takes_its_own_place(autojump_clock: MockClock) -> None:
    """Its old link may stand still: it is the same process."""
    async with mesh("alice", "bob") as (alice, bob):
        await trio.sleep(1)
        ours, theirs = memory_links("bob", "alice")
        key = Keypair.from_seed(OTHER_SECRET, "bob")
        theirs.peer = replace(theirs.peer, device_id=key.device_id, public_key=key.public_key)
        with capture_logs() as logs:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.links.keep, theirs)
                nursery.start_soon(converse, ours, Inbox())
                await trio.sleep(5)
                assert [link.peer.device_id for link, _ in alice.links.live()] == [key.device_id]
                (shown,) = alice.peers.all(trio.current_time())
                assert (shown.node_id, shown.device_id, shown.state) == ("bob", key.device_id, PeerState.LINKED)
                nursery.cancel_scope.cancel()
        assert not [line for line in logs if line["log_level"] == "error"]
        assert bob.links.live() == []


async def test_what_a_peer_confirms_under_two_keys_counts_once(autojump_clock: MockClock) -> None:
    """Else `replicated:2` would be said of what one peer has, while its old link still stands beside the new one."""
    async with mesh("alice", "bob") as (alice, _):
        with capture_logs():
            await trio.sleep(1)
            written = await alice.library.put(DocumentName("notes/a"), {"n": 1}, if_match=None)
            assert written.mark is not None
            await alice.library.acknowledged(written, replicated(1), 10)
            (name, (_, exchange)), *_ = alice.links._live.items()
            ours, theirs = memory_links("bob", "alice")
            key = Keypair.from_seed(OTHER_SECRET, "bob")
            theirs.peer = replace(theirs.peer, device_id=key.device_id, public_key=key.public_key)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.links.keep, theirs)
                nursery.start_soon(converse, ours, Inbox())
                await wait_all_tasks_blocked()
                assert exchange.sync.device_id == key.device_id != name
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize("what", ["forged", "of a removed secret"])
async def test_a_peer_that_tells_of_what_nobody_has_revoked_is_hung_up_on(what: str, autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(0)).running() as alice:
        ours, theirs = memory_links("mallory", "alice")
        inbox, by = Inbox(), alice.membership.fingerprints[0]
        other = Formation("peat", (OTHER_SECRET,))
        forged = RevokedKey(EVE, 7, EVE, by if what == "forged" else other.fingerprints[0], bytes(64))
        inbox.send(Revoked([forged]))
        with capture_logs():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.links.keep, theirs)
                end = await converse(ours, inbox)
        assert (end.code, end.by_peer) == ("nonsense", True)
        assert EVE in end.message
        assert len(alice.membership.revocations) == 0


async def test_whoever_asks_again_and_again_is_sent_the_list_once(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(0)).running() as alice:
        with capture_logs():
            alice.membership.revoke(EVE)
            ours, theirs = memory_links("mallory", "alice")
            inbox = Inbox()
            for number in range(50):
                inbox.send(RevokedDigest(bytes([number]) * 16))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.links.keep, theirs)
                nursery.start_soon(converse, ours, inbox)
                await trio.sleep(5)
                nursery.cancel_scope.cancel()
        assert [len(one.keys) for one in inbox.taken() if isinstance(one, Revoked)] == [1]


async def test_an_old_release_is_told_nothing_that_would_end_its_link(autojump_clock: MockClock) -> None:
    async with Replica("alice", random.Random(0)).running() as alice:
        ours, theirs = memory_links("bob", "alice")
        theirs.peer = replace(theirs.peer, accepts=())
        inbox = Inbox()
        with capture_logs():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.links.keep, theirs)
                nursery.start_soon(converse, ours, inbox)
                alice.membership.revoke(EVE)
                await trio.sleep(5)
                assert [one for one in inbox.taken() if isinstance(one, Accepts | Revoked | RevokedDigest)] == []
                assert len(alice.links.live()) == 1
                nursery.cancel_scope.cancel()


def test_credentials_of_the_fakes_are_those_of_a_node() -> None:
    assert credentials("alice").keypair.device_id == Keypair.from_seed(SECRET, "alice").device_id


async def test_a_key_follows_from_a_secret_that_is_accepted_or_is_the_nodes_own() -> None:
    alice = await membership(SECRET, OTHER_SECRET)
    bob = NodeId("bob")
    for secret, follows in ((SECRET, True), (OTHER_SECRET, True), (b"\x2c" * 32, False)):
        shown = Keypair.from_seed(secret, bob).device_id
        assert alice.follows(Claim(bob, shown, b"", initiating=True)) is follows
        assert not alice.follows(Claim(NodeId("carol"), shown, b"", initiating=True))
