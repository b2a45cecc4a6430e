"""Network namespaces of this machine's own, made and removed by a test."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import pytest


class Net(Protocol):
    """Hosts that are namespaces, and what joins them."""

    def up(self) -> None: ...

    def down(self) -> None:
        """Removes what there is, be it only half up."""


N = TypeVar("N", bound=Net)


@contextlib.contextmanager
def made(net: N, *tools: str) -> Iterator[N]:
    """The net, up. Skips where none can be made: it takes these programs and root."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if lacking or os.geteuid() != 0:
        pytest.skip(f"network namespaces take root and {', '.join(tools)} ({', '.join(lacking) or 'not root'})")
    try:
        net.up()
    except subprocess.CalledProcessError as error:
        net.down()
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        yield net
    finally:
        net.down()


def add(host: str) -> None:
    """A host with nothing but its loopback interface."""
    run("ip", "netns", "add", host)
    run("ip", "-n", host, "link", "set", "lo", "up")


def delete(*hosts: str) -> None:
    for host in hosts:
        subprocess.run(["ip", "netns", "delete", host], capture_output=True, check=False)


def within(host: str) -> Sequence[str]:
    """What a command begins with so that it runs on that host."""
    program = shutil.which("ip")
    assert program is not None
    return [program, "netns", "exec", host]


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
