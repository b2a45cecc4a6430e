"""What happened between two lists of peers, as real sightings and links make them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.discovery.events import PeerInfo
from peatd.events import Move
from peatd.names import Address, DeviceId, NodeId
from peatd.peer_changes import Told, moves_between
from peatd.peers import LOST_FOR, Parting, Peer, PeerTable

ALICE, BOB, CAROL = (DeviceId(letter * 32) for letter in "abc")
AT_BOB = Address("10.0.0.2", 11204)
UNNAMED, NAMED = NodeId("10.0.0.2:11204"), NodeId("bob")


class Follower:
    """A table, and what is told of it."""

    def __init__(self) -> None:
        self.table = PeerTable(NodeId("alice"), ALICE)
        self.now = 0.0
        self._known: list[Peer] = []
        self._of_one = Told(self.table)
        self._told: list[tuple[str, str]] = []
        self.table.watch(self._look)

    def told(self) -> list[tuple[str, str]]:
        told, self._told = self._told, []
        return told

    def _look(self, node_id: NodeId | None) -> None:
        before, self._known = self._known, self.table.all(self.now)
        moves = list(moves_between(before, self._known))
        assert self._of_one.moves(node_id, self.now) == moves, "a look at one sighting tells what a look at all does"
        self._told += [(move.value, peer.node_id) for move, peer in moves]

    def sight(self, name: NodeId, *addresses: Address, **metadata: str) -> None:
        self.table.sighted(PeerInfo(name, addresses or (AT_BOB,), metadata=metadata), lambda: ("static",))

    def part(self, device: DeviceId = BOB, error: str | None = None) -> None:
        self.table.parted(device, Parting(self.now, self.now, None, frozenset(), 0, error))


@pytest.fixture
def it() -> Follower:
    return Follower()


def test_a_named_peer_comes_links_and_goes(it: Follower) -> None:
    it.sight(NAMED)
    assert it.told() == [("found", "bob")]
    it.table.met(NAMED, BOB, AT_BOB)
    assert it.told() == [("linked", "bob")]
    it.part()
    assert it.told() == [("unlinked", "bob")]
    it.table.lost(NAMED, it.now)
    assert it.told() == [("lost", "bob")]
    it.sight(NAMED)
    assert it.told() == [("found", "bob")]


def test_a_peer_that_nobody_had_named_changes_its_name(it: Follower) -> None:
    it.sight(UNNAMED)
    it.told()
    sighting = it.table.sighting(UNNAMED)
    assert sighting is not None
    sighting.device_id = BOB
    it.table.met(NAMED, BOB, AT_BOB)
    assert it.told() == [("lost", UNNAMED), ("found", "bob"), ("linked", "bob")]


def test_who_dials_us_is_found_and_linked_at_once_and_lost_with_its_link(it: Follower) -> None:
    it.table.met(NAMED, BOB, AT_BOB)
    assert it.told() == [("found", "bob"), ("linked", "bob")]
    it.part()
    assert it.told() == [("unlinked", "bob"), ("lost", "bob")]
    it.now = LOST_FOR + 1
    it.sight(NodeId("carol"))
    assert it.told() == [("found", "carol")], "who was lost long ago is not lost again"


def test_what_is_known_of_a_peer_is_updated(it: Follower) -> None:
    it.sight(NAMED)
    it.told()
    it.sight(NAMED, zone="west")
    assert it.told() == [("updated", "bob")]
    it.sight(NAMED, zone="west")
    assert it.told() == []
    sighting = it.table.sighting(NAMED)
    assert sighting is not None
    sighting.dialing, sighting.error = False, "connection refused"
    it.table.tell()
    assert it.told() == [("updated", "bob")]
    sighting.dialing = True
    it.table.tell()
    assert it.told() == [], "that it is dialled again is no news"


def test_a_linked_peer_that_discovery_has_lost_is_still_there(it: Follower) -> None:
    it.sight(NAMED)
    it.table.met(NAMED, BOB, AT_BOB)
    it.told()
    it.table.lost(NAMED, it.now)
    assert it.told() == [("updated", "bob")]


def test_two_devices_that_go_by_one_name_are_two(it: Follower) -> None:
    it.table.met(NAMED, BOB, AT_BOB)
    it.part()
    it.told()
    it.table.met(NAMED, CAROL, AT_BOB)
    assert it.told() == [("found", "bob"), ("linked", "bob")]


def test_the_lists_alone_are_enough() -> None:
    assert list(moves_between([], [])) == []
    peer = Follower()
    peer.sight(NAMED)
    (bob,) = peer.table.all(0)
    assert [move for move, _ in moves_between([], [bob])] == [Move.FOUND]
    assert list(moves_between([bob], [bob])) == []


NAMES = st.sampled_from([UNNAMED, NAMED, NodeId("carol"), NodeId("alice")])
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["sighted", "lost", "met", "parted", "failed", "answered", "time"]),
        NAMES,
        st.sampled_from([ALICE, BOB, CAROL]),
        st.sampled_from(["east", "west"]),
    )
)


@given(CHANGES)
def test_a_look_at_one_sighting_tells_what_a_look_at_all_does(changes: list[tuple[str, NodeId, DeviceId, str]]) -> None:
    it = Follower()
    for change, name, device, word in changes:
        sighting = it.table.sighting(name)
        match change:
            case "sighted":
                it.sight(name, zone=word)
            case "lost":
                it.table.lost(name, it.now)
            case "met" if device != ALICE:
                it.table.met(name, device, AT_BOB)
            case "parted" if any(peer.device_id == device for peer in it.table.all(it.now)):
                it.part(device, word)
            case "failed" if sighting is not None:
                sighting.dialing, sighting.error = False, word
                it.table.tell(name)
            case "answered" if sighting is not None:
                sighting.device_id = device
                it.table.tell()
            case "time":
                it.now += LOST_FOR


def test_who_was_never_met_is_compared_with_nobody_else() -> None:
    class Table(PeerTable):
        def all(self, now: float) -> list[Peer]:
            raise AssertionError("a look at all, for each of a thousand peers that come")

    table = Table(NodeId("alice"), ALICE)
    told, moves = Told(table), []
    table.watch(lambda name: moves.extend(told.moves(name, 0.0)))
    for name in (NodeId("carol"), NAMED, NodeId("alice")):
        table.sighted(PeerInfo(name, (AT_BOB,)), lambda: ("static",))
    table.lost(NAMED, 0.0)
    assert [(move, peer.node_id) for move, peer in moves] == [
        (Move.FOUND, "carol"),
        (Move.FOUND, "bob"),
        (Move.LOST, "bob"),
    ]
