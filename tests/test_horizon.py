"""What has been known of a node's documents, over restarts, backups and lost disks."""

from itertools import count

from peatd.horizon import MAX_FLOOR, Horizon, Mark, mark_of
from peatd.names import NodeId
from peatd.wire.horizon import MAX_KNOWN_NODES, Known

ALICE, BOB, CAROL = (mark_of(NodeId(name)) for name in ("alice", "bob", "carol"))

_numbers = count(1)


def opened(kept: bytes | None = None, *, last_seq: int = 0, is_whole: bool = True) -> Horizon:
    return Horizon.opened(
        kept, is_whole=is_whole, last_seq=last_seq, new_epoch=lambda: next(_numbers).to_bytes(8, "big")
    )


def known(node: Mark, horizon: Horizon, seq: int) -> Known:
    return Known(node, horizon.epoch, seq)


def test_a_peer_knows_of_us_what_it_says() -> None:
    alice = opened()
    assert alice.of(ALICE, [known(BOB, opened(), 9), known(ALICE, alice, 7)]) == 7
    assert alice.of(ALICE, [known(BOB, opened(), 9)]) == 0


def test_what_is_learned_of_a_peer_comes_with_what_that_knew_of_others() -> None:
    alice, bob, carol = opened(), opened(), opened()
    bob.learn(BOB, known(CAROL, carol, 5), [])
    alice.learn(ALICE, known(BOB, bob, 3), [*bob.known(), known(ALICE, alice, 1)])
    assert carol.of(CAROL, alice.known()) == 5
    assert alice.of(ALICE, alice.known()) == 0, "of itself it needs no hearsay"
    alice.learn(ALICE, known(BOB, bob, 4), [known(CAROL, carol, 2)])
    assert carol.of(CAROL, alice.known()) == 5, "older hearsay takes nothing back"


def test_it_outlives_restarts() -> None:
    alice, bob = opened(), opened()
    alice.learn(ALICE, known(BOB, bob, 3), [])
    alice.raise_floor(4)
    again = opened(alice.encode(), last_seq=10)
    assert again.known() == alice.known()
    assert again.floor == 4
    assert again.of(ALICE, [known(ALICE, alice, 10)]) == 10
    assert again.of(ALICE, [known(ALICE, again, 12)]) == 12


def test_rule_2_of_a_lost_future_no_more_is_known_than_of_the_past() -> None:
    alice = opened()
    backup = alice.encode()
    restored = opened(backup, last_seq=100)
    assert restored.of(ALICE, [known(ALICE, alice, 500)]) == 100
    lost = opened(backup, last_seq=100)
    assert restored.of(ALICE, [known(ALICE, lost, 500)]) == 0


def test_rule_3_damage_makes_it_begin_again_but_for_the_floor() -> None:
    alice, bob = opened(), opened()
    alice.learn(ALICE, known(BOB, bob, 3), [])
    alice.raise_floor(4)
    again = opened(alice.encode(), last_seq=10, is_whole=False)
    assert again.known() == []
    assert again.of(ALICE, [known(ALICE, alice, 10)]) == 0
    assert again.floor == 4


def test_no_peer_uses_up_the_incarnations() -> None:
    alice = opened()
    alice.raise_floor(MAX_FLOOR + 1)
    assert alice.floor == 0
    alice.raise_floor(MAX_FLOOR)
    assert alice.floor == MAX_FLOOR


def test_it_is_bounded() -> None:
    alice, bob = opened(), opened()
    for number in range(MAX_KNOWN_NODES + 10):
        alice.learn(ALICE, Known(number.to_bytes(16, "big"), bob.epoch, 1), [])
    assert len(alice.known()) == MAX_KNOWN_NODES
    assert alice.known()[-1].node == (MAX_KNOWN_NODES + 9).to_bytes(16, "big")
    kept = alice.encode()
    for _ in range(600):
        kept = opened(kept).encode()
    assert len(opened(kept).epochs) <= 256
