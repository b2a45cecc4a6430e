"""Who is a member, and who is within reach: as the cards say, and nothing from the past."""

import msgspec
import pytest
from gossip.conftest import FORMATION, One, device, keypair

from peatd.errors import CardForged, WireError
from peatd.gossip.cards import Card, Tie, opened, seal
from peatd.gossip.members import LEFT_FOR, REMEMBERED_FOR
from peatd.names import Address, NodeId
from peatd.wire.gossip import MAX_MEMBERS, MAX_TIES, SignedCard


def chain(*nodes: One) -> None:
    """Each is linked with the one before it and the one behind it, and all know all."""
    for place, node in enumerate(nodes):
        node.ties(*(other.name for other in nodes[max(0, place - 1) : place + 2] if other is not node))
    for node in nodes:
        node.hears(*(other for other in nodes if other is not node))
        node.members.review(0.0)


def test_a_member_is_within_reach_by_way_of_others(alice: One, bob: One, carol: One) -> None:
    chain(alice, bob, carol)
    assert [node.missed() for node in (alice, bob, carol)] == [[], [], []]


def test_a_link_is_there_when_both_ends_say_so(alice: One, bob: One, carol: One) -> None:
    chain(alice, bob, carol)
    bob.ties("alice")
    alice.hears(bob)
    assert alice.members.review(5.0).gone == ["carol"]
    assert alice.missed() == ["carol"]
    assert alice.members.book.get(device("carol")).absent_since == 5.0


def test_of_its_own_links_a_node_needs_no_other_witness(alice: One, bob: One) -> None:
    alice.ties("bob")
    alice.hears(bob)
    alice.members.review(1.0)
    assert alice.missed() == []


def test_a_mesh_in_two_is_missed_whole_and_comes_back_whole(alice: One, bob: One, carol: One) -> None:
    dave = One("dave")
    chain(alice, bob, carol, dave)
    bob.ties("alice")
    alice.hears(bob)
    assert set(alice.members.review(1.0).gone) == {"carol", "dave"}
    bob.ties("alice", "carol")
    alice.hears(bob)
    assert set(alice.members.review(60.0).back) == {"carol", "dave"}
    assert alice.missed() == []


def test_what_is_from_the_past_is_ignored_and_costs_no_signature(alice: One, bob: One) -> None:
    old = bob.card
    alice.hears(bob)
    bob.ties("alice")
    alice.hears(bob)
    digest = alice.members.book.digest
    alice.members.hear(msgspec.structs.replace(old, signature=bytes(64)), 0.0)
    alice.members.hear(old, 0.0)
    assert alice.members.book.digest == digest
    assert alice.members.book.get(bob.device).card.counter == bob.members.own.card.counter


def test_what_its_member_has_not_signed_ends_the_link(alice: One, bob: One) -> None:
    with pytest.raises(CardForged, match="bob"):
        alice.members.hear(msgspec.structs.replace(bob.card, signature=bytes(64)), 0.0)
    card = opened(bob.card)
    for forged in (
        seal(card, keypair("mallory"), FORMATION),
        seal(card, bob.keypair, "another formation"),
        msgspec.structs.replace(seal(card, bob.keypair, FORMATION), body=alice.card.body),
    ):
        with pytest.raises(CardForged):
            One("carol").members.hear(forged, 0.0)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x90", b"\x96\x00\x00\x00\x00\x00\x90", b"\x91" * 2000])
def test_whatever_the_bytes_it_is_a_card_or_a_wire_error(alice: One, body: bytes) -> None:
    with pytest.raises(WireError):
        alice.members.hear(SignedCard(body, bytes(64)), 0.0)


def test_a_field_of_a_later_release_breaks_no_signature(alice: One, bob: One, carol: One) -> None:
    card = msgspec.to_builtins(bob.members.own.card, builtin_types=(bytes,))
    body = msgspec.msgpack.encode([*card, "new"])
    prefix = b"".join(len(part).to_bytes(4, "big") + part for part in (b"peatd member v1", b"peat", body))
    alice.members.hear(SignedCard(body, bob.keypair.sign(prefix)), 0.0)
    carol.members.hear(alice.members.book.get(bob.device).signed, 0.0)
    assert carol.members.book.get(bob.device).node_id == "bob"


def test_a_node_that_meets_its_own_future_goes_beyond_it(alice: One, bob: One) -> None:
    """Its clock was put back between two runs."""
    bob.hears(One("alice", incarnation=500))
    bob.hears(alice)
    assert bob.members.book.get(alice.device).card.incarnation == 500
    alice.members.hear(bob.members.book.get(alice.device).signed, 0.0)
    alice.ties("bob")
    bob.hears(alice)
    assert bob.members.book.get(alice.device).card.incarnation == 501
    assert bob.members.book.get(alice.device).tied == {bob.device}


def test_who_has_left_is_missed_by_nobody_and_soon_forgotten(alice: One, bob: One, carol: One) -> None:
    chain(alice, bob, carol)
    bob.members.leave()
    alice.hears(bob)
    assert alice.members.review(1.0).gone == ["carol"]  # bob was the way to it
    assert alice.missed() == ["carol"]
    alice.members.review(1.0 + LEFT_FOR + 1)
    assert [member.node_id for member in alice.members.all()] == ["alice", "carol"]


def test_who_is_absent_for_a_day_is_forgotten_by_all(alice: One, bob: One, carol: One) -> None:
    chain(alice, bob)
    alice.ties()
    alice.members.review(10.0)
    assert alice.missed() == ["bob"]
    late = 10.0 + 0.95 * REMEMBERED_FOR
    told = alice.members.book.take(feed := _feed(alice), late)
    assert [round(card.absent) for card in told if opened(card).node_id == "bob"] == [round(late - 10.0)]
    for card in told:
        carol.members.hear(card, 0.0)
    assert [member.node_id for member in carol.members.all()] == ["carol", "alice"]  # bob is no news any more
    alice.members.review(10.0 + REMEMBERED_FOR + 1)
    assert alice.missed() == []
    assert not alice.members.book.take(feed, 0.0)


def _feed(node: One):  # type: ignore[no-untyped-def]
    from peatd.gossip.book import Feed

    feed = Feed(lambda: None)
    feed.owed = dict.fromkeys(known for known, _ in node.members.book)
    return feed


def test_a_revoked_device_is_no_member(alice: One, bob: One) -> None:
    alice.hears(bob)
    alice.revoked.add(bob.keypair.device_id)
    alice.members.review(0.0)
    alice.hears(bob)
    assert [member.node_id for member in alice.members.all()] == ["alice"]


def test_a_rotated_key_is_a_new_member_in_the_place_of_the_old(alice: One, bob: One) -> None:
    chain(alice, bob)
    old = bob.card
    bob.members.rekeyed(keypair("bob again"))
    bob.ties("alice")
    alice.members.renew([Tie(bob.members.own_device)], 1)
    alice.hears(bob)
    alice.members.hear(old, 0.0)
    alice.members.review(1.0)
    assert [member.card.device_id for member in alice.members.all()][1:] == [keypair("bob again").device_id]


def test_a_list_that_grows_without_end_is_refused(alice: One, bob: One, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peatd.gossip.members.MAX_MEMBERS", 8)
    assert MAX_MEMBERS == 4096
    crowd = [One(f"fake-{number}") for number in range(20)]
    alice.ties("bob")
    alice.hears(*crowd)
    assert (len(alice.members.book), alice.members.refused) == (8, 13)
    alice.hears(bob)  # it is linked with us: for it there is a place
    alice.members.review(0.0)
    assert len(alice.members.book) == 8
    assert alice.members.book.get(bob.device) is not None


def test_a_card_tells_of_no_more_links_than_a_message_holds(alice: One) -> None:
    alice.members.renew([Tie(number.to_bytes(16, "big")) for number in range(MAX_TIES + 10)], 1)
    assert len(alice.members.own.card.ties) == MAX_TIES
    assert len(alice.card.body) <= 12 * 1024


def test_where_a_member_is_reached_is_known_after_its_links_are_gone(alice: One, bob: One, carol: One) -> None:
    chain(alice, bob, carol)
    bob.ties()
    alice.hears(bob)
    assert alice.members.book.addresses(carol.device) == (Address("carol", 11204),)


def test_digests_are_equal_exactly_where_cards_are(alice: One, bob: One, carol: One) -> None:
    bob.hears(alice, carol)
    alice.hears(carol, bob)
    assert alice.members.book.digest == bob.members.book.digest
    carol.ties("bob")
    alice.hears(carol)
    assert alice.members.book.digest != bob.members.book.digest
    assert bob.members.book.lacking(alice.members.book.held()) == []
    assert alice.members.book.lacking(bob.members.book.held()) == [carol.device]


def test_nothing_is_signed_anew_for_a_round_trip(alice: One) -> None:
    assert alice.members.renew([Tie(device("bob"), "", 100)], 1)
    assert not alice.members.renew([Tie(device("bob"), "", 200)], 1)
    assert Card is type(alice.members.own.card)
    assert NodeId("alice") == alice.members.own.node_id
