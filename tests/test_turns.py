"""Who has asked for much keeps nobody waiting, and each document keeps its order."""

import itertools
import random

from peatd.names import DocumentKey
from peatd.turns import Turns
from peatd.worker_jobs import Job, Task


def job(document: str, origin: str) -> Job:
    def never(_: object) -> None:
        raise AssertionError

    return Job(DocumentKey(f"notes/{document}", 1), Task.APPLY, never, never, never, origin=origin)  # type: ignore[arg-type]


def taken(turns: Turns) -> list[Job]:
    return [turns.take() for _ in range(len(turns))]


def test_sources_take_turns() -> None:
    turns = Turns()
    many = [job(f"m{n}", "peer mallory") for n in range(1000)]
    for one in many:
        turns.append(one)
    mine = [job("a", "peer bob"), job("b", "peer bob")]
    for one in mine:
        turns.append(one)
    assert [turns.take() for _ in range(4)] == [many[0], mine[0], many[1], mine[1]]
    assert taken(turns) == many[2:]
    assert turns.head() is None


def test_a_source_is_one_however_it_asks_over_http() -> None:
    turns = Turns()
    jobs = [job("a", "api PUT"), job("b", "api PATCH"), job("c", "peer bob")]
    for one in jobs:
        turns.append(one)
    assert taken(turns) == [jobs[0], jobs[2], jobs[1]]


def test_invariant_1_who_waits_for_another_brings_it_forward() -> None:
    turns = Turns()
    many = [job(f"m{n}", "peer mallory") for n in range(100)]
    shared, mine = job("shared", "peer mallory"), job("shared", "peer bob")
    for one in (*many, shared, mine):
        turns.append(one)
    assert [turns.take() for _ in range(4)] == [many[0], shared, many[1], mine]


def test_invariant_1_holds_whatever_is_asked() -> None:
    chance = random.Random(5)
    turns, asked, got = Turns(), [], []
    for _ in range(3000):
        if chance.random() < 0.55:
            asked.append(one := job(chance.choice("abcd"), chance.choice(("", "peer bob", "peer carol", "api GET"))))
            turns.append(one)
        elif turns.head() is not None:
            got.append(turns.take())
    got += taken(turns)
    assert len(got) == len(asked)
    for key in {one.key for one in asked}:
        assert [one for one in got if one.key == key] == [one for one in asked if one.key == key]


def test_invariant_2_the_head_stays() -> None:
    turns = Turns()
    for n, origin in enumerate(itertools.islice(itertools.cycle(("peer bob", "peer carol", "")), 9)):
        turns.append(job(str(n), origin))
        head = turns.head()
        assert head is not None
        assert head.key.name == "notes/0"
    assert len(list(turns)) == len(turns) == 9
