"""What a node tells of itself: implements `api.views.Mesh`."""

from collections.abc import Callable, Mapping, Sequence

import trio

import peatd
from peatd import metrics
from peatd.api.events import peer_text
from peatd.api.topology_views import TopologyLink, TopologyView
from peatd.api.views import DIRECT, PeerView, RelayView
from peatd.config import Config
from peatd.custody import Custody
from peatd.discovery.ourselves import Ourselves
from peatd.drain import Drain
from peatd.events import EventLog
from peatd.gossip.gossip import Gossip
from peatd.links import Links
from peatd.local_library import LocalLibrary
from peatd.measures import Durations, Measure
from peatd.metrics import Metrics
from peatd.names import Address, NodeId
from peatd.peer_changes import Told
from peatd.peers import Peer, PeerState, PeerTable
from peatd.readiness import Readiness, Report
from peatd.relay.part import Relaying
from peatd.topology import far_links, member_views


class NodeStatus:
    """A view of the node's parts; it owns none of them.

    Attributes:
        listening: where it listens, by `api`, `mesh`, `clients` and `relay`; filled in while the node starts.
    """

    version = peatd.__version__

    def __init__(
        self,
        config: Config,
        custody: Custody,
        library: LocalLibrary,
        peers: PeerTable,
        links: Links,
        readiness: Readiness,
        drain: Drain,
        stuck: Callable[[], str | None],
        metrics: Metrics,
        events: EventLog,
        gossip: Gossip,
        relaying: Relaying,
    ) -> None:
        self.node_id: str = config.node_id
        self.formation = config.formation
        self.custody = custody
        self.documents = library
        self.events = events
        self.listening: dict[str, Address | None] = {"api": None, "mesh": None, "clients": None, "relay": None}
        self._peers = peers
        self._links = links
        self._readiness = readiness
        self._drain = drain
        self._stuck = stuck
        self._metrics = metrics
        self._gossip = gossip
        self._relaying = relaying
        self._started = trio.current_time()
        self._told = Told(peers)
        peers.watch(self._tell_of_peers)

    @property
    def device_id(self) -> str:
        return self.custody.membership.device_id

    @property
    def public_key(self) -> str:
        return self.custody.membership.credentials.keypair.public_key.hex()

    @property
    def secrets(self) -> Sequence[str]:
        return self.custody.membership.fingerprints

    def ourselves(self) -> Ourselves:
        """For those who announce this node, once its listener is up."""
        bound = self.listening["mesh"]
        assert bound is not None
        membership = self.custody.membership
        formation = membership.credentials.formation
        hashes, keys = formation.discovery_hashes, formation.notice_keys
        return Ourselves(NodeId(self.node_id), membership.device_id, bound, hashes, keys)

    def relays(self) -> Sequence[RelayView]:
        now = trio.current_time()
        return [
            RelayView(standing.url.text, standing.state, _ago(standing.since, now), standing.error)
            for standing in self._relaying.standings()
        ]

    def uptime(self) -> float:
        return trio.current_time() - self._started

    def addresses(self) -> Mapping[str, str | None]:
        return {name: str(address) if address else None for name, address in self.listening.items()}

    def health(self) -> str | None:
        return self._stuck()

    def readiness(self) -> Report:
        return self._readiness.report()

    @property
    def is_leaving(self) -> bool:
        return self._drain.is_announced

    def measures(self) -> Sequence[Measure | Durations]:
        return [
            *metrics.of_node(self.version, self.node_id, self.uptime(), self.readiness()),
            *metrics.of_peers(self.peers()),
            *metrics.of_formation(self.custody),
            *self._metrics.of_parts(),
        ]

    def peers(self) -> Sequence[PeerView]:
        now = trio.current_time()
        return [self._peer_view(peer, now) for peer in self._peers.all(now)]

    def peer(self, peer_id: str) -> PeerView | None:
        return next((view for view in self.peers() if peer_id in (view.id, view.device_id)), None)

    def topology(self) -> TopologyView:
        """The mesh as this node sees it. All nodes are of one kind and level."""
        own = [TopologyLink(self.node_id, view.id, view.rtt_ms) for view in self.peers() if view.connected]
        members = member_views(self._gossip, trio.current_time())
        links = [*own, *far_links(self._gossip.members)]
        return TopologyView(len(own), role="member", hierarchy_level=0, links=links, members=members)

    def _tell_of_peers(self, node_id: NodeId | None) -> None:
        now = trio.current_time()
        for move, peer in self._told.moves(node_id, now):
            self.events.peer_moved(move, peer.node_id, peer_text(move, self._peer_view(peer, now)))

    def _peer_view(self, peer: Peer, now: float) -> PeerView:
        link, exchange = (peer.device_id and self._links.get(peer.device_id)) or (None, None)
        parting = peer.parting
        known = link or parting
        agreed = exchange or parting
        owed = 0
        is_reached = peer.state is PeerState.REACHABLE  # and told what it is owed by others
        if exchange is not None:
            owed = len(exchange.sync.debt())
        elif parting is not None and not is_reached:
            owed = self._links.owed_since(parting)
        return PeerView(
            id=peer.node_id,
            device_id=peer.device_id,
            connected=peer.state is PeerState.LINKED,
            state=peer.state.value,
            rtt_ms=round(link.rtt * 1000, 3) if link and link.rtt is not None else None,
            source=",".join(peer.sources),
            addresses=[str(address) for address in peer.addresses],
            relay_url=peer.relay_url,
            via=None if link is None else link.peer.via or DIRECT,
            metadata=peer.metadata,
            last_seen_secs=_ago(known.last_heard if known else None, now),
            last_sync_secs=_ago(agreed.last_sync if agreed else None, now),
            owed_documents=owed,
            error=exchange.error if exchange else None if is_reached else peer.error,
            secrets=peer.accepts or None,
            revoked=self._links.is_revoked(peer.device_id or peer.answered_by),
        )


def _ago(moment: float | None, now: float) -> float | None:
    return None if moment is None else round(max(0.0, now - moment), 3)
