"""A switch to which machines are plugged: what one sends to the group comes to all, itself included."""

import errno
import ipaddress
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio

from peatd.discovery.interfaces import Interface
from peatd.discovery.multicast import Seat
from peatd.discovery.ourselves import Ourselves
from peatd.formation import Formation
from peatd.identity import Keypair
from peatd.names import Address, NodeId

SECRET, OTHER_SECRET = b"\x2a" * 32, b"\x2b" * 32


def interface(*hosts: str, name: str = "eth0", index: int = 2) -> Interface:
    return Interface(name, index, tuple(map(ipaddress.ip_interface, hosts)))


def ourselves(node_id: str, *secrets: bytes, bound: str = "0.0.0.0") -> Ourselves:
    formation = Formation("peat", secrets or (SECRET,))
    keypair = Keypair.from_seed(formation.secrets[0], node_id)
    hashes, keys = formation.discovery_hashes, formation.notice_keys
    return Ourselves(NodeId(node_id), keypair.device_id, Address(bound, 11204), hashes, keys)


class Switch:
    """Attributes: packets, all that were sent."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self._seats: list[tuple[int, trio.MemorySendChannel[bytes]]] = []

    def machine(self, *hosts: str) -> "FakeLan":
        """With one interface, that has these addresses."""
        return FakeLan(self, [interface(*hosts)])

    def carry(self, packet: bytes, version: int = 4) -> None:
        self.packets.append(packet)
        for seated_version, seat in self._seats:
            if seated_version == version:
                seat.send_nowait(packet)

    @contextmanager
    def seated(self, version: int) -> Iterator[trio.MemoryReceiveChannel[bytes]]:
        send, receive = trio.open_memory_channel[bytes](math.inf)
        self._seats.append((version, send))
        try:
            yield receive
        finally:
            self._seats.remove((version, send))


class FakeLan:
    """A machine's networks: a `Lan`. `fault` is what its system says to joins and sends."""

    def __init__(self, switch: Switch, present: Sequence[Interface]) -> None:
        self.present = list(present)
        self.fault: OSError | None = None
        self.joined: list[tuple[str, int]] = []
        self._switch = switch

    def interfaces(self) -> Sequence[Interface]:
        return list(self.present)

    @contextmanager
    def join(self, interface: Interface, version: int) -> Iterator[Seat]:
        if self.fault is not None:
            raise self.fault
        with self._switch.seated(version) as incoming:
            self.joined.append((interface.name, version))
            try:
                yield _Seat(self, self._switch, interface, version, incoming)
            finally:
                self.joined.remove((interface.name, version))

    def has(self, interface: Interface) -> bool:
        return any(one.index == interface.index for one in self.present)


class _Seat:
    def __init__(
        self,
        lan: FakeLan,
        switch: Switch,
        interface: Interface,
        version: int,
        incoming: trio.MemoryReceiveChannel[bytes],
    ) -> None:
        self._lan, self._switch, self._interface = lan, switch, interface
        self._version, self._incoming = version, incoming

    async def send(self, packet: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self._lan.fault is not None:
            raise self._lan.fault
        if not self._lan.has(self._interface):
            raise OSError(errno.ENODEV, "no such device")
        self._switch.carry(packet, self._version)

    async def receive(self) -> bytes:
        while True:
            packet = await self._incoming.receive()
            if self._lan.has(self._interface):
                return packet
