"""Whom a node dials and lets in when the mesh is larger than it keeps links with."""

from contextlib import ExitStack

import pytest
from gossip.conftest import One, device, keypair

from peatd.gossip.cards import Tie
from peatd.names import NodeId
from peatd.view import Tied, View

MAX_LINKS = 8
ENOUGH = 4  # half
NAMES = [f"n{number}" for number in range(20)]


class Scene:
    """Alice in a mesh of `NAMES`; each of them is linked with her and with `ties` others, as they say."""

    def __init__(self, present: int, ties: int = 6) -> None:
        self.alice = One("alice")
        self.links: list[bytes] = []
        self.view = View(self.alice.members, MAX_LINKS, lambda: self.links)
        self.alice.ties(*NAMES[:present])
        for name in NAMES[:present]:
            other = One(name)
            others = [Tie(number.to_bytes(16, "big")) for number in range(ties - 1)]
            other.members.renew([Tie(device("alice")), *others], 1)
            self.alice.hears(other)
        self.alice.members.review(0.0)

    def link(self, *names: str) -> None:
        self.links += [device(name) for name in names]

    def wants(self, name: str, now: float = 100.0, known: int = 0) -> bool:
        return self.view.wants(NodeId(name), keypair(name).device_id, known, now)


def test_a_small_mesh_is_full() -> None:
    it = Scene(present=MAX_LINKS)
    it.link(*NAMES[: MAX_LINKS - 1])
    assert it.wants(NAMES[MAX_LINKS - 1])
    assert it.wants("a stranger", known=MAX_LINKS)


def test_who_has_all_its_links_and_is_not_linked_with_all_is_in_a_larger_one() -> None:
    """Neither discovery nor gossip has told yet. Two such nodes would dial each other back for every dial."""
    it = Scene(present=0)
    it.link(*NAMES[:MAX_LINKS])
    assert it.wants("n9", known=3)  # it may be in another half
    assert not it.wants("n10", known=3)


def test_in_a_larger_one_a_node_dials_until_it_has_half_and_half_of_what_it_needs_at_a_time() -> None:
    it = Scene(present=20)
    for links, at_once in enumerate((2, 2, 1, 1)):
        assert it.view.lacking == at_once
        with ExitStack() as dials:
            for _ in range(at_once):
                assert it.wants("n9")
                dials.enter_context(it.view.dialing())
            assert not it.wants("n10")
        it.link(f"n{links}")
    assert not it.wants("n10")
    assert not it.view.wants(NodeId("n10"), None, 0, 100.0)  # by its name, before it was ever linked


def test_discovery_counts_before_gossip_does() -> None:
    it = Scene(present=0)
    it.link(*NAMES[:ENOUGH])
    assert it.wants("n9", known=MAX_LINKS)
    it.wants("n9", now=0.0, known=20)
    assert not it.wants("n9", now=0.5, known=20)


def test_who_may_be_in_another_half_is_dialled_one_at_a_time() -> None:
    it = Scene(present=19)
    it.link(*NAMES[:MAX_LINKS])
    assert it.wants("n19", now=10.0)
    assert not it.wants("n19", now=11.0)
    with it.view.dialing():
        assert not it.wants("n19", now=20.0)
    assert it.wants("n19", now=20.0)
    assert not it.wants("n18", now=30.0)


@pytest.mark.parametrize(("ties", "is_sent_away"), [(1, False), (2, True), (7, True)])
def test_who_has_enough_is_sent_away_by_a_full_node(ties: int, is_sent_away: bool) -> None:
    it = Scene(present=20, ties=ties)
    it.link(*NAMES[:MAX_LINKS])
    links = [Tied(device(name), 0.1, 60.0) for name in NAMES[:MAX_LINKS]]
    assert it.view.sends_away(device("n19"), 0, links) is is_sent_away
    assert not it.view.sends_away(device("a newcomer"), 1, links)
    assert it.view.sends_away(device("a newcomer"), 2, links), "it has said so"
    assert not it.view.sends_away(device("n19"), 7, links[1:])


@pytest.mark.parametrize(("ours", "theirs", "most", "is_spared"), [(2, 8, 8, True), (1, 8, 8, False), (7, 7, 8, False)])
def test_whoever_would_be_sent_away_knows_it(ours: int, theirs: int, most: int, is_spared: bool) -> None:
    it = Scene(present=20)
    it.link(*NAMES[:ours])
    assert it.view.is_spared_by(theirs, most) is is_spared
    assert not it.view.is_spared_by(0, 0), "its release does not say"


def test_nobody_loses_a_new_link_to_a_newcomer() -> None:
    """Nobody has told yet how many links it has: all that start together seem to have none."""
    it = Scene(present=20)
    links = [Tied(device(name), 0.1, 1.0) for name in NAMES[:MAX_LINKS]]
    newcomer = device("a newcomer")
    assert it.view.sends_away(newcomer, 0, links)
    links[-1] = Tied(device("n7"), 0.1, 3.0)
    assert not it.view.sends_away(newcomer, 0, links)
    assert it.view.to_end([*links, Tied(newcomer, 0.0, 0.0)]) == device("n7")
    links[-1] = Tied(device("n7"), 0.1, 1.0)
    assert it.view.to_end([*links, Tied(newcomer, 0.0, 0.0)]) is not None, "one that comes again is not sent away"


def test_for_a_newcomer_a_link_ends_but_not_one_of_the_quickest() -> None:
    it = Scene(present=20)
    rtts = (0.1, 0.2, 0.001, 0.002, 0.3, 0.4, None, 0.5)
    links = [Tied(device(name), rtt, 60.0) for name, rtt in zip(NAMES, rtts, strict=False)]
    assert it.view.to_end(links) is None
    newcomer = Tied(device("newcomer"), 0.0, 0.0)
    ended = it.view.to_end([*links, newcomer])
    assert ended in {device(name) for name in NAMES[:8]} - {device("n2")}


def test_a_link_ends_with_whoever_can_do_without() -> None:
    it = Scene(present=20, ties=3)
    rich = One("n5")
    rich.members.renew([Tie(device("alice")), *(Tie(bytes([number] * 16)) for number in range(9))], 1)
    rich.members.renew([*rich.members.own.card.ties, Tie(bytes([99] * 16))], 1)
    it.alice.hears(rich)
    assert it.view.to_end([Tied(device(name), 0.1, 60.0) for name in NAMES[:9]]) == device("n5")


def test_a_node_with_few_links_in_a_large_mesh_is_short() -> None:
    it = Scene(present=20)
    assert it.view.is_short
    it.link("n1", "n2")
    assert not it.view.is_short
    assert not Scene(present=MAX_LINKS).view.is_short
