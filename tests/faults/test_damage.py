"""Bits that flip on the disk of a node that has crashed: in the database, and in its write-ahead log.

After the start that meets them, an operator sees: ready; a line that names what was mended, set aside or is missing;
`peat_store_corrupt_rows` where rows were. What only the damaged copy had may be gone, never without a line; what a peer
has comes back, and all nodes are equal.
"""

import random
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, up, wait_equal, wait_linked

WRITES = 60
TOLD = {
    "store_log_mended",
    "store_log_damaged",
    "store_row_corrupt",
    "store_salvaged",
    "store_damaged",
    "store_unreadable",
}


def write(node: Node, query: str = "") -> dict[str, int]:
    for n in range(WRITES):
        node.write("PUT" if n < 5 else "PATCH", f"bits/{n % 5}", {f"n{n}": n, "chunk": str(n) * 500}, query)
    return {f"bits/{n % 5} n{n}": n for n in range(WRITES)}


def there(node: Node, written: dict[str, int]) -> set[str]:
    """Which of the writes can be read."""
    found = set()
    for place, n in written.items():
        name, _, field = place.partition(" ")
        reply = node.ask("GET", f"documents/{name}")
        if reply.status == 200 and reply.json["document"].get(field) == n:
            found.add(place)
    return found


def flip(path: Path, chance: random.Random, bits: int) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(bits):
        content[chance.randrange(100, len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def told(node: Node, since: int) -> set[str]:
    return {event["event"] for event in node.events()[since:]} & TOLD


def test_one_bit_in_the_log_is_put_right_or_told(formation: Formation, is_long: bool) -> None:
    """On a node that is alone: what is mended has cost nothing."""
    chance = random.Random(2)
    alice = formation.node("alice").start().wait_ready()
    written = write(alice)
    for _ in range(30 if is_long else 3):
        alice.kill()
        since = len(alice.events())
        flip(alice.directory / "peat.db-wal", chance, 1)
        alice.start().wait_ready()
        if told(alice, since) == {"store_log_mended"}:
            assert there(alice, written) == written.keys()
            alice.write("PATCH", "bits/0", {"again": chance.random()})
        else:
            assert "store_log_damaged" in told(alice, since)
            written = write(alice)
    alice.stop()


@pytest.mark.parametrize("file", ["peat.db", "peat.db-wal"])
def test_many_bits_are_never_lost_without_a_line_and_come_back_from_a_peer(
    formation: Formation, file: str, is_long: bool
) -> None:
    chance = random.Random(file)
    nodes = alice, bob = formation.mesh("alice", "bob")
    up(*nodes)
    written = write(alice, "?ack=replicated:1")
    for _ in range(12 if is_long else 1):
        alice.stop() if file == "peat.db" else alice.kill()
        bob.write("PATCH", "bits/1", {"meanwhile": chance.random()})
        bob.stop()  # alone at first: what it tells then is what it has
        since = len(alice.events())
        flip(alice.directory / file, chance, 5)
        alice.start().wait_ready()
        lost = written.keys() - there(alice, written)
        assert not lost or told(alice, since)
        if "store_unreadable" in told(alice, since):  # and the message, that a restart saves the rest
            alice.stop()
            alice.start().wait_ready()
        bob.start().wait_ready()
        wait_linked(*nodes)
        wait_equal(nodes, *(f"bits/{n}" for n in range(5)))
        assert there(alice, written) == written.keys()
        alice.write("PATCH", "bits/0", {"again": chance.random()}, "?ack=replicated:1")
    for node in nodes:
        node.stop()
