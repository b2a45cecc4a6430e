"""Thousands of strangers who connect and say nothing: they cost next to no memory, keep nobody out, and are one line.

While it lasts, an operator sees: `limit hit` once a minute for each limit, `peat_limit_hits_total` rising; links,
probes and clients are as ever. After: nothing.
"""

import contextlib
import socket
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, until, up, wait_equal

STRANGERS = 1000
GROWTH_MIB = 30


def resident_mib(node: Node) -> float:
    """Of the node and its engine."""
    pids = [node.pid, *node.engine_pids()]
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(status.partition("VmRSS:")[2].split()[0]) for status in statuses) / 1024


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def probe(address: str) -> bytes:
    with connect(address) as stream:
        stream.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return stream.recv(12)


@pytest.mark.parametrize(
    ("port", "limit"),
    [("mesh", "mesh_handshakes"), ("api", "api_connections"), ("clients", "client_handshakes")],
)
def test_strangers_cost_little_and_keep_nobody_out(formation: Formation, port: str, limit: str) -> None:
    nodes = alice, bob = formation.mesh("alice", "bob", arguments=["--clients", "127.0.0.1:0"])
    up(*nodes)
    alice.write("PUT", "flood/a", {"n": 0}, "?ack=replicated:1")
    before, address = resident_mib(alice), alice.stated()[port]
    with contextlib.ExitStack() as held:
        for number in range(STRANGERS):
            held.enter_context(connect(address))
            if number % 250 == 0:
                assert probe(alice.stated()["api"]) == b"HTTP/1.1 200"
                alice.write("PATCH", "flood/a", {"n": number}, "?ack=replicated:1")
        assert resident_mib(alice) - before < GROWTH_MIB
        assert len([event for event in alice.events() if event.get("limit") == limit]) == 1
        assert f'peat_limit_hits_total{{limit="{limit}"}} 0' not in alice.ask("GET", "metrics").body.decode()
    bob.write("PATCH", "flood/a", {"bob": 1}, "?ack=replicated:1")
    wait_equal(nodes, "flood/a")
    until(lambda: probe(alice.stated()["api"]) == b"HTTP/1.1 200", "it is well")
    assert not any(node.has_logged("peer unlinked") for node in nodes)
    alice.stop()
