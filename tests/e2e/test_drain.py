"""A node that was asked to stop, seen by those who use it until it is gone."""

import contextlib
import http.client
import signal
import threading
import time

import pytest
from e2e.nodes import PATIENCE, STOP_WITHIN, Formation, Node, until, up, wait_linked

DELAY = 1.0
LONG = 600.0
"""Seconds: longer than any test, so that what is seen is seen during it."""


def linked_pair(formation: Formation, drain_delay: float) -> list[Node]:
    nodes = formation.mesh("alice", "bob", arguments=("--drain-delay", f"{drain_delay}"))
    up(*nodes)
    nodes[0].write("PUT", "drain/a", {"n": 0}, "?ack=replicated:1")
    return nodes


@pytest.fixture
def pair(formation: Formation) -> list[Node]:
    return linked_pair(formation, DELAY)


def test_it_is_not_ready_at_once_and_all_else_goes_on(formation: Formation) -> None:
    alice, bob = linked_pair(formation, LONG)
    alice.send_signal(signal.SIGTERM)
    ready = until(lambda: (reply := alice.ask("GET", "ready")).status == 503 and reply, "it is not ready")
    assert [check["name"] for check in ready.json["checks"] if not check["ready"]] == ["drain"]

    carol = formation.node("carol", peers=[f"alice@{alice.mesh}"]).start()
    wait_linked(carol, alice)
    alice.write("PUT", "drain/b", {"n": 1}, "?ack=replicated:2")
    assert alice.document("drain/b") == carol.document("drain/b") == bob.document("drain/b") == {"n": 1}
    bob.write("PATCH", "drain/b", {"n": 2}, "?ack=replicated:1")
    assert alice.document("drain/b") == {"n": 2}


def test_every_answer_ends_its_connection(formation: Formation) -> None:
    alice, _ = linked_pair(formation, LONG)
    with alice.connection() as kept, alice.connection() as other:
        for connection in (kept, other):
            assert "connection" not in connection.ask("GET", "documents/drain/a").headers
        alice.send_signal(signal.SIGTERM)
        until(lambda: alice.ask("GET", "ready").status == 503, "it is not ready")
        assert kept.ask("GET", "documents/drain/a").headers["connection"] == "close"
        assert other.ask("PATCH", "documents/drain/a", {"n": 1}).headers["connection"] == "close"


def test_a_second_signal_during_the_delay_ends_it_at_once(formation: Formation) -> None:
    alice, _ = linked_pair(formation, LONG)
    alice.send_signal(signal.SIGTERM)
    until(lambda: alice.has_logged("node stopping"), "it heard the first one")
    alice.send_signal(signal.SIGTERM)
    assert alice.process is not None
    assert alice.process.wait(PATIENCE) == 130


def test_after_the_delay_it_ends_in_order(pair: list[Node]) -> None:
    alice, _ = pair
    began = time.monotonic()
    alice.send_signal(signal.SIGTERM)
    assert alice.process is not None
    assert alice.process.wait(DELAY + PATIENCE) == 0
    assert time.monotonic() - began >= DELAY


def test_what_it_acknowledged_is_with_its_peers_when_it_is_gone(pair: list[Node]) -> None:
    alice, bob = pair
    acknowledged: list[str] = []

    def write(name: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException), alice.connection() as connection:
            for n in range(100_000):
                if connection.ask("PATCH", "documents/drain/a", {f"{name}-{n}": n}).status != 200:
                    return
                acknowledged.append(f"{name}-{n}")

    writers = [threading.Thread(target=write, args=(name,)) for name in ("one", "two", "three")]
    for writer in writers:
        writer.start()
    until(lambda: len(acknowledged) > 20, "they write")
    alice.send_signal(signal.SIGTERM)
    until(lambda: alice.has_logged("node stopping"), "it has heard it")
    before = len(acknowledged)
    for writer in writers:
        writer.join()
    assert len(acknowledged) > before, "it went on taking writes"
    assert alice.process is not None
    assert alice.process.wait(DELAY + PATIENCE) == 0
    # Alice is not coming back.
    document = bob.document("drain/a")
    assert [field for field in acknowledged if field not in document] == []
    assert not alice.has_logged("stopping with peers owed documents")


def test_a_peer_that_stalls_holds_it_up_in_bounds_and_the_log_says_what_it_is_owed(pair: list[Node]) -> None:
    alice, bob = pair
    bob.send_signal(signal.SIGSTOP)
    try:
        alice.write("PUT", "drain/b", {"n": 1})
        alice.write("PUT", "drain/c", {"n": 1})
        alice.send_signal(signal.SIGTERM)
        assert alice.process is not None
        assert alice.process.wait(DELAY + STOP_WITHIN) == 0
    finally:
        bob.send_signal(signal.SIGCONT)
    (said,) = (event for event in alice.events() if event["event"] == "stopping with peers owed documents")
    assert said["documents"] == {"bob": 2}
