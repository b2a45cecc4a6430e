"""A LAN of this machine's own: a bridge, and hosts that are network namespaces, each plugged in by a cable.

Multicast goes through it as through any switch, and nowhere else.
"""

import itertools
import os
import subprocess
import sys
from contextlib import AbstractContextManager

from e2e.namespaces import add, delete, made, run, within
from e2e.nodes import Formation, Node, peatd

_NUMBERS = itertools.count(os.getpid() % 200 * 100)


class Lan:
    """Hosts come up as they are asked for."""

    def __init__(self, number: int) -> None:
        self._name = f"peatlan{number}"
        self._hosts: list[str] = []

    def up(self) -> None:
        run("ip", "link", "add", self._name, "type", "bridge", "mcast_snooping", "0")
        run("ip", "link", "set", self._name, "up")
        self.host()

    def down(self) -> None:
        delete(*self._hosts)
        subprocess.run(["ip", "link", "delete", self._name], capture_output=True, check=False)

    def host(self) -> int:
        """A new one, by its number; its interface is `eth0`, with an IPv4 and an IPv6 address."""
        number = len(self._hosts) + 1
        host = f"{self._name}h{number}"
        self._hosts.append(host)
        add(host)
        self.plug(number)
        return number

    def address(self, host: int) -> str:
        return f"10.77.0.{host}"

    def plug(self, host: int) -> None:
        namespace, outside = self._hosts[host - 1], f"{self._name[4:]}h{host}"
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "link", "set", outside, "master", self._name, "up")
        run("ip", "-n", namespace, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        run("ip", "-n", namespace, "address", "add", f"fd77::{host}/64", "dev", "eth0", "nodad")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")

    def unplug(self, host: int) -> None:
        """Takes its interface away, for good."""
        run("ip", "-n", self._hosts[host - 1], "link", "delete", "eth0")

    def node(self, formation: Formation, name: str, *arguments: str, host: int | None = None) -> Node:
        """A node on a host of its own, not started yet: with its secret and its name, and all else by default."""
        node = formation.node(name, *arguments)
        where = host or self.host()
        place = list(node.arguments).index("--bind")
        options = [*node.arguments[:place], *node.arguments[place + 2 :]]
        node.program, *inside = within(self._hosts[where - 1])
        node.mesh = f"{self.address(where)}:11204"
        node.arguments = [*inside, peatd(), *options]
        return node

    def say(self, host: int, *packets: bytes) -> None:
        """Multicasts these from a host."""
        program = (
            "import socket, sys\n"
            "sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('{self.address(host)}'))\n"
            "for line in sys.stdin: sender.sendto(bytes.fromhex(line), ('224.0.0.251', 5353))\n"
        )
        command = [*within(self._hosts[host - 1]), sys.executable, "-c", program]
        text = "\n".join(packet.hex() for packet in packets)
        subprocess.run(command, input=text, text=True, check=True, capture_output=True)


def lan() -> AbstractContextManager[Lan]:
    """Skips where none can be made."""
    return made(Lan(next(_NUMBERS)), "ip")
