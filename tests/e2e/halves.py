"""A network of two halves: a switch for each, one cable between them, and hosts that are network namespaces."""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator

from e2e.namespaces import add, delete, made, run, within
from e2e.nodes import Formation, Node, peatd

_NUMBERS = itertools.count(os.getpid() % 200 * 100)


class Halves:
    """Hosts come up as they are asked for."""

    def __init__(self, number: int) -> None:
        self._name = f"peath{number}"
        self._switches = [f"{self._name}a", f"{self._name}b"]
        self._cable = [f"{self._name}c", f"{self._name}d"]
        self._hosts: list[str] = []

    def up(self) -> None:
        run("ip", "link", "add", self._cable[0], "type", "veth", "peer", "name", self._cable[1])
        for switch, end in zip(self._switches, self._cable, strict=True):
            run("ip", "link", "add", switch, "type", "bridge", "mcast_snooping", "0")
            run("ip", "link", "set", switch, "up")
            run("ip", "link", "set", end, "master", switch, "up")

    def down(self) -> None:
        delete(*self._hosts)
        for interface in (self._cable[0], *self._switches):
            subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)

    def mesh(self, formation: Formation, size: int, *arguments: str) -> list[Node]:
        """Nodes that are not started yet, each of which knows all others: every second one in the same half."""
        nodes = [self._node(formation, f"n{number:02}", number % 2, *arguments) for number in range(size)]
        for node in nodes:
            others = [f"{other.name}@{other.mesh}" for other in nodes if other is not node]
            node.arguments = [*node.arguments, *(word for peer in others for word in ("--peer", peer))]
        return nodes

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """While it lasts, nothing gets from one half to the other, and nobody is told."""
        run("ip", "link", "set", self._cable[0], "down")
        try:
            yield
        finally:
            run("ip", "link", "set", self._cable[0], "up")

    def _node(self, formation: Formation, name: str, half: int, *arguments: str) -> Node:
        node = formation.node(name, "--discovery", "static", *arguments)
        host, address = self._host(half)
        port = node.mesh.rpartition(":")[2]
        options = [f"{address}:{port}" if word == node.mesh else word for word in node.arguments]
        node.program, *inside = within(host)
        node.mesh = f"{address}:{port}"
        node.arguments = [*inside, peatd(), *options]
        return node

    def _host(self, half: int) -> tuple[str, str]:
        number = len(self._hosts) + 1
        host, outside = f"{self._name}h{number}", f"{self._name[4:]}h{number}"
        self._hosts.append(host)
        add(host)
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", host)
        run("ip", "link", "set", outside, "master", self._switches[half], "up")
        run("ip", "-n", host, "address", "add", f"10.79.0.{number}/24", "dev", "eth0")
        run("ip", "-n", host, "link", "set", "eth0", "up")
        return host, f"10.79.0.{number}"


def halves() -> contextlib.AbstractContextManager[Halves]:
    """Skips where none can be made."""
    return made(Halves(next(_NUMBERS)), "ip")
