"""A large update in pieces: in their order each can be merged at once, and they add up to the same."""

import random

import pycrdt
import pytest

from peatd.cut import cut
from peatd.errors import MalformedUpdate
from peatd.update import Reach, check


def document_of_many(seed: int, edits: int) -> bytes:
    """Five authors who edit text, maps and arrays, nested too, and see each other's work now and then."""
    chance = random.Random(seed)
    docs = [pycrdt.Doc(client_id=n + 1) for n in range(5)]
    for doc in docs:
        doc["t"], doc["m"], doc["a"] = pycrdt.Text(), pycrdt.Map(), pycrdt.Array()
    for n in range(edits):
        doc = chance.choice(docs)
        text, shared = doc["t"], doc["m"]
        match chance.randrange(6):
            case 0 | 1:
                text.insert(chance.randint(0, len(text)), "abc"[: chance.randint(1, 3)])
            case 2 if len(text) > 5:
                del text[len(text) // 2 : len(text) // 2 + 3]
            case 3:
                shared[str(chance.randint(0, 9))] = pycrdt.Map({"é🎉": n})
            case 4:
                doc["a"].append(pycrdt.Array([n]))
            case _:
                for key in list(shared)[:1]:
                    shared[key]["again"] = n
        if chance.random() < 0.1:
            other = chance.choice(docs)
            other.apply_update(doc.get_update(other.get_state()))
    for doc in docs[1:]:
        docs[0].apply_update(doc.get_update(docs[0].get_state()))
    return bytes(docs[0].get_update())


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("piece_bytes", [1, 100, 700])
def test_each_piece_builds_on_those_before_it_and_all_are_the_whole(seed: int, piece_bytes: int) -> None:
    update = document_of_many(seed, 400)
    pieces = cut(update, piece_bytes)
    assert len(pieces) > 2
    reach, whole = Reach(), Reach()
    for piece in pieces:
        content = check(piece, subdocuments=True)
        assert not reach.lacks(content)
        reach.absorb(content)
    whole.absorb(check(update, subdocuments=True))
    assert reach.digest() == whole.digest()
    assert contents(pieces) == contents([update])


def contents(updates: list[bytes]) -> tuple[str, object]:
    doc = pycrdt.Doc()
    doc["t"], doc["m"] = text, shared = pycrdt.Text(), pycrdt.Map()
    for update in updates:
        doc.apply_update(update)
    return str(text), shared.to_py()


def test_a_piece_is_about_as_large_as_was_asked_for() -> None:
    update = document_of_many(1, 2000)
    sizes = [len(piece) for piece in cut(update, 2000)]
    assert all(1000 < size < 3000 for size in sizes[:-1])


def test_what_fits_into_two_is_not_cut() -> None:
    update = document_of_many(1, 50)
    assert cut(update, len(update) // 2 + 1) == [update]


def test_deletions_of_what_the_receiver_has_are_in_the_last_piece() -> None:
    doc = pycrdt.Doc(client_id=1)
    doc["t"] = text = pycrdt.Text()
    text += "gone, and kept"
    before = doc.get_state()
    del text[0:6]
    for n in range(200):
        text.insert(n, "x")
        text.insert(0, "y")
    diff = doc.get_update(before)
    *pieces, last = cut(diff, 100)
    assert pieces
    assert check(last, subdocuments=True).deletes[1]
    assert all(not check(piece, subdocuments=True).deletes for piece in pieces)


@pytest.mark.parametrize("seed", range(300))
def test_what_is_malformed_is_refused_or_in_malformed_pieces(seed: int) -> None:
    chance = random.Random(seed)
    update = bytearray(MANY)
    for _ in range(chance.randint(1, 3)):
        update[chance.randrange(len(update))] = chance.randrange(256)
    bad = bytes(update[: chance.choice([len(update), chance.randrange(len(update))])])
    if is_well_formed(bad) or len(bad) <= 200:
        return
    try:
        pieces = cut(bad, 100)
    except MalformedUpdate:
        return
    assert not all(map(is_well_formed, pieces))


MANY = document_of_many(1, 200)


def is_well_formed(update: bytes) -> bool:
    try:
        check(update, subdocuments=True)
    except MalformedUpdate:
        return False
    return True


def test_a_struct_that_builds_on_what_is_not_there_is_left_to_its_receiver() -> None:
    alice, bob = pycrdt.Doc(client_id=1), pycrdt.Doc(client_id=2)
    alice["t"] = text = pycrdt.Text()
    text += "from alice"
    bob["t"] = pycrdt.Text()
    bob.apply_update(alice.get_update())
    for n in range(100):
        bob["t"].insert(n % 7, str(n))
        text.insert(n % 5, str(n))
    before = bob.get_state()
    bob.apply_update(alice.get_update())
    for n in range(100):
        bob["t"].insert(n % 11, str(n))
    pieces = cut(bob.get_update(before)[:], 50)
    assert all(map(is_well_formed, pieces))
