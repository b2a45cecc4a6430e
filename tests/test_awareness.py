"""Who is at which document: the latest of each, for whom each client id is, and when it goes."""

from collections.abc import Callable

import pytest

from peatd.awareness import DOUBTED_FOR, EXPIRES_AFTER, MAX_IDS, Awareness
from peatd.names import DeviceId, DocumentName
from peatd.speakers import Feed, Told

NOTES = DocumentName("notes/a")
BOB = DeviceId("bob")
CAROL = DeviceId("carol")


class Node:
    """An awareness and what it told of."""

    def __init__(self) -> None:
        self.awareness = Awareness()
        self.moved: list[int] = []
        self.awareness.watch(lambda _name, client: self.moved.append(client))

    def states(self) -> dict[int, bytes]:
        return {told.client: told.state for told in self.awareness.told(NOTES)}


def say(client: int, clock: int, state: bytes = b"{}") -> list[Told]:
    return [Told(client, clock, state)]


@pytest.fixture
def node() -> Node:
    return Node()


def drained(feed: Feed) -> list[Told]:
    return [told for _, _, batch in feed.take(2**20) for told in batch]


def feed_of(node: Node, wake: Callable[[], None] = lambda: None) -> Feed:
    return node.awareness.feed(wake, BOB, lambda _: False)


def test_the_latest_state_counts_and_an_old_one_does_not(node: Node) -> None:
    alice = node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 5, b'"new"'), 0)
    node.awareness.heard(alice, say(1, 4, b'"old"'), 0)
    node.awareness.heard(alice, say(1, 5, b'"same clock"'), 0)
    assert node.states() == {1: b'"new"'}
    assert node.moved == [1]


def test_rule_2_nobody_speaks_for_another_client(node: Node) -> None:
    alice, mallory = node.awareness.enter(NOTES), node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 1, b'"alice"'), 0)
    mallory.has_heard = True
    node.awareness.heard(mallory, say(2, 1, b'"mallory"'), 0)
    node.awareness.heard(mallory, say(1, 9, b'"mallory"') + say(1, 10, b""), 0)
    assert node.states() == {1: b'"alice"', 2: b'"mallory"'}


def test_a_client_that_leaves_takes_its_states_along(node: Node) -> None:
    alice = node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 5), 0)
    node.awareness.leave(alice, 1)
    assert node.states() == {}
    assert node.awareness.told(NOTES, {1: None}) == [Told(1, 5, b"")]


def test_rule_3_who_comes_back_begins_above_the_clock_that_went(node: Node) -> None:
    alice = node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 5), 0)
    node.awareness.leave(alice, 1)
    again = node.awareness.enter(NOTES)
    node.awareness.heard(again, say(1, 5, b'"back"'), 2)  # y-websocket tells its state again, with the clock it had
    assert node.awareness.told(NOTES) == [Told(1, 6, b'"back"')]
    node.awareness.heard(again, say(1, 6, b'"moved"'), 3)
    assert node.awareness.told(NOTES) == [Told(1, 7, b'"moved"')]


def test_the_echo_of_one_who_left_does_not_bring_it_back(node: Node) -> None:
    alice, bob = node.awareness.enter(NOTES), node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 5), 0)
    bob.has_heard = True
    node.awareness.heard(bob, say(1, 5), 1)  # also of one who shows nothing of itself
    node.awareness.leave(alice, 2)
    assert node.states() == {}
    node.awareness.heard(bob, say(1, 5), 3)
    assert node.states() == {}


def test_the_echo_of_one_move_of_which_it_was_told_before_all_others_is_no_claim(node: Node) -> None:
    alice, bob = node.awareness.enter(NOTES), node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 5, b'"alice"'), 0)
    bob.heard_of.add(1)
    node.awareness.heard(bob, say(1, 5, b'"alice"') + say(2, 1, b'"bob"'), 1)
    node.awareness.leave(alice, 2)
    assert node.states() == {2: b'"bob"'}
    node.awareness.heard(bob, say(1, 5, b'"alice"'), 3)
    assert node.states() == {2: b'"bob"'}


def test_a_client_that_is_back_before_its_old_connection_is_dead_is_seen_when_that_ends(node: Node) -> None:
    old, new = node.awareness.enter(NOTES), node.awareness.enter(NOTES)
    node.awareness.heard(old, say(1, 5, b'"old"'), 0)
    node.awareness.heard(new, say(1, 5, b'"new"'), 1)
    node.awareness.heard(new, say(1, 6, b'"newer"'), 2)
    assert node.states() == {1: b'"old"'}
    node.awareness.leave(old, 3)
    assert node.awareness.told(NOTES) == [Told(1, 6, b'"newer"')]
    node.awareness.leave(new, 4)
    assert node.states() == {}


def test_what_is_silent_for_30_s_is_over(node: Node) -> None:
    alice = node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 1), 0)
    node.awareness.heard(alice, say(1, 2), 15)
    node.awareness.expire(15 + EXPIRES_AFTER - 1)
    assert node.states() == {1: b"{}"}
    node.awareness.expire(15 + EXPIRES_AFTER)
    assert node.states() == {}
    node.awareness.heard(alice, say(1, 3), 60)  # it was only asleep
    assert node.states() == {1: b"{}"}


def test_a_connection_speaks_for_a_bounded_number_of_clients(node: Node) -> None:
    alice = node.awareness.enter(NOTES)
    node.awareness.heard(alice, [Told(client, 1, b"{}") for client in range(MAX_IDS + 5)], 0)
    assert len(node.states()) == MAX_IDS


def test_rule_4_a_peer_is_told_of_our_own_clients_the_latest_of_each(node: Node) -> None:
    early = node.awareness.enter(NOTES)
    node.awareness.heard(early, say(1, 1), 0)
    feed = feed_of(node)
    node.awareness.heard(early, say(1, 2, b'"a"'), 0)
    node.awareness.heard(early, say(1, 3, b'"b"'), 0)
    node.awareness.peer_told(CAROL, NOTES, say(9, 1), 0)
    assert drained(feed) == [Told(1, 3, b'"b"')]
    assert drained(feed) == []
    node.awareness.leave(early, 1)
    assert drained(feed) == [Told(1, 3, b"")]


def test_what_a_peer_tells_goes_when_it_says_so_or_its_link_has_ended_for_5_s(node: Node) -> None:
    node.awareness.peer_told(BOB, NOTES, say(1, 1) + say(2, 1), 0)
    node.awareness.peer_told(BOB, NOTES, say(2, 1, b""), 1)
    assert node.states() == {1: b"{}"}
    node.awareness.doubt(BOB, 2)
    node.awareness.expire(2 + DOUBTED_FOR - 1)
    assert node.states() == {1: b"{}"}
    node.awareness.expire(2 + DOUBTED_FOR)
    assert node.states() == {}


def test_a_link_that_is_back_tells_again_who_is_there(node: Node) -> None:
    node.awareness.peer_told(BOB, NOTES, say(1, 1) + say(2, 1), 0)
    node.awareness.doubt(BOB, 1)
    node.awareness.doubt(BOB, 2)  # the new link
    node.awareness.peer_told(BOB, NOTES, say(1, 1), 3)
    node.awareness.expire(1 + DOUBTED_FOR)
    assert node.states() == {1: b"{}"}


def test_a_client_that_moves_to_another_node_is_not_removed_by_the_one_it_left(node: Node) -> None:
    node.awareness.peer_told(BOB, NOTES, say(1, 5), 0)
    node.awareness.peer_told(CAROL, NOTES, say(1, 6), 1)
    node.awareness.peer_told(BOB, NOTES, say(1, 5, b""), 2)
    assert node.states() == {1: b"{}"}


def test_a_client_that_moves_here_is_shown_as_soon_as_its_node_lets_go(node: Node) -> None:
    node.awareness.peer_told(BOB, NOTES, say(1, 5), 0)
    alice = node.awareness.enter(NOTES)
    feed = feed_of(node)
    node.awareness.heard(alice, say(1, 5, b'"here"'), 1)
    assert node.states() == {1: b"{}"}
    node.awareness.peer_told(BOB, NOTES, say(1, 5, b""), 2)
    assert node.states() == {1: b'"here"'}
    assert drained(feed) == [Told(1, 6, b'"here"')]
    node.awareness.peer_told(BOB, NOTES, say(1, 9, b'"late"'), 3)  # a peer does not speak for our client
    assert node.states() == {1: b'"here"'}


def test_a_client_whose_node_died_is_shown_here_at_once(node: Node) -> None:
    node.awareness.peer_told(BOB, NOTES, say(1, 5), 0)
    node.awareness.doubt(BOB, 1)
    alice = node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 5, b'"here"'), 2)
    assert node.awareness.told(NOTES) == [Told(1, 6, b'"here"')]


def test_nothing_is_kept_of_a_document_that_everybody_has_left(node: Node) -> None:
    alice = node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 1), 0)
    node.awareness.leave(alice, 1)
    node.awareness.expire(1000)
    assert node.awareness._places == {}


def test_rule_3_who_joins_is_told_the_others_above_all_that_it_may_have_heard_before(node: Node) -> None:
    alice = node.awareness.enter(NOTES)
    node.awareness.heard(alice, say(1, 5), 0)
    node.awareness.peer_told(BOB, NOTES, say(2, 7), 0)
    clocks = [
        {told.client: told.clock for told in node.awareness.company(node.awareness.enter(NOTES))} for _ in range(2)
    ]
    assert clocks == [{1: 6, 2: 8}, {1: 7, 2: 9}]
    node.awareness.heard(alice, say(1, 6), 1)
    node.awareness.peer_told(BOB, NOTES, say(2, 8), 1)
    assert node.awareness.told(NOTES) == [Told(1, 8, b"{}"), Told(2, 10, b"{}")]
    node.awareness.peer_told(BOB, NOTES, say(2, 8, b""), 2)
    node.awareness.peer_told(BOB, NOTES, say(2, 8), 3)
    assert node.awareness.told(NOTES, {2: None}) == [Told(2, 11, b"{}")]


DAVE = DeviceId("dave")


def passed_on(node: Node, feed: Feed) -> list[tuple[DeviceId | None, int, bytes]]:
    return [(home, told.clock, told.state) for _, home, batch in feed.take(2**20) for told in batch]


def test_rule_4_what_is_news_from_afar_is_passed_on_to_whom_it_does_not_reach(node: Node) -> None:
    far = node.awareness.feed(lambda: None, CAROL, lambda home: home == BOB)
    near = node.awareness.feed(lambda: None, DAVE, lambda _: False)
    node.awareness.peer_told(BOB, NOTES, say(1, 5), 0)
    assert passed_on(node, far) == [(BOB, 5, b"{}")]
    node.awareness.peer_told(BOB, NOTES, say(1, 5), 1, via=DAVE)  # no news
    assert passed_on(node, far) == []
    node.awareness.peer_told(BOB, NOTES, say(1, 6), 1, via=CAROL)  # from there it comes
    assert passed_on(node, far) == []
    node.awareness.peer_told(BOB, NOTES, say(1, 6, b""), 2)
    assert passed_on(node, far) == [(BOB, 6, b"")]
    assert passed_on(node, near) == []


def test_what_took_a_longer_way_does_not_bring_back_who_has_gone(node: Node) -> None:
    node.awareness.peer_told(BOB, NOTES, say(1, 5), 0, via=CAROL)
    node.awareness.peer_told(BOB, NOTES, say(1, 5, b""), 1, via=CAROL)
    node.awareness.peer_told(BOB, NOTES, say(1, 5), 2, via=DAVE)
    assert node.states() == {}
    node.awareness.peer_told(BOB, NOTES, say(1, 6), 3, via=DAVE)
    assert node.states() == {1: b"{}"}


def test_what_passes_is_of_the_node_that_the_client_is_at(node: Node) -> None:
    node.awareness.peer_told(BOB, NOTES, say(1, 5), 0, via=CAROL)
    node.awareness.doubt(CAROL, 1)
    node.awareness.expire(1 + DOUBTED_FOR)
    assert node.states() == {1: b"{}"}
    node.awareness.doubt(BOB, 10)
    node.awareness.expire(10 + DOUBTED_FOR)
    assert node.states() == {}


def test_a_new_link_is_told_who_is_at_nodes_that_it_does_not_hear(node: Node) -> None:
    here = node.awareness.enter(NOTES)
    node.awareness.heard(here, say(1, 1), 0)
    node.awareness.peer_told(BOB, NOTES, say(2, 7), 0)
    feed = node.awareness.feed(lambda: None, CAROL, lambda home: home == BOB)
    assert passed_on(node, feed) == [(None, 1, b"{}"), (BOB, 7, b"{}")]


def test_who_has_moved_here_is_told_of_as_ours(node: Node) -> None:
    feed = node.awareness.feed(lambda: None, CAROL, lambda _: True)
    node.awareness.peer_told(BOB, NOTES, say(2, 7), 0)
    node.awareness.doubt(BOB, 1)
    here = node.awareness.enter(NOTES)
    node.awareness.heard(here, say(2, 9), 1)
    assert [home for home, _, _ in passed_on(node, feed)] == [None]
