"""The tasks behind gossip: keep this node's card true, notice who is not heard of, ask and answer about them."""

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
import trio

from peatd.drain import Drain
from peatd.gossip.cards import Tie
from peatd.gossip.doubts import ASKED, PATIENCE, Doubts
from peatd.gossip.members import Members
from peatd.gossip.peer_gossip import PeerGossip
from peatd.membership import Membership
from peatd.names import Address, DeviceId, NodeId
from peatd.transport.converse import CUT, EOF, SILENCE
from peatd.transport.link import Link, LinkEnd

log = structlog.get_logger()

_BEAT = 0.5
"""Seconds between looks. What changes in between is one new card."""
_CARDS, _RAREST = 50.0, 2.0
"""New cards in a second of all nodes together, when all have news all the time; and the seconds that one waits for the
next, at most."""
_TOLD_FIRST = 3
"""Links, by chance, that are told of new cards at once: enough that nearly all nodes hear of them in a few hops."""
_GATHER = 0.25
"""Seconds until the next three are told. When many nodes start, each has a new card twice a second: what comes in
between goes in one message, and not to whoever has told it meanwhile."""
_TOLD_LAST = 1.0
"""Seconds after which all are told that were not: most have heard it from others, and have told it themselves."""
_LATE = 1.0
"""Seconds by which a look comes too late when it is we who stood still: then it says nothing of others."""
_UNANSWERED = 1.5
"""Seconds after a ping until others are asked: many round trips, and less than they then have for the answer."""
_CALM = 10.0
"""Seconds: one round of pings."""
_COMPARE = 30.0
"""Seconds, ±25 %, between comparisons of what the two ends of a link know: the net below everything else."""
_MAX_PROBES = 64
"""At once, for all peers together; whoever asks beyond that gets no answer, which is one too."""
_SUDDEN = (CUT, EOF, SILENCE)
"""Ends of links behind which the peer may be dead."""

_MAX_NAMED = 5
"""Of the members that a sentence is about."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A readiness check's `Status`: what is to be known although the node is ready."""

    message: str | None
    ready: bool = True


class Gossip:
    """One node's. Links ask it for their side of it."""

    def __init__(self, membership: Membership, node_id: NodeId, drain: Drain) -> None:
        formation = membership.credentials.formation.name
        keypair = membership.credentials.keypair
        self._membership = membership
        revocations = membership.revocations
        self.members = Members(keypair, node_id, formation, int(time.time()), revocations.__contains__)
        self.doubts = Doubts(self.members, formation)
        self._port = 0
        self._gone_watchers: list[Callable[[DeviceId], None]] = []
        self._drain = drain
        self._sides: dict[bytes, PeerGossip] = {}
        self._probes: dict[bytes, list[Callable[[bool], None]]] = {}
        self._asked, self._to_probe = trio.open_memory_channel[bytes](_MAX_PROBES)
        self._calm_since = self._looked_at = trio.current_time()
        self._card_due = self._calm_since
        self._news = trio.Event()
        membership.watch_secrets(self._rekeyed)

    # Links -----------------------------------------------------------------------------------------------------

    def side(self, link: Link) -> PeerGossip:
        return PeerGossip(link, self.members, self.doubts, self)

    @contextmanager
    def linked(self, side: PeerGossip) -> Iterator[None]:
        """While it lasts, this is the link with that peer."""
        self._sides[side.device] = side
        self.doubts.settled(side.device)
        try:
            yield
        finally:
            if self._sides.get(side.device) is side:
                del self._sides[side.device]

    def linked_devices(self) -> Collection[bytes]:
        return self._sides.keys()

    def is_linked_here(self, device_id: DeviceId) -> bool:
        """Implements `presence.Mesh`, as the next two do. This node counts: nobody else speaks for its clients."""
        device = bytes.fromhex(device_id)
        return device in self._sides or device == self.members.own_device

    def is_present(self, device_id: DeviceId) -> bool:
        return bytes.fromhex(device_id) in self.members.present

    def is_served_by(self, peer: DeviceId, device_id: DeviceId) -> bool:
        member = self.members.book.get(bytes.fromhex(peer))
        return member is not None and bytes.fromhex(device_id) not in member.tied

    def watch_gone(self, watcher: Callable[[DeviceId], None]) -> None:
        """From now on it is called with each member that is not within reach any more."""
        self._gone_watchers.append(watcher)

    def parted(self, side: PeerGossip, end: LinkEnd) -> None:
        """Its link has ended, and there is no other."""
        if end.code in _SUDDEN and not end.by_peer and not self._drain.closing.is_set():
            self._doubt(side.device)

    def probe(self, device: bytes, answer: Callable[[bool], None]) -> None:
        """Implements `Prober`."""
        waiting = self._probes.get(device)
        if waiting is not None:
            waiting.append(answer)
        elif device in self._sides and len(self._probes) < _MAX_PROBES:
            self._probes[device] = [answer]
            self._asked.send_nowait(device)

    # Tasks -----------------------------------------------------------------------------------------------------

    async def run(self, port: int) -> None:
        """Until the node goes; of that it tells its peers.

        Args:
            port: on which it listens for them.
        """
        self._port = port
        book = self.members.book
        book.spread = lambda: self._news.set()
        with self.doubts.told(self._hear_of_accusation):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._beat)
                nursery.start_soon(self._spread)
                nursery.start_soon(self._spread_to_all)
                nursery.start_soon(self._compare)
                nursery.start_soon(self._probe_for_others, nursery)
                await self._drain.closing.wait()
                nursery.cancel_scope.cancel()
        book.spread = book.wake  # links are about to end: there is no time to gather
        self.members.leave()

    async def _beat(self) -> None:
        while True:
            self.look(trio.current_time())
            await trio.sleep(_BEAT)

    async def _spread(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            owing = self.members.book.owing()
            for feed in random.sample(owing, min(_TOLD_FIRST, len(owing))):
                feed.wake()
            await trio.sleep(_GATHER)

    async def _spread_to_all(self) -> None:
        while True:
            self.members.book.wake()
            await trio.sleep(_TOLD_LAST * random.uniform(0.75, 1.25))

    def look(self, now: float) -> None:
        """One look at everything."""
        is_late = now - self._looked_at > _BEAT + _LATE
        self._looked_at = now
        self._renew(now)
        if is_late:
            self.doubts.strained()
            return
        self._look_at_links(now)
        self.doubts.due(self._membership.credentials.keypair, now)
        before = self.members.present
        review = self.members.review(now)
        for device in before - self.members.present:
            for watcher in self._gone_watchers:
                watcher(DeviceId(device.hex()))
        if review.gone:
            log.warning("members out of reach", members=len(review.gone), one_of_them=review.gone[0])
        if review.back:
            log.info("members within reach again", members=len(review.back), one_of_them=review.back[0])

    def _renew(self, now: float) -> None:
        if now >= self._card_due:
            ties = [self._tie(side) for side in self._sides.values() if _is_measured(side.link, now)]
            if self.members.renew(ties, self._port):
                self._card_due = now + min(len(self.members.present) / _CARDS, _RAREST)

    def _look_at_links(self, now: float) -> None:
        for side in self._sides.values():
            since = side.link.unanswered_since
            if since is None:
                self.doubts.settled(side.device)
            elif now - since > _UNANSWERED:
                self._calm_since = now
                self._doubt(side.device)
        if now - self._calm_since > _CALM:
            self._calm_since = now
            self.doubts.calmed()

    def _tie(self, side: PeerGossip) -> Tie:
        link = side.link
        member = self.members.book.get(side.device)
        address: Address | None = link.address
        if not link.peer.initiating:  # it has dialled us, from a port that nobody listens on
            port = member.card.port if member is not None else 0
            address = Address(link.address.host, port) if port else None
        return Tie(side.device, "" if address is None else str(address), round((link.rtt or 0.0) * 1e6))

    async def _compare(self) -> None:
        while True:
            await trio.sleep(_COMPARE * random.uniform(0.75, 1.25))
            for side in self._sides.values():
                if side.link.peer.initiating:
                    side.compare()

    # Doubts ----------------------------------------------------------------------------------------------------

    def _doubt(self, device: bytes) -> None:
        if self.doubts.doubt(device, trio.current_time()):
            tied = [side for side in self._sides.values() if side.is_heard and self._is_tied(side.device, device)]
            for side in random.sample(tied, min(ASKED, len(tied))):
                side.ask(device)

    def _is_tied(self, peer: bytes, device: bytes) -> bool:
        member = self.members.book.get(peer)
        return member is not None and device in member.tied

    def _hear_of_accusation(self, device: bytes) -> None:
        """Whoever is linked with the accused finds out for itself."""
        if device in self._sides:
            self.probe(device, lambda _: None)

    async def _probe_for_others(self, nursery: trio.Nursery) -> None:
        async for device in self._to_probe:
            nursery.start_soon(self._probe, device)

    async def _probe(self, device: bytes) -> None:
        side = self._sides.get(device)
        lives = side is not None and await side.link.proves_alive(PATIENCE - _UNANSWERED)
        lives = lives and device in self._sides
        if side is not None and not lives:
            self.doubts.accuse(device, self._membership.credentials.keypair, trio.current_time())
        for answer in self._probes.pop(device, []):
            answer(lives)

    # What is shown ---------------------------------------------------------------------------------------------

    def round_trips(self) -> Mapping[bytes, float | None]:
        """Of the links of this node, in seconds."""
        return {side.device: side.link.rtt for side in self._sides.values()}

    def status(self) -> Partition:
        """The readiness check `partition`: never unready, or a cut would take both halves out of service."""
        missed = self.members.missed(trio.current_time())
        if not missed:
            return Partition(None)
        known = sum(1 for member in self.members.all() if not member.card.left)
        since = trio.current_time() - (missed[0].absent_since or 0.0)
        which = ", ".join(member.node_id for member in missed[:_MAX_NAMED])
        more = f" and {len(missed) - _MAX_NAMED} more" if len(missed) > _MAX_NAMED else ""
        return Partition(
            f"{len(missed)} of {known} known members cannot be reached, the first for {since:.0f} s: {which}{more}"
        )

    def _rekeyed(self) -> None:
        keypair = self._membership.credentials.keypair
        if bytes.fromhex(keypair.device_id) != self.members.own_device:
            self.members.rekeyed(keypair)


def _is_measured(link: Link, now: float) -> bool:
    """Whether to tell of it: with its round trip, which is known in a moment, or it would be told of twice."""
    return link.rtt is not None or now - link.opened_at > _BEAT
