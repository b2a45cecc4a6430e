"""Updates that follow each other as one: the same to every library, and nothing joined that is out of the ordinary."""

import random

import pycrdt
import pytest

from peatd.join import MAX_BYTES, Joined, join
from peatd.update import Reach, check


class Author:
    """A document, and the update of each of its transactions."""

    def __init__(self, client: int) -> None:
        self.doc = pycrdt.Doc(client_id=client)
        self.doc["t"], self.doc["m"], self.doc["a"] = pycrdt.Text(), pycrdt.Map(), pycrdt.Array()
        self.updates: list[bytes] = []
        self._subscription = self.doc.observe(lambda event: self.updates.append(bytes(event.update)))

    def edit(self, chance: random.Random) -> None:
        text, shared, array = self.doc["t"], self.doc["m"], self.doc["a"]
        match chance.randrange(7):
            case 0 | 1 | 2:
                text.insert(chance.randint(0, len(text)), chance.choice(["a", "bc", "def"]))
            case 3 if len(text) > 5:
                del text[len(text) // 2 : len(text) // 2 + 3]
            case 4:
                shared[str(chance.randint(0, 3))] = pycrdt.Map({"n": 1.0})
            case 5 if len(array):
                del array[0]
            case _:
                array.append(pycrdt.Array([chance.random()]))

    @property
    def content(self) -> tuple[str, object, object]:
        return str(self.doc["t"]), self.doc["m"].to_py(), self.doc["a"].to_py()


def read_by_another(updates: list[bytes]) -> tuple[str, object, object]:
    reader = Author(99)
    for update in updates:
        reader.doc.apply_update(update)
    return reader.content


def digest(updates: list[bytes]) -> bytes:
    reach = Reach()
    for update in updates:
        content = check(update, subdocuments=True)
        assert not reach.lacks(content)
        reach.absorb(content)
    return reach.digest()


@pytest.mark.parametrize("seed", range(20))
def test_joined_updates_are_the_same_in_fewer(seed: int) -> None:
    chance = random.Random(seed)
    alice, bob = Author(1), Author(2)
    updates: list[bytes] = []
    for _ in range(60):
        author, other = chance.sample([alice, bob], 2)
        author.updates.clear()
        for _ in range(chance.randint(1, 8)):
            author.edit(chance)
        updates += author.updates
        other.doc.apply_update(author.doc.get_update(other.doc.get_state()))
    joined = join(updates)
    together = [one.update for one in joined]
    assert sum(one.count for one in joined) == len(updates)
    assert len(together) < len(updates)
    assert read_by_another(together) == read_by_another(updates) == alice.content == bob.content
    assert digest(together) == digest(updates)


def typed(words: int) -> list[bytes]:
    author = Author(1)
    for _ in range(words):
        author.doc["t"] += "word "
    return author.updates


def test_what_is_typed_is_one() -> None:
    (joined,) = join(typed(100))
    assert joined.count == 100
    assert read_by_another([joined.update])[0] == "word " * 100
    assert len(joined.update) < 1000


def test_one_alone_and_none_are_not_looked_at() -> None:
    assert join([]) == []
    assert join([b"whatever"]) == [Joined(b"whatever", 1)]


def test_a_gap_ends_a_run() -> None:
    one, two, _, four, five = typed(5)
    assert [joined.count for joined in join([one, two, four, five])] == [2, 2]
    assert [joined.count for joined in join([two, one])] == [1, 1]
    assert join([one, one]) == [Joined(one, 1), Joined(one, 1)]


@pytest.mark.parametrize("odd", [b"", b"\x00\x00", b"\x01\x02\x03", b"\x00\x01\x01\x01\x00\x01", bytes(MAX_BYTES + 1)])
def test_what_is_out_of_the_ordinary_stays_as_it_is_in_its_place(odd: bytes) -> None:
    one, two = typed(2)
    assert join([one, odd, two]) == [Joined(one, 1), Joined(odd, 1), Joined(two, 1)]


def test_no_joined_update_is_large() -> None:
    joined = join(typed(3000))
    assert len(joined) > 3
    assert max(len(one.update) for one in joined) <= MAX_BYTES


def test_surrogate_pairs_stay_apart() -> None:
    author = Author(1)
    for text in ("a", "b", "🎉", "c"):
        author.doc["t"] += text
    assert [joined.count for joined in join(author.updates)] == [2, 1, 1]
