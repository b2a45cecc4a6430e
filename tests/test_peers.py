"""Who is known, who is linked, and which of two links stays."""

import itertools
from dataclasses import replace

import pytest

from peatd.backoff import Backoff
from peatd.claims import Claim, Verdict, judge
from peatd.discovery.events import PeerInfo
from peatd.names import Address, DeviceId, NodeId
from peatd.peers import LOST_FOR, Parting, Peer, PeerState, PeerTable

ALICE, BOB = DeviceId("aa" * 16), DeviceId("bb" * 16)
AT_BOB = Address("10.0.0.2", 11204)
AT_BOB_V6 = Address("fd00::2", 11204)


def table() -> PeerTable:
    return PeerTable(NodeId("alice"), ALICE)


def sighting(name: str, *addresses: Address) -> PeerInfo:
    return PeerInfo(NodeId(name), addresses or (AT_BOB,), metadata={"formation": "alpha"})


def parting(at: float, error: str | None = None) -> Parting:
    return Parting(at=at, last_heard=at, last_sync=None, debt=frozenset(), clock=0, error=error)


def only(peers: PeerTable, now: float = 0.0) -> Peer:
    (peer,) = peers.all(now)
    return peer


def claim(device: str, *, node: str = "", instance: int = 0, initiating: bool = True) -> Claim:
    return Claim(NodeId(node or device), DeviceId(device), instance.to_bytes(16, "big"), initiating)


def test_a_sighting_that_nobody_answered_at_is_called_as_discovery_calls_it() -> None:
    peers = table()
    peers.sighted(sighting("10.0.0.2:11204"), lambda: ("static",))
    peer = only(peers)
    assert (peer.node_id, peer.device_id, peer.state) == ("10.0.0.2:11204", None, PeerState.DIALING)
    assert peer.metadata == {"formation": "alpha"}


def test_two_sightings_of_one_device_are_one_peer() -> None:
    peers = table()
    peers.sighted(sighting("10.0.0.2:11204"), lambda: ("static",))
    peers.sighted(sighting("bob", AT_BOB_V6), lambda: ("kubernetes",))
    peers.sighting(NodeId("10.0.0.2:11204")).device_id = BOB  # type: ignore[union-attr]  # it is there
    peers.met(NodeId("bob"), BOB, AT_BOB)
    peer = only(peers)
    assert (peer.node_id, peer.state) == ("bob", PeerState.LINKED)
    assert peer.sources == ("static", "kubernetes")
    assert peer.addresses == (AT_BOB, AT_BOB_V6)
    assert peers.is_linked(NodeId("bob"))
    assert peers.is_linked(NodeId("10.0.0.2:11204"))


def test_a_new_address_may_be_another_node() -> None:
    peers = table()
    peers.sighted(sighting("pod-1"), lambda: ("kubernetes",))
    peers.sighting(NodeId("pod-1")).device_id = BOB  # type: ignore[union-attr]  # it is there
    peers.met(NodeId("bob"), BOB, AT_BOB)
    peers.sighted(sighting("pod-1", AT_BOB_V6), lambda: ("kubernetes",))
    assert not peers.is_linked(NodeId("pod-1"))


def test_a_source_that_says_nothing_new_of_a_peer_is_shown_too() -> None:
    peers, sources = table(), ["static"]
    peers.sighted(sighting("bob"), lambda: tuple(sources))
    sources.append("kubernetes")
    assert only(peers).sources == ("static", "kubernetes")
    peers.met(NodeId("bob"), BOB, AT_BOB)
    sources.remove("static")
    assert only(peers).sources == ("kubernetes",)


def test_a_peer_without_source_and_link_is_lost_and_then_forgotten() -> None:
    peers = table()
    peers.sighted(sighting("bob"), lambda: ("static",))
    peers.met(NodeId("bob"), BOB, AT_BOB)
    peers.lost(NodeId("bob"), now=2.0)
    assert only(peers, 2.0).state is PeerState.LINKED
    peers.parted(BOB, parting(4.0, "cut"))
    assert only(peers, 5.0).state is PeerState.LOST
    assert only(peers, 5.0).error == "cut"
    assert only(peers, 4.0 + LOST_FOR).state is PeerState.LOST
    assert peers.all(4.1 + LOST_FOR) == []


def test_a_peer_that_is_still_sighted_is_never_forgotten() -> None:
    peers = table()
    peers.sighted(sighting("bob"), lambda: ("static",))
    peers.met(NodeId("bob"), BOB, AT_BOB)
    peers.parted(BOB, parting(1.0))
    assert only(peers, 10 * LOST_FOR).state is PeerState.DIALING


@pytest.mark.parametrize("name", ["bob", "10.0.0.2:11204"])
def test_why_it_could_not_be_dialled_once_is_not_why_its_link_has_ended(name: str) -> None:
    peers = table()
    peers.sighted(sighting(name), lambda: ("static",))
    found = peers.sighting(NodeId(name))
    assert found is not None
    found.error, found.device_id = "connection refused", BOB if name != "bob" else None
    peers.met(NodeId("bob"), BOB, AT_BOB)
    peers.parted(BOB, parting(1.0, "its key was revoked"))
    assert only(peers).error == "its key was revoked"


@pytest.mark.parametrize("name", ["bob", "10.0.0.2:11204"])
def test_invariant_3_a_node_that_comes_back_with_another_key_is_the_same_peer(name: str) -> None:
    peers, renewed = table(), DeviceId("cc" * 16)
    peers.sighted(sighting(name), lambda: ("kubernetes",))
    peers.sighting(NodeId(name)).device_id = BOB  # type: ignore[union-attr]  # it is there
    peers.met(NodeId("bob"), BOB, AT_BOB)
    peers.parted(BOB, parting(1.0))
    peers.met(NodeId("bob"), renewed, AT_BOB)
    assert (only(peers).device_id, only(peers).state) == (renewed, PeerState.LINKED)
    assert only(peers).sources == ("kubernetes",)
    assert peers.is_linked(NodeId(name)), "there is nobody to dial"


def test_who_dials_in_without_being_sighted_is_inbound() -> None:
    peers = table()
    peers.met(NodeId("bob"), BOB, AT_BOB)
    assert only(peers).sources == ("inbound",)


@pytest.mark.parametrize("name", ["alice", "10.0.0.1:11204"])
def test_ourselves_are_nobody_to_dial_or_show(name: str) -> None:
    peers = table()
    peers.sighted(sighting(name), lambda: ("kubernetes",))
    if name != "alice":
        peers.sighting(NodeId(name)).device_id = ALICE  # type: ignore[union-attr]  # it is there
    assert peers.is_linked(NodeId(name))
    assert peers.all(0.0) == []


def of_the_secret(_claim: Claim) -> bool:
    """All keys follow from the formation secret, as they usually do."""
    return True


@pytest.mark.parametrize(("lower", "higher"), [("aa", "bb")])
def test_of_two_simultaneous_links_both_ends_keep_the_one_that_the_lower_device_dialled(
    lower: str, higher: str
) -> None:
    for ours, theirs in itertools.permutations((lower, higher)):
        for first_is_ours in (True, False):
            old, new = claim(theirs, initiating=first_is_ours), claim(theirs, initiating=not first_is_ours)
            verdict = judge(new, [old], claim(ours, node="me"), of_the_secret)
            kept = new if verdict is Verdict.REPLACE else old
            assert kept.initiating == (ours == lower)


def test_a_peer_that_dials_again_has_given_up_its_old_link() -> None:
    old = new = claim("bb", initiating=False)
    assert judge(new, [old], claim("aa"), of_the_secret) is Verdict.REPLACE


def test_a_direct_link_stays_before_one_by_a_relay_whoever_has_dialled() -> None:
    for one, other in itertools.product((True, False), repeat=2):
        direct, relayed = claim("bb", initiating=one), replace(claim("bb", initiating=other), relayed=True)
        for ours in ("aa", "cc"):
            assert judge(direct, [relayed], claim(ours, node="me"), of_the_secret) is Verdict.REPLACE
            assert judge(relayed, [direct], claim(ours, node="me"), of_the_secret) is Verdict.DUPLICATE


def test_ourselves_and_our_twin() -> None:
    own = claim("aa", node="alice", instance=1)
    assert judge(claim("aa", node="alice", instance=1), [], own, of_the_secret) is Verdict.SELF
    assert judge(claim("aa", node="alice", instance=2), [], own, of_the_secret) is Verdict.TWIN
    assert judge(claim("cc", node="alice", instance=3), [], own, of_the_secret) is Verdict.TWIN


def test_a_second_node_with_a_linked_ones_name_or_key_is_refused() -> None:
    own, bob = claim("aa"), claim("bb", node="bob", instance=1)
    assert judge(claim("bb", node="bob", instance=2), [bob], own, of_the_secret) is Verdict.TWIN
    assert judge(claim("cc", node="bob", instance=2), [bob], own, of_the_secret) is Verdict.TWIN
    assert judge(claim("cc", node="carol", instance=2), [bob], own, of_the_secret) is Verdict.KEEP


def test_pauses_double_up_to_thirty_seconds_and_begin_anew() -> None:
    backoff = Backoff()
    assert [backoff.pause(1.0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.pause(0.5) == 0.25
    assert 15 <= backoff.longest(0.0) <= backoff.longest(1.0) == 30


def test_the_same_process_with_another_key_takes_its_own_place() -> None:
    """Its formation secret was rotated; the link that it had is ending, or has and we do not know yet."""
    own = claim(ALICE)
    old, new = claim(BOB, node="bob", instance=7), claim("cc" * 16, node="bob", instance=7)
    for initiating in (True, False):
        assert (
            judge(claim("cc" * 16, node="bob", instance=7, initiating=initiating), [old], own, of_the_secret)
            is Verdict.REPLACE
        )
    assert judge(claim("cc" * 16, node="bob", instance=8), [old], own, of_the_secret) is Verdict.TWIN
    assert judge(new, [new], own, of_the_secret) is Verdict.REPLACE


def test_who_shows_another_key_takes_nobodys_place_whose_key_is_its_own() -> None:
    """A member may say that it is whoever it likes, and has read the instance in a HELLO; the key it has not."""
    bob, mallory = claim("bb", node="bob", instance=7), claim("cc", node="bob", instance=7)
    assert judge(mallory, [bob], claim("aa"), lambda _: False) is Verdict.TWIN
    assert judge(bob, [bob], claim("aa"), lambda _: False) is Verdict.REPLACE
