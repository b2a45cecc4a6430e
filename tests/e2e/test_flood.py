"""Thousands of strangers who connect and say nothing, of Yjs clients who do nothing, and of pings: they cost next to no
memory, and keep nobody out.

While strangers are many, an operator sees: `limit hit` once a minute for each limit, `peat_limit_hits_total` rising;
links, probes and clients are as ever. After: nothing.
"""

import contextlib
import select
import socket
import time
from pathlib import Path

import pytest
from e2e.nodes import PATIENCE, Formation, Node, until, up, wait_equal

STRANGERS = 1000
CLIENTS = 1000
GROWTH_MIB, CLIENTS_GROWTH_MIB = 30, 38
CLOSE = 0x88
PINGS = b"\x89\x80mask" * 1000
UPGRADE = (
    "GET /sync/{} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
STEP_1 = b"\x82\x84mask" + bytes(byte ^ mask for byte, mask in zip(b"\x00\x00\x01\x00", b"mask", strict=True))


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
    begun = time.monotonic()
    with contextlib.ExitStack() as held:
        for number in range(STRANGERS):
            held.enter_context(connect(address))
            if number % 250 == 0:
                assert probe(alice.stated()["api"]) == b"HTTP/1.1 200"
                alice.write("PATCH", "flood/a", {"n": number}, "?ack=replicated:1")
        assert resident_mib(alice) - before < GROWTH_MIB
        told = [event for event in alice.events() if event.get("limit") == limit]
        assert 1 <= len(told) <= 1 + (time.monotonic() - begun) // 60
        assert f'peat_limit_hits_total{{limit="{limit}"}} 0' not in alice.ask("GET", "metrics").body.decode()
    bob.write("PATCH", "flood/a", {"bob": 1}, "?ack=replicated:1")
    wait_equal(nodes, "flood/a")
    until(lambda: probe(alice.stated()["api"]) == b"HTTP/1.1 200", "it is well")
    assert not any(node.has_logged("peer unlinked") for node in nodes)
    alice.stop()


def let_in(address: str, document: str) -> socket.socket:
    """A Yjs client that is asked what it has; that comes behind the handshake's answer."""
    stream = connect(address)
    stream.sendall(UPGRADE.format(document).encode())
    answer = b""
    while not answer.partition(b"\r\n\r\n")[2]:
        part = stream.recv(4096)
        assert part, answer
        answer += part
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return stream


def hear(stream: socket.socket, what: bytes) -> None:
    """Until it has come, in however many pieces."""
    heard = b""
    while what not in heard:
        part = stream.recv(4096)
        assert part, heard
        heard += part


def clients(node: Node) -> int:
    metrics = node.ask("GET", "metrics").body.decode()
    return int(float(metrics.partition("\npeat_clients ")[2].split()[0]))


def test_a_thousand_clients_who_do_nothing_cost_little_and_keep_nobody_out(formation: Formation) -> None:
    alice = formation.node("alice", "--clients", "127.0.0.1:0")
    up(alice)
    alice.write("PUT", "flood/0", {"n": 0})
    before, address = resident_mib(alice), alice.stated()["clients"]
    with contextlib.ExitStack() as held:
        for number in range(CLIENTS):
            held.enter_context(let_in(address, f"flood/{number % 100}"))
        assert clients(alice) == CLIENTS
        assert resident_mib(alice) - before < CLIENTS_GROWTH_MIB
        alice.write("PATCH", "flood/0", {"n": 1}, "?ack=durable")
        with let_in(address, "flood/0") as one_more:
            one_more.sendall(STEP_1)
            hear(one_more, b"data")
    until(lambda: clients(alice) == 0, "they have gone")
    alice.stop()


def test_who_floods_with_pings_is_closed_with_1008_and_nobody_else_is_disturbed(formation: Formation) -> None:
    nodes = alice, _ = formation.mesh("alice", "bob", arguments=["--clients", "127.0.0.1:0"])
    up(*nodes)
    address = alice.stated()["clients"]
    with let_in(address, "flood/a") as bystander:
        for number in range(10):
            with let_in(address, "flood/a") as flooding:
                assert closed_for_pings(flooding) == 1008
            alice.write("PUT", "flood/a", {"n": number}, "?ack=replicated:1")
        bystander.sendall(STEP_1)
        hear(bystander, b"data")
    assert not any(node.has_logged("peer unlinked") for node in nodes)


def closed_for_pings(stream: socket.socket) -> int:
    """The code in the close frame that ends it; what comes before are pongs and what every client is told."""
    stream.setblocking(False)
    heard, to_say = b"", b""
    while True:
        to_hear, to_tell, _ = select.select([stream], [stream], [], PATIENCE)
        assert to_hear or to_tell, "it is not closed"
        with contextlib.suppress(ConnectionError):  # it may be closed by now, and what it said still be there
            to_say = to_say or PINGS
            to_say = to_say[stream.send(to_say) :] if to_tell else to_say
        if to_hear:
            part = stream.recv(1_000_000)
            assert part, heard
            heard += part
        while len(heard) > 1 and len(heard) >= (end := 2 + heard[1]):  # none is longer than 125 bytes
            if heard[0] == CLOSE:
                return int.from_bytes(heard[2:4])
            heard = heard[end:]
