"""Two trees find out which documents differ, in few messages."""

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from peatd.digest import DigestTree
from peatd.names import DocumentName
from peatd.wire.messages import Compare, Equal, Message, Offer, Offered, encode


def document(number: int, *, content: int = 0, incarnation: int = 1, deleted: bool = False) -> Offered:
    return Offered(f"notes/{number}", incarnation, deleted, content.to_bytes(16, "big"))


class Node:
    def __init__(self, documents: list[Offered]) -> None:
        self.tree = DigestTree()
        self.documents = {DocumentName(d.name): d for d in documents}
        for d in documents:
            self.tree.put(d)

    def hear(self, message: Message) -> tuple[list[Message], set[str]]:
        """What it answers, and what it finds to differ."""
        match message:
            case Compare():
                return list(self.tree.answer(message, self.documents.__getitem__)), set()
            case Offer():
                theirs = {d.name: d for d in message.documents}
                ours = {name: self.documents[name] for name in self.tree.below(message.prefix)}
                names = theirs.keys() | ours.keys()
                return [], {n for n in names if theirs.get(n) != ours.get(DocumentName(n))}
            case Equal():
                return [], set()
            case _:
                raise AssertionError(message)


def converse(alice: Node, bob: Node) -> tuple[set[str], int, int]:
    """What differs, how many one-way trips it took to know, and how many bytes."""
    hearing, speaking = bob, alice
    batch: list[Message] = [alice.tree.compare()]
    found: set[str] = set()
    trips = size_bytes = 0
    while batch:
        trips += 1
        size_bytes += sum(len(encode(m)) for m in batch)
        heard = [hearing.hear(m) for m in batch]
        batch = [answer for answers, _ in heard for answer in answers]
        found |= {name for _, names in heard for name in names}
        hearing, speaking = speaking, hearing
    return found, trips, size_bytes


def test_equal_trees_say_so_in_one_small_exchange() -> None:
    documents = [document(n) for n in range(1000)]
    found, trips, size_bytes = converse(Node(documents), Node(documents[::-1]))
    assert (found, trips) == (set(), 2)
    assert size_bytes < 400


def test_two_empty_nodes_are_equal() -> None:
    assert converse(Node([]), Node([]))[0] == set()


def test_one_percent_of_ten_thousand_is_found_in_few_bytes() -> None:
    documents = [document(n) for n in range(10_000)]
    changed = random.Random(1).sample(range(10_000), 100)
    other = [document(n, content=1) if n in set(changed) else d for n, d in enumerate(documents)]
    found, trips, size_bytes = converse(Node(documents), Node(other))
    assert found == {f"notes/{n}" for n in changed}
    assert trips <= 5
    assert size_bytes < 200_000


def test_a_tombstone_is_one_whatever_its_document_held() -> None:
    alice, bob = Node([document(1, content=1, deleted=True)]), Node([document(1, content=2, deleted=True)])
    assert converse(alice, bob)[0] == set()


def test_changing_back_restores_the_digest() -> None:
    tree = DigestTree()
    tree.put(document(1))
    before = tree.compare()
    tree.put(document(1, content=7))
    assert tree.compare() != before
    tree.put(document(1))
    assert tree.compare() == before


def test_buckets_deeper_than_those_kept_are_computed() -> None:
    tree = Node([document(n) for n in range(3000)]).tree
    for digit in range(16):
        prefix = f"abc{digit:x}"
        assert tree.below(prefix) <= tree.below("abc")
    joined = 0
    for child in tree.compare("abc").children:
        joined ^= int.from_bytes(child, "big")
    below = tree.compare("ab").children[0xC]
    assert joined == int.from_bytes(below, "big")


documents_strategy = st.dictionaries(
    st.integers(0, 200),
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans()),
    max_size=120,
).map(lambda d: [document(n, content=c, incarnation=i, deleted=x) for n, (c, i, x) in d.items()])


@given(documents_strategy, documents_strategy)
def test_exactly_what_differs_is_found(a: list[Offered], b: list[Offered]) -> None:
    def state(documents: list[Offered]) -> dict[str, Offered]:
        return {d.name: msgspec.structs.replace(d, digest=bytes(16)) if d.deleted else d for d in documents}

    ours, theirs = state(a), state(b)
    expected = {n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n)}
    found = converse(Node(a), Node(b))[0]
    assert expected <= found
    assert all(ours[n].deleted and theirs[n].deleted for n in found - expected)
