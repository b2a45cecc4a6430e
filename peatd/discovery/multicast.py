"""Sockets in the groups of multicast DNS (RFC 6762, 3): one for each interface and IP version.

Each is bound to the group's address: what was sent to this machine alone, from wherever, does not come in. The port is
shared with all other programs that speak multicast DNS here.
"""

import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Protocol

import trio

from peatd.discovery.dnssd import MAX_PACKET_BYTES
from peatd.discovery.interfaces import Interface, read_interfaces

MDNS_PORT = 5353
_GROUP_4, _GROUP_6 = "224.0.0.251", "ff02::fb"
_HOPS = 255
"""RFC 6762, 11."""
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
"""Of Linux (ip(7), ipv6(7)), and without a name in Python: off, a socket hears only what comes to the interface on
which it has joined, not where any other program has."""


class Seat(Protocol):
    """Our place in a group, on one interface."""

    async def send(self, packet: bytes) -> None:
        """
        Raises:
            OSError: if it cannot be sent now.
        """

    async def receive(self) -> bytes:
        """The next packet; our own come back too.

        Raises:
            OSError: if none will come any more.
        """


class Lan(Protocol):
    """The networks of this machine."""

    def interfaces(self) -> Sequence[Interface]:
        """All there are now.

        Raises:
            OSError: if the system does not tell.
        """

    def join(self, interface: Interface, version: int) -> contextlib.AbstractContextManager[Seat]:
        """For a block, a seat.

        Args:
            version: of IP, 4 or 6.

        Raises:
            OSError: if there is none to be had.
        """


class Multicast:
    """The `Lan` of the system."""

    def __init__(self, port: int = MDNS_PORT) -> None:
        self._port = port

    def interfaces(self) -> Sequence[Interface]:
        return read_interfaces()

    @contextlib.contextmanager
    def join(self, interface: Interface, version: int) -> Iterator[Seat]:
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            group = _join_4(raw, interface, self._port) if version == 4 else _join_6(raw, interface, self._port)
            yield _Seat(trio.socket.from_stdlib_socket(raw), group)


class _Seat:
    def __init__(self, joined: trio.socket.SocketType, group: tuple[object, ...]) -> None:
        self._socket = joined
        self._group = group

    async def send(self, packet: bytes) -> None:
        await self._socket.sendto(packet, self._group)

    async def receive(self) -> bytes:
        return await self._socket.recv(MAX_PACKET_BYTES + 1)


def _join_4(raw: socket.socket, interface: Interface, port: int) -> tuple[object, ...]:
    # struct ip_mreqn: the group, an address of ours, an interface.
    here = struct.pack("4s4si", socket.inet_aton(_GROUP_4), bytes(4), interface.index)
    raw.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
    raw.bind((_GROUP_4, port))
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, here)
    return _GROUP_4, port


def _join_6(raw: socket.socket, interface: Interface, port: int) -> tuple[object, ...]:
    group = (_GROUP_6, port, 0, interface.index)
    raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
    raw.bind(group)
    here = socket.inet_pton(socket.AF_INET6, _GROUP_6) + struct.pack("@I", interface.index)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, here)
    return group
