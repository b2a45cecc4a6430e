"""Kubernetes clusters for nodes to be in: a fake API server each, with a namespace and pods."""

import json
from pathlib import Path

from e2e.nodes import Formation, Node
from fakes.apiserver import FakeApiServer
from fakes.endpointslices import endpoint_slice, pod

TOKEN = "the-token"
POLL = ("--poll-interval", "2")


def kubeconfig(directory: Path, server: FakeApiServer, name: str = "kubeconfig") -> str:
    path = directory / name
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "fake", "user": "me", "namespace": "elsewhere"}}],
        "clusters": [{"name": "fake", "cluster": {"server": server.url}}],
        "users": [{"name": "me", "user": {"token": TOKEN}}],
    }
    path.write_text(json.dumps(configuration))  # JSON is YAML, too
    return str(path)


class Cluster:
    """A cluster of which the namespace has the cluster's name, and in it a StatefulSet called peat-mesh.

    The pods of every cluster have the same names. So that nodes have not, each is told one of its own.
    """

    def __init__(self, name: str, formation: Formation, server: FakeApiServer) -> None:
        self.name = name
        self.server = server
        self._formation = formation
        self._kubeconfig = kubeconfig(formation.directory, server, f"kubeconfig-{name}")
        self.nodes: list[Node] = []

    def pods(self, count: int) -> list[Node]:
        """Nodes that are not started yet, as the cluster's EndpointSlice lists them."""
        for n in range(count):
            arguments = ("--namespace", self.name, "--discovery", "kubernetes,static", *POLL)
            node_id = f"{self.name}-peat-mesh-{n}"
            self.nodes.append(self._formation.node(node_id, *arguments, KUBECONFIG=self._kubeconfig))
        for n, node in enumerate(self.nodes):
            # One port is of a slice, not of a pod: each pod, which here has a port of its own, has a slice of its own.
            host, _, port = node.mesh.rpartition(":")
            endpoint = pod(f"peat-mesh-{n}", host)
            name = f"peat-mesh-{n}"
            self.server.put(endpoint_slice(name, endpoint, ports=[("peat", int(port))], namespace=self.name))
        return self.nodes
