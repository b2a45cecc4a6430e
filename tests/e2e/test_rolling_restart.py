"""Nodes behind a balancer are restarted one after another, and nobody who uses them notices."""

import signal
import subprocess
import time

import pytest
from e2e.balancer import LAG, PROBE_INTERVAL, balanced
from e2e.nodes import PATIENCE, Formation, Node, until, up, wait_equal
from e2e.service_clients import ServiceClient, Writer, visiting
from fakes.ports import free_address

SHARED = "rolling/shared"
DRAIN_DELAY = 8 * (PROBE_INTERVAL + LAG)


def restart(node: Node) -> float:
    """As a StatefulSet does: the next is told to go as soon as this one is ready again. Seconds that it took to go."""
    assert node.process is not None
    before = time.monotonic()
    node.send_signal(signal.SIGTERM)
    assert node.process.wait(DRAIN_DELAY + PATIENCE) == 0
    took = time.monotonic() - before
    node.start().wait_ready()
    return took


def wait_served(clients: list[ServiceClient]) -> None:
    """Until everyone has been answered once more."""
    before = [(client, client.asked) for client in clients]
    until(lambda: all(client.asked > asked for client, asked in before), "everyone is served")


def token(formation: Formation) -> str:
    """What lets a program in on every node."""
    command = ["peat", "token", "mint", "--seed-file", str(formation.secret_file)]
    command += ["--subject", "alice", "--documents", "rolling/*", "--write", "--ttl", "1h"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def nodes(formation: Formation) -> dict[Node, str]:
    """With the addresses of their APIs."""
    made = formation.mesh("peat-mesh-0", "peat-mesh-1", "peat-mesh-2", arguments=("--drain-delay", f"{DRAIN_DELAY}"))
    addresses = {node: free_address() for node in made}
    for node, address in addresses.items():
        node.arguments = [address if word == "127.0.0.1:0" else word for word in node.arguments]
    up(*made)
    made[0].write("PUT", SHARED, {"n": 0}, "?ack=replicated:2")
    return addresses


def test_a_rolling_restart_loses_no_write_and_no_reader(formation: Formation, nodes: dict[Node, str]) -> None:
    with balanced(nodes) as service, visiting(service.address, token(formation), SHARED) as visitors:
        clients = list(visitors)
        wait_served(clients)
        for node in nodes:
            assert restart(node) >= DRAIN_DELAY
            wait_served(clients)
    retried = {client.name: client.retried for client in clients if client.retried}
    assert [problem for client in clients for problem in client.failed] == [], retried
    check_all_there(list(nodes), [client for client in clients if isinstance(client, Writer)])


def check_all_there(nodes: list[Node], writers: list[Writer]) -> None:
    documents = {name: content for writer in writers for name, content in writer.documents.items()}
    fields = {field: n for writer in writers for field, n in writer.fields.items()}
    assert fields
    assert documents
    wait_equal(nodes, SHARED, *documents)
    for node in nodes:
        there = node.document(SHARED)
        assert {field: there.get(field) for field in fields} == fields
        assert {name: node.document(name) for name in documents} == documents
