"""Peers on the same LAN, by multicast DNS (RFC 6762, RFC 6763): nobody has to list anybody.

MdnsDiscovery.start
├─ Roster.announce
├─ _publish_for_ever
└─ _attend, per segment      joins the group, says what we are, hears who else is there
   └─ _hear                  packets in; `_attend` itself sends

What nodes say there is in `dnssd.py`, when in `announcer.py` and `neighbours.py`. All of it is hearsay: who answers at
an address has to prove itself as any other peer. The interfaces are looked at every other second, since they come and
go; so is what we say of ourselves, which a rotation changes.
"""

import random
import secrets
from collections.abc import Callable, Iterator, Sequence

import structlog
import trio

from peatd.discovery.dnssd import MAX_NODE_ID_BYTES, Notice
from peatd.discovery.events import DiscoveryStatus, PeerInfo
from peatd.discovery.interfaces import Interface, hosts_to_announce, lans, nearby
from peatd.discovery.multicast import Lan, Multicast, Seat
from peatd.discovery.notice_proof import is_proven, prove
from peatd.discovery.ourselves import Ourselves
from peatd.discovery.roster import Roster, Rostered
from peatd.discovery.segment import Segment
from peatd.discovery.slices import merge_peers
from peatd.errors import DiscoveryError
from peatd.names import Address, NodeId

_LOOK_INTERVAL = 2.0
"""Seconds between two looks at the interfaces, half a millisecond each: who plugs in a cable waits no longer."""
_PUBLISH_INTERVAL = 0.1
"""Seconds between two accounts of who is there, each of which looks at all that is known."""
_PACKET_INTERVAL = 0.001
"""Seconds between two packets that are read: of a flood most is lost in the system's buffer, and the node goes on."""
_SPEECH_INTERVAL = 0.02
"""Seconds between two looks at what is to be said; an answer waits for longer (announcer.py). When many nodes start,
packets come by the hundred."""
_REFUSED_LATELY = 60.0
"""Seconds that it is told that there was no room for somebody: all who are there are asked for sooner."""
_FAREWELL = 0.5
"""Seconds for the last packets; they go into a buffer of the system's, or nowhere."""
_WORD_BYTES = 4
"""Of chance in a notice's label: what tells two processes of one name apart."""

_Key = tuple[str, int, int]
"""Interface's name and index, IP version."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class _Attendance:
    """At one segment."""

    def __init__(self, interface: Interface, version: int, segment: Segment) -> None:
        self.interface = interface
        self.version = version
        self.segment = segment
        self.scope = trio.CancelScope()
        self.wake = trio.Event()


class MdnsDiscovery(Rostered):
    """The `mdns` source of peers. Ready at once: nobody can tell when all have answered."""

    source = "mdns"

    def __init__(self, ourselves: Callable[[], Ourselves], lan: Lan | None = None) -> None:
        """
        Args:
            ourselves: asked again and again, as a rotation changes it.
            lan: the system's networks by default.
        """
        self._ourselves = ourselves
        self._lan = lan or Multicast()
        self._word = secrets.token_hex(_WORD_BYTES)
        super().__init__(Roster(self.source))
        self._attended: dict[_Key, _Attendance] = {}
        self._faults: dict[_Key, str] = {}
        self._started = False
        self._blind: str | None = None
        self._twins: tuple[str, ...] = ()
        self._has_told_of_twins = False
        self._changed = trio.Event()

    def status(self) -> DiscoveryStatus:
        if not self._started:
            return DiscoveryStatus(False, "not started")
        return DiscoveryStatus(True, "; ".join(self._complaints()) or None)

    async def start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until stopped or cancelled, and then takes back what it said.

        Raises:
            DiscoveryError: if it was started before, or the node id is too long for a TXT record.
        """
        node_id = self._ourselves().node_id
        if len(node_id) > MAX_NODE_ID_BYTES:
            raise DiscoveryError(f"the node id has {len(node_id)} characters: {MAX_NODE_ID_BYTES} are the most")
        with self._roster.running():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._roster.announce)
                nursery.start_soon(self._publish_for_ever)
                self._look(nursery)
                self._started = True
                task_status.started()
                while True:
                    await trio.sleep(_LOOK_INTERVAL)
                    self._look(nursery)

    # The interfaces ----------------------------------------------------------------------------------------------

    def _look(self, nursery: trio.Nursery) -> None:
        """Attends at what is there, no more at what is not, and says everywhere what we are now."""
        try:
            found = lans(self._lan.interfaces())
            self._blind = None
        except OSError as exc:
            self._blind = f"the system does not tell its interfaces: {exc.strerror or exc}"
            return
        wanted = {
            (interface.name, interface.index, version): interface
            for interface in found
            for version in (4, 6)
            if interface.speaks(version)
        }
        for key in [key for key in self._attended if key not in wanted]:
            self._attended[key].scope.cancel()
        self._faults = {key: fault for key, fault in self._faults.items() if key in wanted}
        for key, interface in wanted.items():
            if key in self._attended:
                self._attended[key].interface = interface
            else:
                self._begin(key, interface, nursery)
        for attendance in self._attended.values():
            self._announce(attendance)
        self._changed.set()

    def _begin(self, key: _Key, interface: Interface, nursery: trio.Nursery) -> None:
        def concerns_us(notice: Notice) -> bool:
            ours = self._ourselves()
            is_formation = not set(ours.hashes).isdisjoint(notice.formations)
            is_own = notice.label == self._label(ours)
            return is_formation and not is_own and bool(nearby(attendance.interface, notice.hosts))

        segment = Segment(concerns_us, self._is_proven, trio.current_time(), random.random())
        attendance = self._attended[key] = _Attendance(interface, key[2], segment)
        nursery.start_soon(self._attend, key, attendance)

    def _is_proven(self, notice: Notice) -> bool:
        ours = self._ourselves()
        return is_proven(notice, ours.hashes, ours.keys)

    def _announce(self, attendance: _Attendance) -> None:
        ours = self._ourselves()
        hosts = hosts_to_announce(attendance.interface, ours.bound.host)
        notice = None
        if hosts:
            said = Notice(self._label(ours), ours.node_id, ours.device_id, ours.bound.port, ours.hashes, hosts)
            notice = prove(said, ours.keys)
        attendance.segment.announce(notice, trio.current_time(), random.random())
        attendance.wake.set()

    def _label(self, ours: Ourselves) -> str:
        return f"{ours.device_id}-{self._word}"

    # One segment -------------------------------------------------------------------------------------------------

    async def _attend(self, key: _Key, attendance: _Attendance) -> None:
        try:
            with attendance.scope, self._lan.join(attendance.interface, attendance.version) as seat:
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._hear, attendance, seat)
                        await self._speak(key, attendance, seat)
                finally:
                    with trio.move_on_after(_FAREWELL, shield=True):
                        await self._send(key, seat, attendance.segment.farewell())
        except* OSError as group:
            self._faults[key] = _reason(group)  # not there yet, or not any more: the next look tells
        # Not where all of the source ends: it goes on saying what it knew.
        del self._attended[key]
        self._changed.set()

    async def _speak(self, key: _Key, attendance: _Attendance, seat: Seat) -> None:
        segment = attendance.segment
        while True:
            with trio.move_on_at(segment.due):
                await attendance.wake.wait()
            attendance.wake = trio.Event()
            before = segment.neighbours.changes
            packets = segment.take(trio.current_time(), random.random())
            if segment.neighbours.changes != before:
                self._changed.set()
            await self._send(key, seat, packets)
            await trio.sleep(_SPEECH_INTERVAL)

    async def _hear(self, attendance: _Attendance, seat: Seat) -> None:
        segment = attendance.segment
        while True:
            packet = await seat.receive()
            before = segment.neighbours.changes
            segment.heard(packet, trio.current_time(), random.random())
            if segment.neighbours.changes != before:
                self._changed.set()
            attendance.wake.set()
            await trio.sleep(_PACKET_INTERVAL)

    async def _send(self, key: _Key, seat: Seat, packets: Sequence[bytes]) -> None:
        for packet in packets:
            try:
                await seat.send(packet)
                self._faults.pop(key, None)
            except OSError as exc:  # a cable that is out, a firewall: what is missed is asked for again
                self._faults[key] = f"cannot send: {exc.strerror or exc}"

    # What comes of it --------------------------------------------------------------------------------------------

    async def _publish_for_ever(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            self._publish()
            await trio.sleep(_PUBLISH_INTERVAL)

    def _publish(self) -> None:
        own = self._ourselves().node_id
        found: dict[NodeId, list[PeerInfo]] = {}
        twins: dict[str, None] = {}
        for attendance in self._attended.values():
            for notice in attendance.segment.notices():
                hosts = nearby(attendance.interface, notice.hosts)
                addresses = tuple(Address(host, notice.port) for host in hosts)
                if notice.node_id == own:
                    twins |= dict.fromkeys(str(address) for address in addresses)
                elif addresses:
                    found.setdefault(notice.node_id, []).append(PeerInfo(notice.node_id, addresses))
        self._roster.replace({node_id: merge_peers(node_id, infos) for node_id, infos in found.items()})
        self._twins = tuple(twins)
        if twins and not self._has_told_of_twins:
            self._has_told_of_twins = True  # once: anybody can say so, again and again
            hint = "give each node its own --node-id"
            log.error("two nodes with one node id", node_id=own, addresses=list(twins), ours=True, hint=hint)

    def _complaints(self) -> Iterator[str]:
        if self._blind:
            yield self._blind
        elif not self._attended:
            yield "there is no LAN to look on"
        for (name, _, version), fault in self._faults.items():
            yield f"{name} (IPv{version}): {fault}"
        for (name, _, version), attendance in self._attended.items():
            neighbours = attendance.segment.neighbours
            if trio.current_time() - neighbours.refused_at < _REFUSED_LATELY:
                told = f"{neighbours.refused} notices were not taken in"
                yield f"{name} (IPv{version}): {told}, lately too: there is no room for more nodes"
        ours = self._ourselves()
        if self._attended and not any(
            hosts_to_announce(attendance.interface, ours.bound.host) for attendance in self._attended.values()
        ):
            yield f"the mesh listens on {ours.bound.host}, where no LAN reaches it: this node finds, and is not found"
        if self._twins:
            yield f"another node is announced by this node's id, at {', '.join(self._twins)}"


def _reason(group: ExceptionGroup[OSError]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
