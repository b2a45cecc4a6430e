"""A document's content in order, from updates whose structs are in any order that Yjs writes."""

import pytest

from peatd.engine.json_view import root_view
from peatd.engine.tree import Tree
from peatd.update import examine


def block(client: int, clock: int, *structs: bytes) -> bytes:
    return bytes((len(structs), client, clock)) + b"".join(structs)


def letter(text: str, *, after: tuple[int, int] | None = None, before: tuple[int, int] | None = None) -> bytes:
    """A struct with a text: between two neighbours, or in the root `t`."""
    info = 4 | (0x80 if after else 0) | (0x40 if before else 0)
    neighbours = bytes(number for neighbour in (after, before) if neighbour for number in neighbour)
    place = b"" if neighbours else b"\x01\x01t"
    return bytes((info,)) + neighbours + place + bytes((len(text),)) + text.encode()


def tree_of(*updates: bytes) -> Tree:
    tree = Tree()
    for update in updates:
        tree.integrate(update, examine(update, subdocuments=False))
    return tree


def update(*blocks: bytes, deletes: bytes = b"\x00") -> bytes:
    return bytes((len(blocks),)) + b"".join(blocks) + deletes


@pytest.mark.parametrize("turn", range(3))
def test_clients_that_build_on_each_other_in_turns(turn):
    alice = block(1, 0, letter("a"), letter("b", after=(2, 0)), letter("c", after=(2, 1)))
    bob = block(2, 0, letter("x", after=(1, 0)), letter("y", after=(1, 1)), letter("z", after=(3, 0)))
    carol = block(3, 0, letter("!", after=(1, 2)))
    blocks = [alice, bob, carol]

    tree = tree_of(update(*blocks[turn:], *blocks[:turn]))

    assert root_view(tree.root("t")) == "axbyc!z"


def test_one_update_after_another_is_the_same_as_all_at_once():
    first, second = block(1, 0, letter("abc")), block(2, 0, letter("x", after=(1, 1), before=(1, 2)))
    deletes = b"\x01\x01\x01\x00\x01"  # the first clock of client 1

    at_once = tree_of(update(second, first, deletes=deletes))
    in_turn = tree_of(update(first), update(second), update(deletes=deletes))

    assert root_view(at_once.root("t")) == root_view(in_turn.root("t")) == "bxc"


def test_what_is_here_already_is_cut_off():
    tree = tree_of(update(block(1, 0, letter("ab"))), update(block(1, 0, letter("abcd"))))

    assert root_view(tree.root("t")) == "abcd"


def test_structs_in_a_circle_or_upon_nothing_have_no_place():
    circle = update(block(1, 0, letter("a", after=(2, 0))), block(2, 0, letter("b", after=(1, 0))))
    nothing = update(block(3, 0, letter("c", after=(9, 9))), block(4, 0, letter("d")))

    tree = tree_of(circle, nothing)

    assert root_view(tree.root("t")) == "d"
