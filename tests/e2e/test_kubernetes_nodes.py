"""Nodes that find each other through a Kubernetes API server: as pods do, and with a kubeconfig from outside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.clusters import POLL, TOKEN, kubeconfig
from e2e.nodes import Formation, Node, free_address, until, wait_equal
from fakes.apiserver import FakeApiServer
from fakes.apiserver_wire import Refuse
from fakes.certificates import Authority
from fakes.endpointslices import Json, endpoint_slice, pod


def slice_of(node: Node, address: str | None = None, **annotations: str) -> Json:
    """A slice with this one pod."""
    host, _, port = (address or node.mesh).rpartition(":")
    named = {f"peat.{key}": value for key, value in annotations.items()}
    return endpoint_slice(f"mesh-{node.name}", pod(node.name, host), ports=[("peat", int(port))], annotations=named)


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as server:
        server.tokens = {TOKEN}
        yield server


@pytest.fixture
def alice(formation: Formation, server: FakeApiServer) -> Node:
    arguments = ("--namespace", "peat", "--discovery", "kubernetes", *POLL)
    return formation.node("alice", *arguments, KUBECONFIG=kubeconfig(formation.directory, server))


def others(formation: Formation, *names: str) -> list[Node]:
    nodes = [formation.node(name, "--discovery", "none").start() for name in names]
    for node in nodes:
        node.wait_ready()
    return nodes


def discovery_check(node: Node) -> tuple[int, bool, str]:
    reply = node.ask("GET", "ready")
    (check,) = (check for check in reply.json["checks"] if check["name"] == "discovery")
    return reply.status, check["ready"], check["message"] or ""


def test_peers_appear_change_and_go(formation: Formation, server: FakeApiServer, alice: Node) -> None:
    bob, carol = others(formation, "bob", "carol")
    server.put(slice_of(bob, zone="here"))
    alice.start().wait_ready()
    until(lambda: alice.linked() == {"bob"}, "bob is linked")
    found = alice.peers()["bob"]
    assert (found["source"], found["metadata"], found["addresses"]) == ("kubernetes", {"zone": "here"}, [bob.mesh])

    server.put(slice_of(carol))
    until(lambda: alice.linked() == {"bob", "carol"}, "carol is linked")
    server.put(slice_of(bob, zone="there"))
    until(lambda: alice.peers()["bob"]["metadata"] == {"zone": "there"}, "bob's slice has changed")
    alice.write("PUT", "kubernetes/a", {"n": 1}, "?ack=replicated:2")
    wait_equal([alice, bob, carol], "kubernetes/a")

    server.delete("mesh-carol")
    until(lambda: alice.peers()["carol"]["source"] == "inbound", "no source knows carol any more")
    assert alice.linked() == {"bob", "carol"}, "a link that is up stays up"
    carol.stop()
    until(lambda: alice.peers()["carol"]["state"] == "lost", "carol is lost")

    moved = free_address()
    server.put(slice_of(bob, address=moved))
    bob.stop()
    bob.arguments = [moved if word == bob.mesh else word for word in bob.arguments]
    bob.start().wait_ready()
    until(lambda: alice.linked() == {"bob"}, "bob is found where he went")
    assert alice.peers()["bob"]["addresses"] == [moved]


def test_what_the_server_goes_through_costs_no_peer(formation: Formation, server: FakeApiServer, alice: Node) -> None:
    bob, carol = others(formation, "bob", "carol")
    server.put(slice_of(bob))
    alice.start().wait_ready()
    until(lambda: alice.linked() == {"bob"}, "bob is linked")

    server.stop("rst")
    until(lambda: discovery_check(alice)[2] != "", "the check says that it is stale")
    status, ready, message = discovery_check(alice)
    assert (status, ready) == (200, True)
    assert "since" in message
    assert set(alice.peers()) == {"bob"}
    server.start()
    server.put(slice_of(carol))
    until(lambda: alice.linked() == {"bob", "carol"}, "after the restart, carol is found")
    until(lambda: discovery_check(alice)[2] == "", "nothing is stale")

    with server.paused():  # 410: what it would go on from is gone
        server.cut_watches("fin")
        server.compact()
    server.delete("mesh-carol")
    until(lambda: alice.peers()["carol"]["source"] == "inbound", "what changed meanwhile is seen")

    server.verbs = set()
    server.cut_watches("fin")
    until(lambda: "endpointslices" in discovery_check(alice)[2], "it names what the role lacks")
    status, ready, message = discovery_check(alice)
    assert (status, ready) == (200, True)
    assert "list" in message or "watch" in message
    assert alice.peers()["bob"]["source"] == "kubernetes"
    assert alice.linked() == {"bob", "carol"}
    server.verbs = {"list", "watch"}
    until(lambda: discovery_check(alice)[2] == "", "the role is back")
    assert not alice.has_logged("peer unlinked")


@pytest.mark.parametrize("fault", [None, Refuse(500), Refuse(401)], ids=["403", "500", "401"])
def test_it_is_not_ready_before_its_first_list_and_says_why(
    server: FakeApiServer, alice: Node, fault: Refuse | None
) -> None:
    if fault is None:
        server.verbs = set()
    server.always("list", fault)
    alice.start()
    until(lambda: alice.stated().get("pid") == alice.pid, "it is up")
    until(lambda: discovery_check(alice)[2] != "not started", "it has tried")

    def why() -> str:
        status, ready, message = discovery_check(alice)
        assert (status, ready) == (503, False)
        return message

    if fault is None:
        until(lambda: "list" in why() and "endpointslices" in why(), "it names the verb and the resource")
    else:
        until(lambda: str(fault.code) in why(), "it names the answer")
    assert alice.ask("GET", "health").status == 200
    server.verbs = {"list", "watch"}
    server.always("list", None)
    alice.wait_ready()


@pytest.fixture
def service_account(tmp_path: Path) -> Iterator[tuple[FakeApiServer, dict[str, str]]]:
    """A server in TLS, and the environment of its pods."""
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    authority = Authority(directory)
    with FakeApiServer(authority.server_context()) as server:
        server.tokens = {TOKEN}
        (directory / "token").write_text(TOKEN)
        (directory / "namespace").write_text("peat")
        environ: dict[str, Any] = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "PEAT_SERVICE_ACCOUNT_DIR": str(directory),
        }
        yield server, environ


def test_pods_find_each_other_with_their_service_account(
    formation: Formation, service_account: tuple[FakeApiServer, dict[str, str]]
) -> None:
    server, environ = service_account
    nodes = [formation.node(f"peat-mesh-{n}", *POLL, **environ) for n in range(3)]
    for node in nodes:
        node.start()
    nodes[0].wait_ready()  # the first pod is ready although there is no other
    for node in nodes:
        server.put(slice_of(node))
    for node in nodes:
        node.wait_ready()
        names = {other.name for other in nodes} - {node.name}
        until(lambda node=node, names=names: node.linked() == names, "all are linked")  # type: ignore[misc]
        assert set(node.peers()) == names, "its own pod is no peer of it"
    nodes[1].write("PUT", "kubernetes/a", {"n": 1}, "?ack=replicated:2")
    wait_equal(nodes, "kubernetes/a")
    assert {request.query["namespace"] for request in server.requests} == {"peat"}
    assert {request.authorization for request in server.requests} == {f"Bearer {TOKEN}"}
