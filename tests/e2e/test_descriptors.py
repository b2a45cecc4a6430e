"""A node without file descriptors: what is connected is served, nothing spins, what waited comes when there are some.

While it lasts, an operator sees: new connections (probes too) wait; one line, `limit hit` with `file_descriptors`, and
the metric of that name; links and clients that are up stay so. After: all is as before, the engine too.
"""

import contextlib
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, until, up, wait_equal

OBSERVED = 2.0
"""Seconds in which the node's processor time is looked at: twenty of the pauses that it makes."""
MOST_BUSY = 0.25
"""Of that time. Without a pause between two attempts it would be all of it."""


@pytest.fixture
def pair(formation: Formation) -> list[Node]:
    nodes = formation.mesh("alice", "bob", arguments=["--clients", "127.0.0.1:0"])
    up(*nodes)
    return nodes


@contextlib.contextmanager
def without_descriptors(node: Node) -> Iterator[Callable[[], object]]:
    """None that is not open already, but for numbers between those that are: a test uses them up, if there are any.

    What comes with it gives the node one more. Its limit is put back, as an operator may do, on the running process.
    """
    before = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir(f"/proc/{node.pid}/fd"))  # noqa: PTH208  # names, not paths
    resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        yield lambda: resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (highest + 2, before[1]))
    finally:
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, before)


def cpu_time(node: Node) -> float:
    fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_what_is_up_is_served_and_what_is_new_waits(pair: list[Node]) -> None:
    alice, bob = pair
    alice.write("PUT", "files/a", {"n": 0}, "?ack=replicated:1")
    with alice.connection() as kept, contextlib.ExitStack() as waiting:
        assert kept.ask("GET", "ready").status == 200
        addresses = [alice.stated()[door] for door in ("mesh", "api", "clients")]
        with without_descriptors(alice):
            held = [waiting.enter_context(connect(address)) for address in addresses for _ in range(40)]
            until(lambda: alice.has_logged("limit hit"), "it says so")
            begun, cpu = time.monotonic(), cpu_time(alice)
            until(lambda: time.monotonic() > begun + OBSERVED, "it is looked at for a while")
            assert cpu_time(alice) - cpu < MOST_BUSY * OBSERVED
            assert kept.ask("GET", "ready").status == 200
            assert kept.ask("PUT", "documents/files/a?ack=replicated:1", {"n": 1}).status == 200
            assert alice.log().count("file_descriptors") == 1
            assert kept.ask("GET", "peers").json["peers"][0]["connected"]
        probing = held[40]
        probing.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert probing.recv(4096).startswith(b"HTTP/1.1 200")
        metrics = kept.ask("GET", "metrics").body.decode()
        assert 'peat_limit_hits_total{limit="file_descriptors"} 0' not in metrics
    bob.write("PUT", "files/b", {"by": "bob"}, "?ack=replicated:1")
    wait_equal(pair, "files/a", "files/b")
    assert not any(node.has_logged("peer unlinked") for node in pair)
    alice.stop()


def test_the_first_peer_of_all_may_come_when_there_are_none(formation: Formation) -> None:
    alice = formation.node("alice")
    up(alice)
    with contextlib.ExitStack() as waiting, without_descriptors(alice) as give_one:
        for _ in range(40):
            waiting.enter_context(connect(alice.stated()["mesh"])).sendall(b"hello")
        until(lambda: alice.has_logged("limit hit"), "all are used up")
        give_one()
        until(lambda: alice.has_logged("handshake failed"), "who gets the last one is refused for what it said")
    assert alice.ask("GET", "ready").status == 200
    alice.stop()


def test_an_engine_that_ends_meanwhile_comes_back_when_there_are_some(pair: list[Node]) -> None:
    alice = pair[0]
    alice.write("PUT", "files/a", {"n": 0}, "?ack=replicated:1")
    (engine,) = alice.engine_pids()
    with alice.connection() as kept:
        assert kept.ask("GET", "ready").status == 200
        with without_descriptors(alice):
            with contextlib.ExitStack() as waiting:
                for _ in range(40):
                    waiting.enter_context(connect(alice.stated()["mesh"]))
                until(lambda: alice.has_logged("limit hit"), "all are used up")
                os.kill(engine, 9)
                until(lambda: alice.has_logged("engine.not_started"), "it cannot start another")
                assert kept.ask("GET", "ready").status == 200
                reply = kept.ask("PUT", "documents/files/a", {"n": 1})
                assert (reply.status, reply.json["error"]["code"]) == (503, "unavailable")
            assert alice.log().count("engine.not_started") == 1
    until(lambda: alice.ask("PUT", "documents/files/a", {"n": 2}).status == 200, "its engine is back")
    wait_equal(pair, "files/a")
    alice.stop()
