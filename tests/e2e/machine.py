"""What real nodes take of this machine: ports and processes."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

_BLOCK = 50
"""Ports that a process takes at a time: those of a few tests."""


def free_address() -> str:
    """An address that nothing listens on, given once. Not one of those that Linux gives to who asks for any, or to who
    dials: so it stays free while its node is down."""
    for port in _PORTS:
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    pytest.fail("there is no port left")


def _ports() -> Iterator[int]:
    """Ports that no other process of such tests is given, though nobody listens there yet: they are taken in blocks,
    and a block is whose abstract unix socket has its name. Such sockets are seen wherever ports are, and go with us."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    blocks = [range(start, start + _BLOCK) for start in range(12_000, 65_000, _BLOCK)]
    for block in [block for block in blocks if block[-1] < first or last < block[0]] or blocks:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0peatd-tests-{block[0]}")
        except OSError:
            claim.close()
            continue
        claim.detach()  # it stays open for as long as this process runs
        yield from block


_PORTS = _ports()


def command_line(pid: int) -> bytes:
    """Nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_alive(pid: int) -> bool:
    """Zombies are not: whoever kills us leaves them to the machine's first process, which may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
