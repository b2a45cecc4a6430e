"""What the simulation takes for wrong: shown here of contents that are made up."""

import pytest
from sim.history import ANY, Asked, History, Nodes

from peatd.library import APPLIED, DURABLE, Ack, replicated
from peatd.names import DocumentName

NOTES = DocumentName("notes/today")
NODES = Nodes({"alice": 1, "bob": 1}, {"alice": 0, "bob": 0})


def written(rung: Ack | None, *, incarnation: int = 1, word: str = "w1", typed: bool = False) -> Asked:
    return Asked("alice", NOTES, word, "x", typed, 1, {"alice": 0, "bob": 0}, incarnation, rung)


def deleted(rung: Ack | None, incarnation: int = 1) -> Asked:
    return Asked("alice", NOTES, None, None, False, 1, {"alice": 0, "bob": 0}, incarnation, rung)


def wrong(*asked: Asked, at: tuple[int, bool] = (1, False), nodes: Nodes = NODES, text: str = "", **data: str) -> int:
    contents = {} if at[1] else {NOTES: {"data": data, "text": text}}
    return len(list(History(list(asked)).violations(nodes, {NOTES: at}, contents)))


@pytest.mark.parametrize("rung", [APPLIED, DURABLE, replicated(1)])
def test_what_was_acknowledged_is_to_be_there(rung: Ack) -> None:
    assert not wrong(written(rung), w1="x")
    assert wrong(written(rung))
    assert wrong(written(rung), w1="y")
    assert wrong(written(rung, typed=True), w2="x")
    assert not wrong(written(rung, typed=True), text=" w1 ")


def test_what_nobody_was_told_of_may_be_there_or_not() -> None:
    assert not wrong(written(None))
    assert not wrong(written(None), w1="x")
    assert not wrong(written(None, incarnation=ANY), w1="x")


@pytest.mark.parametrize(("rung", "life", "lost", "is_owed"), [
    (APPLIED, 1, {}, True),
    (APPLIED, 2, {}, False),
    (DURABLE, 2, {}, True),
    (DURABLE, 2, {"alice": 1}, False),
    (DURABLE, 2, {"bob": 1}, True),
    (replicated(1), 2, {"alice": 1}, True),
    (replicated(1), 2, {"alice": 2}, True),
    (replicated(1), 2, {"alice": 1, "bob": 1}, False),
])  # fmt: skip
def test_a_rung_outlives_what_it_promises_to(rung: Ack, life: int, lost: dict[str, int], *, is_owed: bool) -> None:
    nodes = Nodes({"alice": life, "bob": 1}, {"alice": 0, "bob": 0} | lost)
    assert bool(wrong(written(rung), nodes=nodes)) == is_owed


def test_a_life_ends_by_a_deletion_and_by_nothing_else() -> None:
    assert wrong(written(DURABLE), at=(1, True))
    assert wrong(written(DURABLE), at=(2, False))
    assert not wrong(written(DURABLE), deleted(None), at=(1, True))
    assert not wrong(written(DURABLE), deleted(None), at=(2, False))
    assert wrong(written(DURABLE, incarnation=2), deleted(None), at=(2, True))
    assert wrong(written(DURABLE, incarnation=2), deleted(None), at=(1, True))


def test_what_was_deleted_stays_so() -> None:
    assert not wrong(deleted(DURABLE), at=(1, True))
    assert not wrong(deleted(DURABLE), at=(2, False))
    assert wrong(deleted(DURABLE), at=(1, False))
    assert wrong(deleted(DURABLE, incarnation=2), at=(1, True))


def test_nothing_of_an_earlier_life_is_in_a_later_one() -> None:
    assert wrong(written(DURABLE), deleted(None), at=(2, False), w1="x")
    assert wrong(written(DURABLE), deleted(None), at=(2, False), text=" w1 ")


def test_nothing_is_there_that_nobody_wrote() -> None:
    assert wrong(w7="x")
    assert wrong(text="w7")
