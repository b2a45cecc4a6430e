"""Nodes that cannot reach each other link by a relay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, formation_in, free_address, wait_linked


@pytest.fixture
def formation(tmp_path: Path) -> Iterator[Formation]:
    with formation_in(tmp_path) as made:
        yield made


NOWHERE = "127.0.0.1:9"


def behind(formation: Formation, name: str, other: str, *urls: str) -> Node:
    """A node that knows a peer by its name, and no address where it is."""
    relays = [word for url in urls for word in ("--relay", url)]
    return formation.node(name, *relays, peers=[f"{other}@{NOWHERE}"])


def test_two_nodes_that_cannot_reach_each_other_link_by_a_relay(formation: Formation) -> None:
    at = free_address()
    relay = formation.node("relay", "--relay-listen", at)
    nodes = [behind(formation, *names, f"tcp://{at}") for names in (("alice", "bob"), ("bob", "alice"))]
    for node in (relay, *nodes):
        node.start()
    for node in (relay, *nodes):
        node.wait_ready()
    wait_linked(*nodes)
    alice, bob = nodes
    alice.write("PUT", "notes/a", {"by": "alice"}, "?ack=replicated:1")
    assert bob.document("notes/a") == {"by": "alice"}
    assert alice.peers()["bob"]["via"] == f"tcp://{at}"
