"""kill -9 at the writes themselves: at each of a start's, and at as many as there is time for under load, checkpoints
included. Whatever was acknowledged is there at the next start, which needs no hand.

An operator sees a restart, and nothing else: no line that speaks of damage.
"""

import contextlib
import http.client
import random
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node
from faults.injected import killed_at, need_strace, wait_ended

CHUNK = "x" * 60_000
"""Fifteen pages: a checkpoint, which SQLite makes after a thousand, comes within a hundred writes."""
MOST_WRITES = 120

DAMAGE = ("store_log_mended", "store_log_damaged", "store_row_corrupt", "store_salvaged", "store_damaged")


@pytest.fixture(autouse=True)
def _needs_strace() -> None:
    need_strace()


def is_up(node: Node) -> bool:
    """Whether it came up, or never will: then it is not."""
    while not wait_ended(node, 0.05):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if node.says_ready():
                return True
    return False


def write_until_it_dies(node: Node, life: int = 0) -> dict[str, int]:
    """What was acknowledged, in documents of this life."""
    acknowledged: dict[str, int] = {}
    if not is_up(node):
        return acknowledged
    with contextlib.suppress(OSError, http.client.HTTPException), node.connection() as connection:
        for n in range(MOST_WRITES):
            name = f"points/{life}-{n % 7}"
            reply = connection.ask("PATCH" if n >= 7 else "PUT", f"documents/{name}", {f"n{n}": n, "chunk": CHUNK})
            assert reply.status in (200, 201), reply
            acknowledged[f"{name} n{n}"] = n
    return acknowledged


def check(node: Node, acknowledged: dict[str, int]) -> None:
    before = len(node.events())
    node.start().wait_ready()
    for place, n in acknowledged.items():
        name, _, field = place.partition(" ")
        assert node.document(name)[field] == n
    assert not [event for event in node.events()[before:] if event["event"] in DAMAGE]
    node.kill()


def points(is_long: bool) -> list[int]:
    """Counted for one thread, the store's: the first of a start, then less and less densely."""
    if is_long:
        chance = random.Random(3)
        return [*range(1, 60), *(int(60 * 40 ** chance.random()) for _ in range(80))]
    return [2, 9, 30, 800]


def test_whatever_write_it_dies_at_nothing_acknowledged_is_lost(formation: Formation, is_long: bool) -> None:
    deaths, acknowledged_in_all = 0, 0
    for point in points(is_long):
        node = formation.node("alice")
        dying = killed_at(node, point).start()
        formation.nodes.append(dying)
        acknowledged = write_until_it_dies(dying)
        deaths += wait_ended(dying, 5)
        dying.kill()
        acknowledged_in_all += len(acknowledged)
        check(node, acknowledged)
    assert deaths >= len(points(is_long)) - 1
    assert acknowledged_in_all > 10


def test_it_dies_again_and_again_on_one_directory(formation: Formation, is_long: bool) -> None:
    """The next start mends what the last one left, and may die of it."""
    chance = random.Random(8)
    node = formation.node("alice")
    acknowledged: dict[str, int] = {}
    for life in range(40 if is_long else 3):
        dying = killed_at(node, int(4 * 40 ** chance.random())).start()
        formation.nodes.append(dying)
        acknowledged |= write_until_it_dies(dying, life)
        dying.kill()
    assert acknowledged
    check(node, acknowledged)
    assert Path(node.directory / "peat.db").exists()
