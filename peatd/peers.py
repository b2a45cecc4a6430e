"""The peers of this node: who is known, and who is linked. Sans-IO.

Two things are kept apart, because they come and go apart:
* a *sighting*: what discovery says, under the name that discovery has for it (`HOST:PORT` for an unnamed static peer);
* an *acquaintance*: a node that has proved its device id to us over a link.

Once a sighting has been dialled we know which acquaintance answers there, and they are shown as one peer.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace

from peatd.backoff import LONGEST_PAUSE
from peatd.discovery.events import PeerInfo
from peatd.names import Address, DeviceId, DocumentName, Fingerprint, NodeId

LOST_FOR = 600.0
"""Seconds that a peer stays listed after every source and the link have lost it: long enough for an operator to see."""

_LATELY, _SHORT_PAUSE = 300.0, 2.0
"""Whoever was linked within so many seconds is dialled at least so often: after a cut of a minute, which both ends
notice after half of it, all is whole within seconds. A dial a second costs nothing."""

_CROWD = 100
"""Peers from which on these pauses grow in proportion: a hundred dials a second are enough."""


class PeerState(enum.Enum):
    LINKED = "linked"
    DIALING = "dialing"
    BACKING_OFF = "backing-off"
    REACHABLE = "reachable"  # not dialled: in a mesh that is not full, it is linked with others
    LOST = "lost"


@dataclass(slots=True)
class Sighting:
    """A peer as discovery knows it, and how dialling it goes.

    Attributes:
        sources: asked, not kept: that a second source knows the same of it is no event.
        device_id: who answered there last.
        last_good: where.
    """

    info: PeerInfo
    sources: Callable[[], tuple[str, ...]]
    device_id: DeviceId | None = None
    last_good: Address | None = None
    dialing: bool = True
    is_spared: bool = False
    error: str | None = None


@dataclass(slots=True)
class Acquaintance:
    """A node that we have been linked with. `parting`: how its last link ended; None while there is one. `accepts`: the
    formation secrets that it said it accepts, the one that it uses first."""

    node_id: NodeId
    device_id: DeviceId
    address: Address
    accepts: tuple[Fingerprint, ...] = ()
    parting: "Parting | None" = None


@dataclass(frozen=True, slots=True)
class Parting:
    """What remains of a link that has ended. Times are trio's.

    Attributes:
        last_sync: when the peer and we last agreed on something; None if never.
        debt: documents that the peer was owed, by name.
        clock: the document table's: what changes later is owed as well, but of the collections that it `restricted`.
    """

    at: float
    last_heard: float
    last_sync: float | None
    debt: frozenset[DocumentName]
    clock: int
    error: str | None
    restricted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer as it is shown: an acquaintance with the sightings of it, or a sighting that nobody has answered at.

    Attributes:
        accepts: the formation secrets that it said it accepts.
        answered_by: who did answer there, of whom we have made no acquaintance: its key is revoked.
        is_sighted: discovery knows it; else its only address is where its link came from.
    """

    node_id: NodeId
    device_id: DeviceId | None
    state: PeerState
    sources: tuple[str, ...]
    addresses: tuple[Address, ...]
    relay_url: str | None
    metadata: dict[str, str]
    parting: Parting | None
    error: str | None
    accepts: tuple[Fingerprint, ...] = ()
    answered_by: DeviceId | None = None
    is_sighted: bool = True


class PeerTable:
    """All sightings and acquaintances.

    Invariants:
        1. Of one device there is one acquaintance.
        2. An acquaintance without link and sighting is forgotten after `LOST_FOR`.
        3. Of one node id there is one acquaintance: a node whose formation secret was rotated comes back with another
           device id.

    Attributes:
        own_device: ours, which a rotation changes.
    """

    def __init__(self, own_node: NodeId, own_device: DeviceId) -> None:
        self._own_node = own_node
        self.own_device = own_device
        self._sightings: dict[NodeId, Sighting] = {}
        self._acquaintances: dict[DeviceId, Acquaintance] = {}
        self._watchers: list[Callable[[NodeId | None], None]] = []

    def watch(self, watcher: Callable[[NodeId | None], None]) -> None:
        """From now on this is called after every change, as `tell` is; it must change nothing itself."""
        self._watchers.append(watcher)

    def tell(self, node_id: NodeId | None = None) -> None:
        """Something has changed: the sighting of that name and no other, or (None) it may be anything. Whoever changes
        a sighting calls it, unless it is only dialled."""
        for watcher in self._watchers:
            watcher(node_id)

    def sighted(self, info: PeerInfo, sources: Callable[[], tuple[str, ...]]) -> None:
        """Discovery found the peer, or knows something new of it."""
        known = self._sightings.get(info.node_id)
        if known is None:
            self._sightings[info.node_id] = Sighting(info, sources)
        else:
            if known.info.addresses != info.addresses:
                known.device_id = None  # whoever answered at the old address need not answer at the new one
            known.info, known.sources = info, sources
        self.tell(info.node_id)

    def lost(self, node_id: NodeId, now: float) -> None:
        """No source has it any more."""
        sighting = self._sightings.pop(node_id, None)
        acquaintance = self._acquaintance_of(node_id, sighting)
        if acquaintance is not None and acquaintance.parting is not None:
            acquaintance.parting = replace(acquaintance.parting, at=now)
        self.tell(node_id if acquaintance is None else None)

    def forget_answer(self, node_id: NodeId) -> None:
        """Whoever answered there last is not whom discovery calls so."""
        sighting = self._sightings.get(node_id)
        if sighting is not None:
            sighting.device_id = sighting.last_good = None
            self.tell()

    def sighting(self, node_id: NodeId) -> Sighting | None:
        return self._sightings.get(node_id)

    def is_sighted(self, node_id: NodeId, device_id: DeviceId) -> bool:
        """Whether discovery knows this node: by its name, or because we have met it where discovery said."""
        return node_id in self._sightings or any(s.device_id == device_id for s in self._sightings.values())

    def met(
        self, node_id: NodeId, device_id: DeviceId, address: Address, accepts: tuple[Fingerprint, ...] = ()
    ) -> None:
        """A link with it has come up. Nobody else of that name has one: see `judge`."""
        before = {a.device_id for a in self._acquaintances.values() if a.node_id == node_id}
        for known in before:
            del self._acquaintances[known]  # Invariant 3.
        for sighting in self._sightings.values():
            sighting.device_id = device_id if sighting.device_id in before else sighting.device_id
            if node_id == sighting.info.node_id or device_id == sighting.device_id:
                sighting.error = None  # why it could not be dialled once
        self._acquaintances[device_id] = Acquaintance(node_id, device_id, address, accepts)
        self.tell()

    def accepts(self, device_id: DeviceId, accepts: tuple[Fingerprint, ...]) -> None:
        """A peer says which formation secrets it accepts from now on."""
        known = self._acquaintances.get(device_id)
        if known is not None and known.accepts != accepts:
            known.accepts = accepts
            self.tell()

    def parted(self, device_id: DeviceId, parting: Parting) -> None:
        """Its link has ended."""
        self._acquaintances[device_id].parting = parting
        self.tell()

    def is_linked(self, node_id: NodeId) -> bool:
        """Whether whom discovery calls so is linked (or is ourselves: there is nobody to dial)."""
        sighting = self._sightings.get(node_id)
        if self._is_own(node_id, sighting):
            return True
        acquaintance = self._acquaintance_of(node_id, sighting)
        return acquaintance is not None and acquaintance.parting is None

    def longest_pause(self, node_id: NodeId, now: float) -> float:
        """Between two dials to whom discovery calls so."""
        acquaintance = self._acquaintance_of(node_id, self._sightings.get(node_id))
        parting = acquaintance.parting if acquaintance is not None else None
        if parting is None or now - parting.at > _LATELY:
            return LONGEST_PAUSE
        return min(_SHORT_PAUSE * max(1.0, len(self._sightings) / _CROWD), LONGEST_PAUSE)

    def all(self, now: float) -> list[Peer]:
        """Everyone worth showing, by node id."""
        self._forget_long_lost(now)
        seen, unmet = self._matched()
        peers = [_met_peer(a, seen.get(a.device_id, [])) for a in self._acquaintances.values()]
        peers += [_sighted_peer(s) for s in unmet if not self._is_own(s.info.node_id, s)]
        return sorted(peers, key=lambda peer: (peer.node_id, peer.device_id or ""))

    def of_sighting(self, node_id: NodeId) -> list[Peer] | None:
        """What `all` has of that name, without a look at all the others; None if we have met someone of it."""
        sighting = self._sightings.get(node_id)
        if self._acquaintance_of(node_id, sighting) is not None:
            return None
        return [] if sighting is None or self._is_own(node_id, sighting) else [_sighted_peer(sighting)]

    def _is_own(self, node_id: NodeId, sighting: Sighting | None) -> bool:
        """A pod finds itself in its Service, under the name that is its node id."""
        return node_id == self._own_node or (sighting is not None and sighting.device_id == self.own_device)

    def _acquaintance_of(self, node_id: NodeId, sighting: Sighting | None) -> Acquaintance | None:
        if sighting is not None and sighting.device_id is not None:
            return self._acquaintances.get(sighting.device_id)
        return next((a for a in self._acquaintances.values() if a.node_id == node_id), None)

    def _matched(self) -> tuple[dict[DeviceId, list[Sighting]], list[Sighting]]:
        """The sightings of each acquaintance, and those of nobody that we have met."""
        by_name = {a.node_id: a for a in self._acquaintances.values()}
        seen: dict[DeviceId, list[Sighting]] = {}
        unmet = []
        for node_id, sighting in self._sightings.items():
            known = by_name.get(node_id) if sighting.device_id is None else self._acquaintances.get(sighting.device_id)
            if known is None:
                unmet.append(sighting)
            else:
                seen.setdefault(known.device_id, []).append(sighting)
        return seen, unmet

    def _forget_long_lost(self, now: float) -> None:
        gone = [a for a in self._acquaintances.values() if a.parting is not None and now - a.parting.at > LOST_FOR]
        seen = self._matched()[0] if gone else {}
        for acquaintance in [a for a in gone if a.device_id not in seen]:
            del self._acquaintances[acquaintance.device_id]  # Invariant 2.


def _dialing_state(sightings: list[Sighting]) -> PeerState:
    if not sightings:
        return PeerState.LOST
    quiet = PeerState.REACHABLE if any(s.is_spared for s in sightings) else PeerState.BACKING_OFF
    return PeerState.DIALING if any(s.dialing for s in sightings) else quiet


def _met_peer(acquaintance: Acquaintance, sightings: list[Sighting]) -> Peer:
    infos = [sighting.info for sighting in sightings]
    parting = acquaintance.parting
    state = PeerState.LINKED if parting is None else _dialing_state(sightings)
    errors = [s.error for s in sightings if s.error and parting is not None]
    return Peer(
        node_id=acquaintance.node_id,
        device_id=acquaintance.device_id,
        state=state,
        sources=tuple(dict.fromkeys(source for s in sightings for source in s.sources())) or ("inbound",),
        addresses=tuple(dict.fromkeys(a for info in infos for a in info.addresses)) or (acquaintance.address,),
        relay_url=next((info.relay_url for info in infos if info.relay_url), None),
        metadata={key: value for info in reversed(infos) for key, value in info.metadata.items()},
        parting=parting,
        error=next(iter(errors), parting.error if parting else None),
        accepts=acquaintance.accepts,
        is_sighted=bool(sightings),
    )


def _sighted_peer(sighting: Sighting) -> Peer:
    info = sighting.info
    return Peer(
        node_id=info.node_id,
        device_id=None,
        state=_dialing_state([sighting]),
        sources=sighting.sources(),
        addresses=info.addresses,
        relay_url=info.relay_url,
        metadata=dict(info.metadata),
        parting=None,
        error=sighting.error,
        answered_by=sighting.device_id,
    )
