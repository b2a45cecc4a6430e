"""deploy/compose.yaml: what its services would be started with starts real nodes, on this machine's loopback."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.nodes import Formation, Node, wait_linked
from fakes.ports import free_address

ROOT = Path(__file__).parents[2]
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: Mapping[str, Any] = COMPOSE["services"]

MESH, API = "11204", "8081"
IN_THE_IMAGE = {"PEAT_DATA_DIR": "/data"}
"""Of the Dockerfile's ENV, what is a setting."""


class Machine:
    """Where the services run without containers: each has another address, data directory and no secret mount."""

    def __init__(self, formation: Formation) -> None:
        self._formation = formation
        self._addresses = {name: free_address() for name in SERVICES}

    def node(self, name: str) -> Node:
        service = SERVICES[name]
        directory = self._formation.directory / name
        environ = {
            key: self._here(value, directory) for key, value in (IN_THE_IMAGE | service["environment"]).items()
        } | {"PEAT_BIND": self._addresses[name], "PEAT_LOG_FORMAT": "json"}
        arguments = [self._here(word, directory) for word in service["command"]]
        environ |= {"PATH": os.environ["PATH"], "HOME": str(self._formation.directory)}
        node = Node(name, directory, arguments, environ, self._addresses[name])
        self._formation.nodes.append(node)
        return node

    def _here(self, text: str, directory: Path) -> str:
        if text == "/data":
            return str(directory)
        if text == "/run/secrets/formation-secret":
            return str(self._formation.secret_file)
        text = re.sub(rf"^0\.0\.0\.0:{API}$", "127.0.0.1:0", text)
        return re.sub(rf"\b([a-z0-9-]+):{MESH}$", lambda found: self._addresses[found[1]], text)


def test_its_services_become_one_mesh(formation: Formation) -> None:
    machine = Machine(formation)
    nodes = [machine.node(name) for name in SERVICES]
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready()
    wait_linked(*nodes)
    assert [set(node.peers()) for node in nodes] == [SERVICES.keys() - {node.name} for node in nodes]
    nodes[0].write("PUT", "notes/today", {"title": "Groceries"}, "?ack=replicated:2")
    assert nodes[2].document("notes/today") == {"title": "Groceries"}
    for node in nodes:
        kind, *check = SERVICES[node.name]["healthcheck"]["test"]
        assert kind == "CMD"
        assert subprocess.run(check, env=dict(node.environ), check=False, capture_output=True).returncode == 0
    nodes[0].stop()
    kind, *check = SERVICES[nodes[0].name]["healthcheck"]["test"]
    assert subprocess.run(check, env=dict(nodes[0].environ), check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_whole(name: str) -> None:
    service = SERVICES[name]
    assert service["volumes"] == [f"{name}:/data"]
    assert name in COMPOSE["volumes"]
    assert service["secrets"] == list(COMPOSE["secrets"])
    (port,) = service["ports"]
    host, outside, inside = port.split(":")
    assert (host, inside) == ("127.0.0.1", API), "the API is for this machine"
    assert outside not in [one["ports"][0].split(":")[1] for other, one in SERVICES.items() if other != name]
    assert service["read_only"] is True
