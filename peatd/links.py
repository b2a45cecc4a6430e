"""All links that are up: which are let in, what runs on each, and which no longer stand."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import structlog
import trio

from peatd.awareness import Awareness
from peatd.claims import Claim, Verdict, judge
from peatd.drain import Drain
from peatd.exchange import PeerExchange
from peatd.gossip.gossip import Gossip
from peatd.interest import collection_of
from peatd.limits import Limit, LimitHits
from peatd.membership import Membership
from peatd.names import DeviceId
from peatd.peer_membership import PeerMembership
from peatd.peers import Parting, PeerTable
from peatd.pieces import UPDATES_BYTES, AllHeld
from peatd.presence import PeerPresence
from peatd.replication import Replication
from peatd.transport.admission import Repetitions
from peatd.transport.converse import SHUTDOWN, SILENCE, converse, dismiss
from peatd.transport.link import Link, LinkEnd, LinkPeer, Traffic
from peatd.view import Tied, View

log = structlog.get_logger()

_REFUSALS = {
    Verdict.SELF: "this is myself",
    Verdict.DUPLICATE: "we are linked already",
    Verdict.TWIN: "another node of this formation goes by this node id: give each its own --node-id",
    Verdict.ENOUGH: "it has as many links as it keeps, and so have we: what happens there comes by way of others",
    Verdict.REVOKED: "the key {device_id} was revoked: its node is let in with another one only",
    Verdict.FULL: "as many nodes are linked as it takes",
    Verdict.ROTATED: "the formation secret was rotated: dial again",
}

MAX_LINKS = 1000
"""A node for each. A formation is tens of nodes; each link costs a descriptor, 100 KB, and a share of every change."""

_PROOF_OF_LIFE = 3.0
"""Seconds for an answer to a ping: many round trips, and the longest that a node's loop is ever busy."""


class Links:
    """The registry of links.

    Invariants:
        1. Of one device at most one link is registered; the one that was registered last.
    """

    def __init__(
        self,
        membership: Membership,
        peers: PeerTable,
        replication: Replication,
        drain: Drain,
        awareness: Awareness,
        gossip: Gossip,
        view: View,
        *,
        hits: LimitHits | None = None,
        updates_bytes: int = UPDATES_BYTES,
    ) -> None:
        """
        Args:
            updates_bytes: that the unfinished updates of all peers may take.
        """
        hits = hits or LimitHits()
        self.changed = trio.Event()
        """Set, and replaced by another, whenever a link has come up or ended."""
        self._membership = membership
        self._peers = peers
        self._replication = replication
        self._awareness = awareness
        self._gossip = gossip
        self.view = view
        self._drain = drain
        self._hits = hits
        self._held = AllHeld(updates_bytes, partial(hits.hit, Limit.PEER_UPDATES))
        self._ended = Traffic()
        self._running: set[Link] = set()
        self._repetitions = Repetitions()
        self._live: dict[DeviceId, tuple[Link, PeerExchange]] = {}
        membership.links = lambda: (len(self._live), view.max_links)
        replication.is_mesh_full = lambda: view.is_full(trio.current_time())
        membership.watch(self.review)
        gossip.watch_gone(self._doubt_clients)

    def _doubt_clients(self, device_id: DeviceId) -> None:
        if device_id not in self._live:
            self._awareness.doubt(device_id, trio.current_time())

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
        present = [_claim(old.peer) for old, _ in self._live.values()]
        return self._membership.judged(peer) or judge(
            _claim(peer), present, self._membership.claim, self._membership.follows
        )

    def declines(self, peer: LinkPeer) -> str | None:
        """Why we do not link with whom we have dialled: we are linked with that very process, under another name or by
        another address. A second link would end the first; it may, where it goes directly and the first by a relay. Or
        it would send us away."""
        held = self._live.get(peer.device_id)
        if held is None and self.view.is_spared_by(peer.links, peer.max_links):
            return "both have as many links as they need"
        if held is None or held[0].peer.instance != peer.instance:
            return None
        is_better = peer.via is None and held[0].peer.via is not None
        return None if is_better else "we are linked already"

    def is_revoked(self, device_id: DeviceId | None) -> bool:
        """Whether whoever has this key is to be linked with no more."""
        return device_id is not None and device_id in self._membership.revocations

    def review(self) -> None:
        """Ends the links that do not stand any more."""
        for link, _ in self._live.values():
            verdict = self._membership.judged(link.peer)
            if verdict is not None:
                link.goaway(verdict.value, _reason(verdict, link.peer))

    async def keep(self, link: Link) -> LinkEnd:
        """Runs a link that has just proved itself until it ends, or dismisses it."""
        verdict = self.judged(link.peer)
        if verdict is Verdict.TWIN or (verdict is Verdict.DUPLICATE and link.peer.via is not None):
            await self._challenge(link.peer)
        if self._drain.closing.is_set():
            return await self._dismiss(link, SHUTDOWN, "the node is going away")
        verdict = self.judged(link.peer)
        if verdict is Verdict.KEEP and len(self._live) >= MAX_LINKS:
            verdict = Verdict.FULL
            self._hits.hit(Limit.LINKS, f"{MAX_LINKS} nodes are linked: others are sent away, and try again")
        if verdict in _REFUSALS:
            return await self._refuse(link, verdict)
        if verdict is Verdict.REPLACE:
            self._replace(link.peer)
        elif self.view.sends_away(bytes.fromhex(link.peer.device_id), link.peer.links, self._ties()):
            return await self._refuse(link, Verdict.ENOUGH)
        return await self._run(link)

    def _end_one_too_many(self, newest: Link) -> None:
        others = [tied for tied in self._ties() if tied.device != bytes.fromhex(newest.peer.device_id)]
        device = self.view.to_end([*others, Tied(bytes.fromhex(newest.peer.device_id), 0.0, 0.0)])
        if device is not None:
            self._live[DeviceId(device.hex())][0].goaway(Verdict.ENOUGH.value, _reason(Verdict.ENOUGH, newest.peer))

    def _ties(self) -> list[Tied]:
        now, links = trio.current_time(), [link for link, _ in self._live.values() if not link.leaving.is_set()]
        return [Tied(bytes.fromhex(link.peer.device_id), link.rtt, now - link.opened_at) for link in links]

    async def _challenge(self, newcomer: LinkPeer) -> None:
        """Whoever holds the newcomer's key may have died without a word, and be the newcomer, started again; or have
        lost its direct way to us, and come by a relay: unless it proves that it lives, its link ends."""
        held = self._live.get(newcomer.device_id)
        if held is None or await held[0].proves_alive(_PROOF_OF_LIFE):
            return
        held[0].goaway(SILENCE, "it does not answer, and has come again")
        while self._live.get(newcomer.device_id) == held:
            await self.changed.wait()

    def _replace(self, peer: LinkPeer) -> None:
        for device_id, (old, exchange) in list(self._live.items()):
            if device_id == peer.device_id or old.peer.node_id == peer.node_id:
                old.goaway(Verdict.DUPLICATE.value, "a newer link takes its place")
                if device_id != peer.device_id:
                    del self._live[device_id]  # nobody has that key any more: of one node there is one entry
                    exchange.sync.device_id = peer.device_id  # or what it confirms counts for two, while both links run

    async def _refuse(self, link: Link, verdict: Verdict) -> LinkEnd:
        if verdict is Verdict.TWIN:
            log.error(
                "two nodes with one node id",
                node_id=link.peer.node_id,
                address=str(link.address),
                ours=link.peer.node_id == self._membership.claim.node_id,
                hint="give each node its own --node-id",
            )
        elif verdict is Verdict.REVOKED:
            self._refused_revoked(link)
        return await self._dismiss(link, verdict.value, _reason(verdict, link.peer))

    def _refused_revoked(self, link: Link) -> None:
        """Once for each address that it comes from in a while: it tries again and again."""
        unsaid = self._repetitions.count(link.address.host, link.peer.device_id, trio.current_time())
        if unsaid is not None:
            log.warning(
                "revoked node refused",
                peer=link.peer.node_id,
                device_id=link.peer.device_id,
                address=str(link.address),
                repeated=unsaid,
            )

    async def _dismiss(self, link: Link, code: str, message: str) -> LinkEnd:
        await dismiss(link, code, message)
        return LinkEnd(code, message, by_peer=False)

    async def _run(self, link: Link) -> LinkEnd:
        peer = link.peer
        presence = PeerPresence(self._awareness, peer.device_id, self._gossip, is_heard=peer.hears_awareness)
        gossip = self._gossip.side(link)
        sides = (presence, PeerMembership(self._membership, self._peers, peer), gossip)
        exchange = PeerExchange(
            self._replication,
            peer.device_id,
            compares=peer.initiating,
            sides=sides,
            held=self._held,
            nodes=(self._membership.claim.node_id, peer.node_id) if peer.hears_horizon else None,
            reads_summaries=peer.reads_summaries,
            restricted=peer.restricted,
        )
        self._live[peer.device_id] = (link, exchange)
        self._ended.links += 1
        self._running.add(link)
        self._peers.met(peer.node_id, peer.device_id, link.address, peer.accepts)
        self._end_one_too_many(link)
        self._announce()
        via = {} if peer.via is None else {"via": peer.via}
        log.info("peer linked", peer=peer.node_id, device_id=peer.device_id, address=str(link.address), **via)
        end = LinkEnd(SHUTDOWN, "the node is going away", by_peer=False)
        try:
            with self._gossip.linked(gossip), exchange.subscribed():
                end = await converse(link, exchange)
        finally:
            self._running.discard(link)
            link.heard.set()
            self._ended.add(link)
            if self._live.get(peer.device_id) == (link, exchange):
                del self._live[peer.device_id]
                self._peers.parted(peer.device_id, self._parting(link, exchange, end))
                log.info("peer unlinked", peer=peer.node_id, device_id=peer.device_id, code=end.code, why=end.message)
            if peer.device_id not in self._live:
                presence.parted()
                self._gossip.parted(gossip, end)
            self._announce()
        return end

    def _parting(self, link: Link, exchange: PeerExchange, end: LinkEnd) -> Parting:
        return Parting(
            at=trio.current_time(),
            last_heard=link.last_heard,
            last_sync=exchange.last_sync,
            debt=exchange.sync.debt(),
            clock=self._replication.table.clock,
            restricted=link.peer.restricted or frozenset(),
            error=exchange.error or (None if end.code == SHUTDOWN else end.message),
        )

    def owed_since(self, parting: Parting) -> int:
        """How many documents a peer that is not linked is owed, as far as we know."""
        later = (entry for entry in self._replication.table if entry.version > parting.clock and not entry.is_name)
        changed = {e.name for e in later if e.deleted or collection_of(e.name) not in parting.restricted}
        return len(parting.debt | changed)

    def _announce(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


def _reason(verdict: Verdict, peer: LinkPeer) -> str:
    return _REFUSALS[verdict].format(device_id=peer.device_id)


def _claim(peer: LinkPeer) -> Claim:
    return Claim(peer.node_id, peer.device_id, peer.instance, peer.initiating, relayed=peer.via is not None)
