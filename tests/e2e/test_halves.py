"""Nodes that keep fewer links than there are nodes, and what becomes of them when their network is cut in two.

Eight of them, until both halves have noticed; with `--long` fifty, for a minute.
"""

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from e2e.halves import Halves, halves
from e2e.nodes import PATIENCE, Node, document_names, formation_in, until
from e2e.scraping import scrape

PAUSE = 0.25
"""Seconds between two writes of one half."""
START = 240.0
"""Seconds for fifty Pythons on two cores, beside others."""


@pytest.fixture
def network() -> Iterator[Halves]:
    with halves() as net:
        yield net


def digests(nodes: Sequence[Node]) -> set[str]:
    return {node.get("node")["digest"] for node in nodes}


def wait_one_mesh(nodes: Sequence[Node], *, within: float) -> None:
    """Until each has all others within reach."""
    for node in nodes:

        def is_whole(node: Node = node) -> bool:
            found = scrape(node)
            return (found["peat_members",], found["peat_members_unreachable",]) == (len(nodes), 0)

        until(is_whole, f"{node.name} has all within reach", within=within)


class Half:
    """One writer, at any of the nodes of its half.

    Attributes:
        kept: the fields that it has set in documents that nobody deletes.
    """

    def __init__(self, name: str, nodes: Sequence[Node]) -> None:
        self.kept: set[tuple[str, str]] = set()
        self._name, self._nodes = name, nodes
        self._chance = random.Random(name)
        self._count = itertools.count()

    def write(self) -> None:
        chance, node = self._chance, self._chance.choice(self._nodes)
        field = f"{self._name}-{next(self._count)}"
        passing = f"passing/{chance.randrange(6)}"
        if chance.random() < 0.2:
            assert node.ask("DELETE", f"documents/{passing}").status in (204, 404)
        else:
            node.write("PUT", passing, {field: True})
        kept = f"kept/{chance.randrange(6)}"
        node.write("PATCH", kept, {field: True})
        self.kept.add((kept, field))


def test_two_halves_that_were_written_to_are_one_equal_mesh_again(
    tmp_path: Path, network: Halves, *, is_long: bool
) -> None:
    size, limits = (50, ()) if is_long else (8, ("--max-links", "4"))
    most = 16 if is_long else 4
    with formation_in(tmp_path / "formation") as formation:
        nodes = network.mesh(formation, size, *limits)
        for node in nodes:
            node.start()
        for node in nodes:
            until(node.is_ready, f"{node.name} is ready", within=START)
        wait_one_mesh(nodes, within=START)
        for number in range(6):
            nodes[number].write("PUT", f"kept/{number}", {})
        until(lambda: len(digests(nodes)) == 1, "all have begun with the same", within=PATIENCE)
        sides = [Half("one", nodes[::2]), Half("other", nodes[1::2])]
        with network.cut():
            ends = time.monotonic() + (60.0 if is_long else 0.0)
            while time.monotonic() < ends or not is_noticed(nodes):
                for side in sides:
                    side.write()
                due = time.monotonic() + PAUSE
                until(lambda due=due: time.monotonic() > due, "a moment has passed")  # type: ignore[misc]
            assert len(digests(nodes)) > 1
        until(lambda: len(digests(nodes)) == 1, "both halves have the same", within=10.0 if is_long else PATIENCE)
        wait_one_mesh(nodes, within=PATIENCE)
        # One more is linked for a moment, until the other end has heard that one is to go.
        until(lambda: all(len(node.linked()) <= most for node in nodes), "none keeps more links than it may")
        wanted = sides[0].kept | sides[1].kept
        names = document_names(nodes[-1])
        assert wanted <= {(name, field) for name in names for field in nodes[-1].document(name)}


def is_noticed(nodes: Sequence[Node]) -> bool:
    """Whether each half takes the whole other one for out of reach."""
    return all(scrape(node)["peat_members_unreachable",] == len(nodes) // 2 for node in nodes)
