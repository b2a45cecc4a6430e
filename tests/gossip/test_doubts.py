"""Who is suspected, and when that counts: the rules of SWIM and Lifeguard."""

import msgspec
import pytest
from gossip.conftest import FORMATION, One

from peatd.gossip.cards import accuse
from peatd.gossip.doubts import PATIENCE
from peatd.wire.gossip import Accusation


@pytest.fixture
def mesh(alice: One, bob: One, carol: One) -> tuple[One, One, One]:
    nodes = (alice, bob, carol, *(One(name) for name in ("dave", "erin", "frank")))
    for node in nodes:
        node.ties(*(other.name for other in nodes if other is not node))
    for node in nodes:
        node.hears(*(other for other in nodes if other is not node))
        node.members.review(0.0)
    return nodes


def accusation(accuser: One, accused: One, incarnation: int = 1) -> Accusation:
    return accuse(accused.keypair.device_id, incarnation, accuser.keypair, FORMATION)


def counted(node: One, now: float) -> list[str]:
    node.doubts.due(node.keypair, now)
    node.members.review(now)
    return list(node.missed())


def test_others_are_asked_before_anybody_is_accused(mesh: tuple[One, ...]) -> None:
    alice, bob, *_ = mesh
    assert alice.doubts.doubt(bob.device, 0.0)
    assert not alice.doubts.doubt(bob.device, 0.5)  # they are asked already
    alice.doubts.due(alice.keypair, PATIENCE - 0.1)
    assert alice.doubts.accused() == []
    alice.doubts.due(alice.keypair, PATIENCE)
    assert alice.doubts.accused() == [bob.device]


def test_who_is_vouched_for_is_not_accused_and_we_are_strained(mesh: tuple[One, ...]) -> None:
    alice, bob, *_ = mesh
    alice.doubts.doubt(bob.device, 0.0)
    alice.doubts.vouched(bob.device)
    alice.doubts.due(alice.keypair, 100.0)
    assert (alice.doubts.accused(), alice.doubts.strain) == ([], 1)
    alice.doubts.doubt(bob.device, 100.0)
    alice.doubts.due(alice.keypair, 100.0 + PATIENCE)  # it waits longer now
    assert alice.doubts.accused() == []
    alice.doubts.settled(bob.device)
    alice.doubts.calmed()
    assert alice.doubts.strain == 0


def test_the_more_accuse_the_sooner_it_counts(mesh: tuple[One, ...]) -> None:
    alice, bob, carol, dave, erin, frank = mesh
    for accuser, soonest in ((carol, 6.0), (dave, 4.0), (erin, 2.9), (frank, 2.0)):
        assert alice.doubts.hear(accusation(accuser, bob), 0.0)
        assert counted(alice, soonest - 0.2) == []
    assert counted(alice, 2.0) == ["bob"]


def test_the_accused_refutes_it_with_a_higher_incarnation(mesh: tuple[One, ...]) -> None:
    alice, bob, carol, *_ = mesh
    for node in (alice, bob):
        node.doubts.hear(accusation(carol, bob), 0.0)
    assert counted(alice, 6.0) == ["bob"]
    bob.ties("alice", "carol", "dave", "erin", "frank")
    assert bob.members.own.card.incarnation == 2
    alice.hears(bob)
    assert counted(alice, 6.1) == []
    assert alice.doubts.accused() == []
    assert not alice.doubts.hear(accusation(carol, bob), 6.2)  # an accusation from the past


def test_a_card_of_the_same_incarnation_refutes_nothing(mesh: tuple[One, ...]) -> None:
    alice, bob, carol, *_ = mesh
    alice.doubts.hear(accusation(carol, bob), 0.0)
    bob.ties("carol")
    alice.hears(bob)
    assert counted(alice, 6.0) == ["bob"]


def test_what_is_not_to_be_believed_is_not(mesh: tuple[One, ...]) -> None:
    alice, bob, carol, dave, *_ = mesh
    mallory = One("mallory")
    for said in (
        accusation(mallory, bob),  # no member
        accusation(bob, bob),
        accusation(carol, mallory),
        accusation(carol, bob, incarnation=0),
        accusation(carol, bob, incarnation=2),
        msgspec.structs.replace(accusation(carol, bob), accuser=dave.device),
        msgspec.structs.replace(accusation(carol, bob), signature=bytes(64)),
    ):
        assert not alice.doubts.hear(said, 0.0)
    assert alice.doubts.accused() == []


def test_four_accusers_are_listened_to(mesh: tuple[One, ...]) -> None:
    alice, bob, *others = mesh
    assert [alice.doubts.hear(accusation(one, bob), 0.0) for one in others] == [True] * 4
    erin, again = One("erin"), accusation(others[0], bob)
    assert not alice.doubts.hear(again, 0.0)
    assert not alice.doubts.hear(accusation(alice, bob), 0.0)
    assert len(alice.doubts.of(bob.device)) == 4
    assert erin.doubts.of(bob.device) == []


def test_who_has_left_is_not_doubted(mesh: tuple[One, ...]) -> None:
    alice, bob, carol, *_ = mesh
    bob.members.leave()
    alice.hears(bob)
    assert not alice.doubts.doubt(bob.device, 0.0)
    assert not alice.doubts.hear(accusation(carol, bob), 0.0)


def test_whoever_makes_us_refute_does_not_make_us_sign_without_end(mesh: tuple[One, ...]) -> None:
    alice, bob, carol, *_ = mesh
    version = bob.members.own.card.version
    for accuser in (alice, carol):
        bob.doubts.hear(accusation(accuser, bob), 0.0)
    assert bob.members.own.card.version == version  # until the next look
