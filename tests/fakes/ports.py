"""Ports of this machine for the tests."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

_BLOCK = 50
"""Ports that a process takes at a time: those of a few tests."""


def free_port() -> int:
    """One that nothing listens on at 127.0.0.1, given once. Not one of those that Linux gives to who asks for any, or
    to who dials: so it stays free while whoever is to listen there is down."""
    for port in _PORTS:
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    pytest.fail("there is no port left")


def free_address() -> str:
    return f"127.0.0.1:{free_port()}"


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
