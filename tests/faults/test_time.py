"""A node that stands still for a minute, and nodes whose clocks are years apart.

While a node stands still, an operator sees: it answers no probe; its peers take its link for dead after half a minute,
say so once, and go on. After: it is linked and whole within seconds, with the same process. Wrong clocks show in the
times of logs and events, and nowhere else.
"""

import os
import signal
import time
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, until, up, wait_equal, wait_linked
from faults.injected import lapse

WHOLE_WITHIN = 10.0
"""Seconds after it goes on, on a busy machine."""
_LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")


@pytest.mark.long
@pytest.mark.parametrize("who", ["node", "node-and-engine"])
def test_a_node_that_stood_still_goes_on(formation: Formation, who: str) -> None:
    nodes = alice, bob, carol = formation.mesh("alice", "bob", "carol")
    up(*nodes)
    alice.write("PUT", "still/a", {"n": 0}, "?ack=replicated:2")
    pid, engines = alice.pid, alice.engine_pids() if who == "node-and-engine" else []
    begun = time.monotonic()
    for process in (pid, *engines):
        os.kill(process, signal.SIGSTOP)
    bob.write("PATCH", "still/a", {"bob": 1}, "?ack=replicated:1")
    until(lambda: "alice" not in bob.linked() | carol.linked(), "its peers notice", within=60)
    assert bob.peers()["alice"]["error"]
    bob.write("PATCH", "still/a", {"bob": 2}, "?ack=replicated:1")
    lapse(begun + 60 - time.monotonic())
    for process in (*engines, pid):
        os.kill(process, signal.SIGCONT)
    begun = time.monotonic()
    wait_linked(*nodes)
    wait_equal(nodes, "still/a")
    assert time.monotonic() - begun < WHOLE_WITHIN
    assert alice.stated()["pid"] == pid
    assert [node.ask("GET", "ready").status for node in nodes] == [200] * 3
    said = [bob.log().count(f'"{event}", "peer": "alice"') for event in ("peer linked", "peer unlinked")]
    assert said in ([2, 1], [3, 1]), "when both dial at once, one link takes the place of the other"
    alice.write("PATCH", "still/a", {"n": 1}, "?ack=replicated:2")
    for node in nodes:
        node.stop()


@pytest.fixture
def faketime() -> str:
    found = [path for pattern in _LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))]
    if not found:
        pytest.skip("there is no libfaketime (Debian: apt-get install faketime)")
    return str(found[0])


def at(node: Node, offset: str, library: str) -> Node:
    """The node with a clock that is off by so much; what counts from its start is not."""
    changed = {"LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    node.environ = {**node.environ, **changed}
    return node


def test_clocks_that_are_years_apart_keep_nobody_apart(formation: Formation, faketime: str) -> None:
    nodes = alice, bob, carol = formation.mesh("alice", "bob", "carol")
    at(bob, "-6y", faketime)
    at(carol, "+20y", faketime)
    up(*nodes)
    years = [int(node.events()[0]["timestamp"][:4]) for node in nodes]
    assert years[1] <= years[0] - 5
    assert years[2] >= years[0] + 19
    for n, node in enumerate(nodes):
        node.write("PUT" if n == 0 else "PATCH", "clocks/a", {node.name: n}, "?ack=replicated:2")
    wait_equal(nodes, "clocks/a")
    assert alice.document("clocks/a") == {"alice": 0, "bob": 1, "carol": 2}
    carol.write("DELETE", "clocks/a", query="?ack=replicated:2")
    bob.write("PUT", "clocks/a", {"again": True}, "?ack=replicated:2")
    wait_equal(nodes, "clocks/a")
    assert alice.document("clocks/a") == {"again": True}


def test_a_clock_that_jumps_at_a_restart_loses_nothing(formation: Formation, faketime: str, is_long: bool) -> None:
    nodes = alice, bob = formation.mesh("alice", "bob")
    up(*nodes)
    honest = alice.environ
    alice.write("PUT", "jumps/a", {"n": 0}, "?ack=replicated:1")
    offsets = ("+1d", "-1d", "+10y", "-10y") if is_long else ("+1d", "-10y")
    for n, offset in enumerate(offsets, start=1):
        alice.stop()
        alice.environ = honest
        at(alice, offset, faketime).start().wait_ready()
        wait_linked(*nodes)
        alice.write("PATCH", "jumps/a", {"n": n, f"n{n}": n}, "?ack=replicated:1")
        bob.write("PATCH", "jumps/a", {f"bob{n}": n}, "?ack=replicated:1")
    wait_equal(nodes, "jumps/a")
    assert len(alice.document("jumps/a")) == 1 + 2 * len(offsets)
