"""Nodes that no one source of peers knows all of: two clusters and an edge node, one formation."""

from collections.abc import Iterator

import pytest
from e2e.clusters import TOKEN, Cluster
from e2e.nodes import Formation, Node, until, wait_equal, wait_linked
from fakes.apiserver import FakeApiServer


@pytest.fixture
def clusters(formation: Formation) -> Iterator[list[Cluster]]:
    with FakeApiServer() as east, FakeApiServer() as west:
        for server in (east, west):
            server.tokens = {TOKEN}
        yield [Cluster("east", formation, east), Cluster("west", formation, west)]


def lists(node: Node, *peers: str) -> None:
    """Static peers, as `--peer` has them."""
    node.arguments = [*node.arguments, *(word for peer in peers for word in ("--peer", peer))]


def sources_of(node: Node) -> dict[str, str]:
    return {name: peer["source"] for name, peer in node.peers().items()}


def test_two_clusters_and_an_edge_node_are_one_mesh(formation: Formation, clusters: list[Cluster]) -> None:
    east, west = clusters
    east_0, east_1 = east.pods(2)
    west_0, west_1 = west.pods(2)
    lists(east_0, west_0.mesh)
    lists(west_0, f"{east_0.name}@{east_0.mesh}")
    edge = formation.node("edge", peers=[east_0.mesh])
    everyone = [east_0, east_1, west_0, west_1, edge]
    for node in everyone:
        node.start()
    for node in everyone:
        node.wait_ready()

    wait_linked(east_0, east_1)
    wait_linked(west_0, west_1)
    wait_linked(east_0, west_0)
    wait_linked(east_0, edge)
    for node in everyone:
        node.write("PUT", f"federation/{node.name}", {"from": node.name})
    edge.write("PUT", "federation/far", {"n": 1}, "?ack=replicated:1")
    wait_equal(everyone, "federation/far", *(f"federation/{node.name}" for node in everyone))

    # Neither its own pod nor an address is among the peers, and each peer is there once.
    sources = {"east-peat-mesh-1": "kubernetes", "west-peat-mesh-0": "static", "edge": "inbound"}
    until(lambda: sources_of(east_0) == sources, "east 0 has found out whom its sources speak of")
    until(lambda: set(east_1.peers()) == {"east-peat-mesh-0"}, "and so has east 1")
    until(lambda: set(edge.peers()) == {"east-peat-mesh-0"}, "and the edge")

    # One cluster loses its API server, and the edge its link, while the others write.
    east.server.stop("rst")
    edge.stop()
    west_1.write("PATCH", "federation/far", {"n": 2})
    east_1.write("DELETE", "federation/edge")
    edge.start().wait_ready()
    wait_equal(everyone, "federation/far", "federation/edge")
    assert edge.document("federation/far") == {"n": 2}


@pytest.mark.parametrize("named", ["by-pod", "by-node-id", "unnamed"])
def test_a_peer_that_both_sources_know_is_one(clusters: list[Cluster], named: str) -> None:
    here, there = clusters[0].pods(2)
    name = {"by-pod": "peat-mesh-1@", "by-node-id": f"{there.name}@", "unnamed": ""}[named]
    lists(here, f"{name}{there.mesh}")
    for node in (here, there):
        node.start()
    for node in (here, there):
        node.wait_ready()
    wait_linked(here, there)

    def found() -> list[tuple[str, set[str], list[str]]]:
        return [(p["id"], set(p["source"].split(",")), p["addresses"]) for p in here.peers().values()]

    until(lambda: found() == [(there.name, {"kubernetes", "static"}, [there.mesh])], f"they are one: {found()}")


def test_pods_of_one_name_in_two_clusters_are_told_apart_or_told_so(clusters: list[Cluster]) -> None:
    """Without a node id of its own a node goes by its pod's name, and its key follows from that."""
    east, west = (cluster.pods(1)[0] for cluster in clusters)
    for node in (east, west):
        node.arguments = ["peat-mesh-0" if word == node.name else word for word in node.arguments]
    lists(east, west.mesh)
    for node in (east, west):
        node.start()
    for node in (east, west):
        node.wait_ready()
    until(lambda: east.has_logged("two nodes with one node id"), "it is said")
    (said, *_) = (event for event in east.events() if event["event"] == "two nodes with one node id")
    assert "--node-id" in said["hint"]
