"""What of an update can be merged, where a part of it builds on what is not here."""

import random
from contextlib import suppress

import pycrdt
import pytest

from peatd.errors import Gap, MalformedUpdate
from peatd.mergeable import mergeable
from peatd.update import Reach, check


def written(seed: int) -> list[bytes]:
    """The updates of three authors who see each other's work now and then, in an order in which they were made."""
    chance = random.Random(seed)
    docs = [pycrdt.Doc(client_id=n + 1) for n in range(3)]
    for doc in docs:
        doc["t"], doc["m"] = pycrdt.Text(), pycrdt.Map()
    updates = []
    for n in range(60):
        doc = chance.choice(docs)
        before = doc.get_state()
        match chance.randrange(4):
            case 0 if len(doc["t"]) > 3:
                del doc["t"][1:3]
            case 1:
                doc["m"][str(n % 5)] = pycrdt.Map({"n": n})
            case _:
                doc["t"].insert(chance.randint(0, len(doc["t"])), f"{n} ")
        updates.append(doc.get_update(before))
        if chance.random() < 0.3:
            other = chance.choice(docs)
            other.apply_update(doc.get_update(other.get_state()))
    return updates


@pytest.mark.parametrize("seed", range(40))
def test_it_is_all_that_can_be_merged_and_nothing_else(seed: int) -> None:
    chance, updates = random.Random(seed), written(seed)
    here, rest = updates[:10], [update for update in updates[10:] if chance.random() < 0.7]
    reach, expected = Reach(), Reach()
    for update in here:
        reach.absorb(check(update, subdocuments=True))
        expected.absorb(check(update, subdocuments=True))
    merged = pycrdt.merge_updates(*rest)
    part = mergeable(merged, reach.clock)
    content = check(part, subdocuments=True)
    assert not reach.lacks(content)
    reach.absorb(content)
    # One by one, again and again, as far as it goes.
    for _ in rest:
        for update in rest:
            if not expected.lacks(check(update, subdocuments=True)):
                expected.absorb(check(update, subdocuments=True))
    assert all(
        reach.covers(check(update, subdocuments=True))
        for update in rest
        if expected.covers(check(update, subdocuments=True))
    )


def test_what_lacks_nothing_is_all_of_it() -> None:
    update = pycrdt.merge_updates(*written(1))
    assert check(mergeable(update, lambda _: 0), subdocuments=True) == check(update, subdocuments=True)


def test_an_update_with_a_gap_is_known_as_one() -> None:
    doc = pycrdt.Doc(client_id=1)
    doc["t"] = text = pycrdt.Text()
    states, updates = [doc.get_state()], []
    for word in "abc":
        text.insert(0, word)
        states.append(doc.get_state())
        updates.append(doc.get_update(states[-2]))
    merged = pycrdt.merge_updates(updates[0], updates[2])
    with pytest.raises(Gap):
        check(merged, subdocuments=True)
    assert check(mergeable(merged, lambda _: 0), subdocuments=True).ends == {1: 1}
    assert check(mergeable(merged, lambda _: 2), subdocuments=True).ends == {1: 1}


@pytest.mark.parametrize("seed", range(100))
def test_whatever_the_bytes_there_is_one_error(seed: int) -> None:
    chance = random.Random(seed)
    update = bytearray(pycrdt.merge_updates(*written(seed)))
    for _ in range(3):
        update[chance.randrange(len(update))] = chance.randrange(256)
    with suppress(MalformedUpdate):
        mergeable(bytes(update[: chance.randrange(len(update))]), lambda _: 0)
