"""Relays as processes, and hosts that reach each other only by one: network namespaces, made and removed by a test."""

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from e2e.namespaces import add, delete, made, run, within
from e2e.nodes import Formation, Node, bare_environ, peatd, until

_NUMBERS = itertools.count(os.getpid() % 200 * 100)

_CAPTURE = """
import socket, sys
seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
seen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
print("on", flush=True)
with open(sys.argv[1], "wb", buffering=0) as file:
    while True:
        file.write(seen.recv(1 << 16))
"""


class Relay:
    """One `peat-relay`."""

    def __init__(self, formation: Formation, at: str, *arguments: str, within: Sequence[str] = ()) -> None:
        program = shutil.which("peat-relay")
        assert program is not None
        self.at = at
        self.log_file = formation.directory / f"relay-{at.rpartition(':')[2]}.log"
        command = [*within, program, "--relay-listen", at, "--relay-allow", relay_key(formation), *arguments]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--log-format", "json"],
                env=bare_environ(formation.directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: '"relay up"' in self.log(), f"the relay at {at} is up: {self.log()}")

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def relay_key(formation: Formation) -> str:
    """What `peat secret relay-key` prints."""
    command = ["peat", "secret", "relay-key", "--seed-file", str(formation.secret_file)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Hosts:
    """`alice`, `bob`, and between them `relay`, which forwards nothing until `open_a_route`."""

    NAMES = ("alice", "bob")

    def __init__(self, number: int) -> None:
        self._names = {name: f"peat{number}{name[0]}" for name in (*self.NAMES, "relay")}
        self._number = number
        subnets = [f"10.{150 + number // 128 % 50}.{number * 2 % 256 + side}" for side in (0, 1)]
        self.addresses = dict(zip(self.NAMES, (f"{subnet}.1" for subnet in subnets), strict=True))
        self.relay_addresses = dict(zip(self.NAMES, (f"{subnet}.2" for subnet in subnets), strict=True))

    def up(self) -> None:
        for host in self._names.values():
            add(host)
        self.at("relay", "sysctl", "-qw", "net.ipv4.ip_forward=0")
        for name in self.NAMES:
            host, relay = self._names[name], self._names["relay"]
            near, far = f"pr{self._number}{name[0]}", f"pr{self._number}{name[0]}r"
            run("ip", "link", "add", near, "netns", host, "type", "veth", "peer", far, "netns", relay)
            run("ip", "-n", host, "address", "add", f"{self.addresses[name]}/24", "dev", near)
            run("ip", "-n", relay, "address", "add", f"{self.relay_addresses[name]}/24", "dev", far)
            run("ip", "-n", host, "link", "set", near, "up")
            run("ip", "-n", relay, "link", "set", far, "up")
            run("ip", "-n", host, "route", "add", "default", "via", self.relay_addresses[name])

    def down(self) -> None:
        delete(*self._names.values())

    def open_a_route(self) -> None:
        self.at("relay", "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def at(self, name: str, *command: str) -> None:
        run(*self.within(name), *command)

    def within(self, name: str) -> Sequence[str]:
        return within(self._names[name])

    def place(self, node: Node, name: str) -> Node:
        """The node, on that host and listening on its address."""
        address = f"{self.addresses[name]}:{node.mesh.rpartition(':')[2]}"
        options = [address if word == node.mesh else word for word in node.arguments]
        node.program, *inside = self.within(name)
        node.mesh = address
        node.arguments = [*inside, peatd(), *options]
        return node

    @contextlib.contextmanager
    def captured(self, file: Path) -> Iterator[None]:
        """While it lasts, all that passes the relay's host is written there."""
        command = [*self.within("relay"), sys.executable, "-c", _CAPTURE, str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"on\n"
            try:
                yield
            finally:
                process.kill()


def hosts() -> contextlib.AbstractContextManager[Hosts]:
    """Skips where none can be made."""
    return made(Hosts(next(_NUMBERS)), "ip", "sysctl")
