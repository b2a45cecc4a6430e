"""Networks that lose, delay and repeat: each node in a network namespace of its own, joined by a pair of interfaces.

Loss, one-way cuts and repeated packets are iptables', a narrow line and the wait before it tc's token bucket. netem
would do all of it, but not all kernels have it.
"""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator

from e2e.namespaces import add, delete, made, run, within
from e2e.nodes import Formation, Node, peatd

_NUMBERS = itertools.count(os.getpid() % 200 * 100)


class Network:
    """Two hosts, `a` and `b`, on one line."""

    def __init__(self, number: int) -> None:
        self.hosts = [f"peat{number}a", f"peat{number}b"]
        subnet = f"10.{200 + number // 256 % 50}.{number % 256}"
        self.addresses = [f"{subnet}.1", f"{subnet}.2"]
        self._interfaces = [f"pt{number}a", f"pt{number}b"]

    def up(self) -> None:
        for host in self.hosts:
            add(host)
        a, b = self._interfaces
        run("ip", "link", "add", a, "netns", self.hosts[0], "type", "veth", "peer", b, "netns", self.hosts[1])
        for host, interface, address in zip(self.hosts, self._interfaces, self.addresses, strict=True):
            run("ip", "-n", host, "address", "add", f"{address}/24", "dev", interface)
            run("ip", "-n", host, "link", "set", interface, "up")

    def down(self) -> None:
        delete(*self.hosts)

    def node(self, formation: Formation, name: str, side: int, *arguments: str) -> Node:
        """A node on one of the hosts, not started yet; it listens on that host's address."""
        node = formation.node(name, *arguments)
        port = node.mesh.rpartition(":")[2]
        address = f"{self.addresses[side]}:{port}"
        options = [address if word == node.mesh else word for word in node.arguments]
        node.program, *inside = within(self.hosts[side])
        node.mesh = address
        node.arguments = [*inside, peatd(), *options]
        return node

    def counted(self, side: int, name: str) -> int:
        """What the kernel of a host has counted: a name of its TCP's statistics, as `RetransSegs`."""
        command = [*within(self.hosts[side]), "cat", "/proc/net/netstat", "/proc/net/snmp"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        for names, values in itertools.pairwise(lines):
            if name in names.split():
                return int(values.split()[names.split().index(name)])
        raise KeyError(name)

    @contextlib.contextmanager
    def ruled(self, side: int, chain: str, *rule: str, table: str = "filter") -> Iterator[None]:
        """While it lasts, a rule of iptables on one host."""
        command = [*within(self.hosts[side]), "iptables", "-w", "-t", table]
        run(*command, "-A", chain, *rule)
        try:
            yield
        finally:
            run(*command, "-D", chain, *rule)

    @contextlib.contextmanager
    def losing(self, every: int) -> Iterator[None]:
        """Both ways, one packet in so many."""
        rule = ("-m", "statistic", "--mode", "nth", "--every", str(every), "--packet", "0", "-j", "DROP")
        with self.ruled(0, "INPUT", *rule), self.ruled(1, "INPUT", *rule):
            yield

    @contextlib.contextmanager
    def repeating(self) -> Iterator[None]:
        """Each packet is sent twice, both ways."""
        with contextlib.ExitStack() as rules:
            for side in (0, 1):
                tee = ("-o", self._interfaces[side], "-j", "TEE", "--gateway", self.addresses[1 - side])
                rules.enter_context(self.ruled(side, "POSTROUTING", *tee, table="mangle"))
            yield

    @contextlib.contextmanager
    def cut(self, *sides: int) -> Iterator[None]:
        """What these hosts are sent does not arrive."""
        with contextlib.ExitStack() as rules:
            for side in sides:
                rules.enter_context(self.ruled(side, "INPUT", "-i", self._interfaces[side], "-j", "DROP"))
            yield

    @contextlib.contextmanager
    def narrow(self, rate: str) -> Iterator[None]:
        """Each way no more than this: `256kbit`."""
        shape = ("root", "tbf", "rate", rate, "burst", "4kb", "latency", "400ms")
        for host, interface in zip(self.hosts, self._interfaces, strict=True):
            run("tc", "-n", host, "qdisc", "add", "dev", interface, *shape)
        try:
            yield
        finally:
            for host, interface in zip(self.hosts, self._interfaces, strict=True):
                run("tc", "-n", host, "qdisc", "del", "dev", interface, "root")


def network() -> contextlib.AbstractContextManager[Network]:
    """Skips where none can be made."""
    return made(Network(next(_NUMBERS)), "ip", "tc", "iptables")
