"""All links that are up: which are let in, and what runs on each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
import trio

from peatd.awareness import Awareness
from peatd.claims import Claim, Verdict, judge
from peatd.drain import Drain
from peatd.exchange import PeerExchange
from peatd.names import DeviceId
from peatd.peers import Parting, PeerTable
from peatd.presence import PeerPresence
from peatd.replication import Replication
from peatd.transport.converse import SHUTDOWN, SILENCE, converse, dismiss
from peatd.transport.link import Link, LinkEnd, LinkPeer

log = structlog.get_logger()

_REFUSALS = {
    Verdict.SELF: "this is myself",
    Verdict.DUPLICATE: "we are linked already",
    Verdict.TWIN: "another node of this formation goes by this node id: give each its own --node-id",
}

_PROOF_OF_LIFE = 3.0
"""Seconds for an answer to a ping: many round trips, and the longest that a node's loop is ever busy."""


@dataclass(slots=True)
class Traffic:
    """What went over links since the start."""

    links: int = 0
    sent_bytes: int = 0
    sent_messages: int = 0
    received_bytes: int = 0
    received_messages: int = 0

    def add(self, link: Link) -> None:
        self.sent_bytes += link.sent_bytes
        self.sent_messages += link.sent_messages
        self.received_bytes += link.received_bytes
        self.received_messages += link.received_messages


class Links:
    """The registry of links.

    Invariants:
        1. Of one device at most one link is registered; the one that was registered last.
    """

    def __init__(
        self, own: Claim, peers: PeerTable, replication: Replication, drain: Drain, awareness: Awareness
    ) -> None:
        self.changed = trio.Event()
        """Set, and replaced by another, whenever a link has come up or ended."""
        self._own = own
        self._peers = peers
        self._replication = replication
        self._awareness = awareness
        self._drain = drain
        self._ended = Traffic()
        self._running: set[Link] = set()
        self._live: dict[DeviceId, tuple[Link, PeerExchange]] = {}

    def get(self, device_id: DeviceId) -> tuple[Link, PeerExchange] | None:
        return self._live.get(device_id)

    def live(self) -> Sequence[tuple[Link, PeerExchange]]:
        return list(self._live.values())

    def traffic(self) -> Traffic:
        """Of the links that have ended and of those that are up."""
        total = replace(self._ended)
        for link in self._running:
            total.add(link)
        return total

    def owed_documents(self) -> int:
        """The most that any linked peer is owed."""
        return max((len(exchange.sync.debt()) for _, exchange in self._live.values()), default=0)

    def judged(self, peer: LinkPeer) -> Verdict:
        """What would be done with a link to this one, now."""
        return judge(_claim(peer), [_claim(old.peer) for old, _ in self._live.values()], self._own)

    async def keep(self, link: Link) -> LinkEnd:
        """Runs a link that has just proved itself until it ends, or dismisses it."""
        if self.judged(link.peer) is Verdict.TWIN:
            await self._challenge(link.peer)
        if self._drain.closing.is_set():
            return await self._dismiss(link, SHUTDOWN, "the node is going away")
        verdict = self.judged(link.peer)
        if verdict in _REFUSALS:
            return await self._refuse(link, verdict)
        if verdict is Verdict.REPLACE:
            self._live[link.peer.device_id][0].goaway(Verdict.DUPLICATE.value, "a newer link takes its place")
        return await self._run(link)

    async def _challenge(self, newcomer: LinkPeer) -> None:
        """Whoever holds the newcomer's key may have died without a word, and be the newcomer, started again: unless it
        proves that it lives, its link ends."""
        held = self._live.get(newcomer.device_id)
        if held is None or await held[0].proves_alive(_PROOF_OF_LIFE):
            return
        held[0].goaway(SILENCE, "it does not answer, and has been started again")
        while self._live.get(newcomer.device_id) == held:
            await self.changed.wait()

    async def _refuse(self, link: Link, verdict: Verdict) -> LinkEnd:
        if verdict is Verdict.TWIN:
            log.error(
                "two nodes with one node id",
                node_id=link.peer.node_id,
                address=str(link.address),
                ours=link.peer.node_id == self._own.node_id,
                hint="give each node its own --node-id",
            )
        return await self._dismiss(link, verdict.value, _REFUSALS[verdict])

    async def _dismiss(self, link: Link, code: str, message: str) -> LinkEnd:
        await dismiss(link, code, message)
        return LinkEnd(code, message, by_peer=False)

    async def _run(self, link: Link) -> LinkEnd:
        peer = link.peer
        presence = PeerPresence(self._awareness, peer.device_id, is_heard=peer.hears_awareness)
        exchange = PeerExchange(
            self._replication,
            peer.device_id,
            compares=peer.initiating,
            presence=presence,
            own_device=self._own.device_id if peer.hears_horizon else None,
        )
        self._live[peer.device_id] = (link, exchange)
        self._ended.links += 1
        self._running.add(link)
        self._peers.met(peer.node_id, peer.device_id, link.address)
        self._announce()
        log.info("peer linked", peer=peer.node_id, device_id=peer.device_id, address=str(link.address))
        end = LinkEnd(SHUTDOWN, "the node is going away", by_peer=False)
        try:
            with exchange.subscribed():
                end = await converse(link, exchange)
        finally:
            self._running.discard(link)
            link.heard.set()
            self._ended.add(link)
            if self._live.get(peer.device_id) == (link, exchange):
                del self._live[peer.device_id]
                self._peers.parted(peer.device_id, self._parting(link, exchange, end))
                presence.parted()
                log.info("peer unlinked", peer=peer.node_id, device_id=peer.device_id, code=end.code, why=end.message)
            self._announce()
        return end

    def _parting(self, link: Link, exchange: PeerExchange, end: LinkEnd) -> Parting:
        return Parting(
            at=trio.current_time(),
            last_heard=link.last_heard,
            last_sync=exchange.last_sync,
            debt=exchange.sync.debt(),
            clock=self._replication.table.clock,
            error=exchange.error or (None if end.code == SHUTDOWN else end.message),
        )

    def owed_since(self, parting: Parting) -> int:
        """How many documents a peer that is not linked is owed, as far as we know."""
        changed = {entry.name for entry in self._replication.table if entry.version > parting.clock}
        return len(parting.debt | changed)

    def _announce(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


def _claim(peer: LinkPeer) -> Claim:
    return Claim(peer.node_id, peer.device_id, peer.instance, peer.initiating)
