"""Nodes that cannot reach each other link by a relay, and without it as soon as they can."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, formation_in, until, wait_equal, wait_linked
from e2e.relays import Hosts, Relay, hosts
from fakes.certificates import Authority
from fakes.ports import free_address

DIRECT_WITHIN = 30.0
"""Seconds after a route has appeared."""
NOWHERE = "127.0.0.1:9"
TEXT = "the-very-words-that-nobody-else-is-to-read"


@pytest.fixture
def formation(tmp_path: Path) -> Iterator[Formation]:
    with formation_in(tmp_path) as made:
        yield made


def behind(formation: Formation, name: str, peer: str, *urls: str) -> Node:
    """A node that uses these relays and has one peer."""
    relays = [word for url in urls for word in ("--relay", url)]
    return formation.node(name, *relays, peers=[peer])


def up(*nodes: Node) -> None:
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready()


def test_two_nodes_that_cannot_reach_each_other_link_by_a_node_that_both_can(formation: Formation) -> None:
    at = free_address()
    relay = formation.node("relay", "--relay-listen", at)
    alice, bob = nodes = [
        behind(formation, name, f"{other}@{NOWHERE}", f"tcp://{at}")
        for name, other in (("alice", "bob"), ("bob", "alice"))
    ]
    up(relay, *nodes)
    wait_linked(*nodes)
    alice.write("PUT", "notes/a", {"by": "alice"}, "?ack=replicated:1")
    assert bob.document("notes/a") == {"by": "alice"}
    assert alice.peers()["bob"]["via"] == bob.peers()["alice"]["via"] == f"tcp://{at}"
    assert relay.stated()["relay"] == at
    until(lambda: "peat_relay_registrations 2.0" in relay.ask("GET", "metrics").body.decode(), "both are registered")
    assert [(found["url"], found["state"]) for found in bob.get("node")["relays"]] == [(f"tcp://{at}", "registered")]
    assert 'peat_relay_registered{relay="tcp://' in bob.ask("GET", "metrics").body.decode()


class Writer:
    """Writes to one node without a pause, each write on the other node too before the next begins."""

    def __init__(self, node: Node) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self._node = node
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def go_on(self) -> None:
        """Some more are on both."""
        written = len(self.acknowledged)
        until(lambda: len(self.acknowledged) > written + 2, "writes go on")

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.02):
            number += 1
            key = f"k{number}"
            reply = self._node.ask("PATCH", "documents/notes/many?ack=replicated:1&timeout=30", {key: f"{TEXT}-{key}"})
            if reply.status in (200, 201):
                self.acknowledged.append(key)
            else:
                self.refused.append(f"{key}: {reply.status} {reply.json}")


@pytest.fixture
def net() -> Iterator[Hosts]:
    with hosts() as made:
        yield made


def test_by_two_relays_by_one_and_then_directly_without_a_write_lost_or_read(
    formation: Formation, net: Hosts, tmp_path: Path
) -> None:
    """Two hosts without a way to each other, each with one to a host with two relays: one of them speaks HTTPS."""
    authority = Authority(tmp_path)
    pem = str(authority.server_file(*net.relay_addresses.values()))
    at_relay = net.within("relay")
    secure = Relay(formation, "0.0.0.0:443", "--relay-tls-cert", pem, "--relay-tls-key", pem, within=at_relay)
    plain = Relay(formation, "0.0.0.0:7000", within=at_relay)
    nodes = {}
    for name in Hosts.NAMES:
        urls = (f"https://{net.relay_addresses[name]}", f"tcp://{net.relay_addresses[name]}:7000")
        relays = [word for url in urls for word in ("--relay", url)]
        nodes[name] = net.place(formation.node(name, *relays, "--relay-ca-file", str(authority.ca_file)), name)
    alice, bob = nodes.values()
    alice.arguments = [*alice.arguments, "--peer", f"bob@{bob.mesh}"]
    bob.arguments = [*bob.arguments, "--peer", f"alice@{alice.mesh}"]
    captured = tmp_path / "captured"
    try:
        with net.captured(captured):
            up(alice, bob)
            wait_linked(alice, bob)
            via = alice.peers()["bob"]["via"]
            with Writer(alice) as writer:
                writer.go_on()
                first, second = (secure, plain) if via.startswith("https") else (plain, secure)
                first.kill()
                until(lambda: alice.peers()["bob"]["via"] not in (None, via), "by the other relay")
                writer.go_on()
                net.open_a_route()
                until(lambda: ways(alice, bob) == {"direct"}, "it goes directly", within=DIRECT_WITHIN)
                writer.go_on()
        assert writer.refused == []
        wait_equal([alice, bob], "notes/many")
        assert bob.document("notes/many").keys() >= set(writer.acknowledged)
        seen = captured.read_bytes()
        assert b"peat-relay/1" in seen, "it was looked at"
        assert TEXT.encode() not in seen
        assert TEXT.encode() not in memory_of(second.process.pid)
        assert memory_of(alice.engine_pids()[0]).count(TEXT.encode()) > 0, "and it would have been found"
    finally:
        formation.end()
        for relay in (secure, plain):
            relay.kill()


def ways(*nodes: Node) -> set[str | None]:
    """How these nodes' links go."""
    return {peer["via"] for node in nodes for peer in node.peers().values()}


def memory_of(pid: int) -> bytes:
    """All that a process has in memory that it can write to."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, flags, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if flags.startswith("rw") and "[v" not in line:
                memory.seek(start)
                found.append(memory.read(end - start))
    return b"".join(found)
