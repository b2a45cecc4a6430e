"""What a node measures, gathered from its parts when it is asked. Nothing here is counted twice, nothing reset.

Label values are bounded by the mesh (`peer` is a node id) or by us; a document's name is never one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import trio

from peatd.api.views import PeerView
from peatd.clients.listener import Reception
from peatd.custody import Custody
from peatd.discovery.hybrid import HybridDiscovery
from peatd.documents import Documents
from peatd.events import EventLog
from peatd.forgetting import Forgetting
from peatd.gossip.members import Members
from peatd.limits import LimitHits
from peatd.links import Links
from peatd.measures import Durations, Histogram, Kind, Measure, counter, gauge
from peatd.peers import PeerState
from peatd.readiness import Report
from peatd.relay.part import Relaying
from peatd.replication import Replication

_ORIGINS = ("peer", "client", "api", "log", "store")
"""What an origin in the quarantine begins with; the last two are what is stored."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The measures of one node; a view of its parts.

    Attributes:
        lags: of the event loop, see `Watchdog`.
    """

    replication: Replication
    documents: Documents
    links: Links
    reception: Reception
    discovery: HybridDiscovery
    events: EventLog
    lags: Histogram
    hits: LimitHits
    forgetting: Forgetting
    members: Members
    relaying: Relaying

    def of_parts(self) -> Iterator[Measure | Durations]:
        """Documents, store, engine, links, members, clients, discovery, readers of events, the loop, and limits."""
        yield from self._of_documents()
        yield from self._of_store()
        yield from self._of_engine()
        yield from self._of_links()
        yield from self._of_members()
        yield from self.relaying.measures()
        yield from self._of_clients()
        yield from self._of_discovery()
        yield gauge("peat_event_readers", "Open streams of events.", self.events.reader_count)
        yield counter(
            "peat_event_resets_total", "Readers of events that were told that the past is gone.", self.events.resets
        )
        yield Durations("peat_loop_lag_seconds", "How late the event loop came to a beat; one each second.", self.lags)
        yield self.hits.measure()

    def _of_documents(self) -> Iterator[Measure | Durations]:
        table, merged = self.replication.table, self.replication.merged
        deleted = sum(1 for entry in table if entry.deleted)
        yield gauge("peat_documents", "Documents of this node.", len(table) - deleted)
        names = sum(1 for entry in table if entry.is_name)
        yield gauge("peat_documents_elsewhere", "Documents of which this node has only the name.", names)
        yield gauge("peat_tombstones", "Documents that were deleted, and are remembered as such.", deleted)
        forgetting = self.forgetting
        yield counter(
            "peat_tombstones_forgotten_total", "Tombstones that nobody needed any more.", forgetting.forgotten
        )
        yield counter("peat_documents_expired_total", "Documents deleted for their age, here.", forgetting.expired)
        yield counter(
            "peat_documents_missed_deletions_total",
            "Documents deleted here because peers that once had them have forgotten them: this node was away for long.",
            self.replication.missed,
        )
        yield gauge(
            "peat_horizon_nodes",
            "Nodes of which this one has at some time had all documents: what it lacks of theirs was deleted.",
            len(self.replication.horizon.known()),
        )
        yield Measure(
            "peat_updates_merged_total",
            Kind.COUNTER,
            "Changes that were new here, by where they came from.",
            [(("peer",), merged.from_peers), (("local",), merged.from_here)],
            ("origin",),
        )
        yield counter("peat_news_bytes_total", "Size of the changes that were new here.", merged.size_bytes)
        unreplicated = self.replication.unreplicated
        yield gauge(
            "peat_unreplicated_bytes",
            "Size of the changes made here since the start that no peer is known to have on its disk.",
            unreplicated.size_bytes,
        )
        yield Durations(
            "peat_replication_delay_seconds",
            "From a change made here until the first peer has it on its disk.",
            unreplicated.delays,
        )

    def _of_store(self) -> Iterator[Measure | Durations]:
        store = self.replication.store
        status = store.status()
        yield gauge("peat_store_up", "1 while writes to the disk succeed.", status.ready)
        yield gauge("peat_store_pending_bytes", "Recorded and not on the disk yet.", status.pending_bytes)
        yield gauge("peat_store_corrupt_rows", "Stored rows whose checksum was wrong.", status.corrupt_rows)
        yield counter("peat_store_records_total", "Changes recorded since the store was made.", store.last_seq)
        sizes = [((file,), size) for file, size in zip(("database", "log"), store.sizes_on_disk, strict=True)]
        yield Measure("peat_store_size_bytes", Kind.GAUGE, "Of the store's files on the disk.", sizes, ("file",))
        yield Durations("peat_store_sync_duration_seconds", "Group commits, fsync included.", store.sync_durations)

    def _of_engine(self) -> Iterator[Measure | Durations]:
        status = self.documents.status()
        yield gauge("peat_engine_up", "1 while all engine processes answer.", status.ready)
        yield gauge("peat_engine_waiting_requests", "Asked of the engine and not answered yet.", status.waiting)
        yield Durations(
            "peat_engine_merge_duration_seconds",
            "Until the engine had merged a change, what was before it included.",
            self.documents.merge_durations,
        )
        yield counter("peat_engine_restarts_total", "Engine processes that were replaced.", status.restarts)
        yield counter(
            "peat_quarantined_updates_total",
            "Updates that were set aside, in the life of the store.",
            self.replication.store.quarantined_count,
        )
        yield Measure(
            "peat_quarantine_additions_total",
            Kind.COUNTER,
            "Updates that were set aside since the start, by who brought them.",
            [((origin,), self.replication.store.quarantined_by.get(origin, 0)) for origin in _ORIGINS],
            ("origin",),
        )

    def _of_links(self) -> Iterator[Measure]:
        traffic = self.links.traffic()
        redundant = sum(exchange.sync.lazy.redundant for _, exchange in self.links.live())
        yield gauge(
            "peat_links_redundant_updates", "Updates that came over the present links and were no news.", redundant
        )
        yield counter("peat_links_total", "Links that came up.", traffic.links)
        for what, size_bytes, messages in (
            ("sent", traffic.sent_bytes, traffic.sent_messages),
            ("received", traffic.received_bytes, traffic.received_messages),
        ):
            yield counter(f"peat_link_{what}_bytes_total", f"Bytes {what} on links, before TLS.", size_bytes)
            yield counter(f"peat_link_{what}_messages_total", f"Messages {what} on links.", messages)
        yield counter(
            "peat_link_sent_update_bytes_total", "Of the bytes sent on links, changes.", traffic.sent_update_bytes
        )

    def _of_members(self) -> Iterator[Measure]:
        members = self.members.all()
        present = sum(1 for member in members if not member.card.left)
        yield gauge("peat_members", "Known members of the mesh, this node too, but for those that left.", present)
        missed = len(self.members.missed(trio.current_time()))
        yield gauge("peat_members_unreachable", "Known members that no way of links leads to.", missed)
        yield counter("peat_members_refused_total", "Members for which there was no place.", self.members.refused)

    def _of_clients(self) -> Iterator[Measure]:
        reception = self.reception
        yield gauge("peat_clients", "Yjs clients that are connected.", reception.clients)
        yield gauge("peat_clients_owed", "Places at documents whose client is behind.", reception.rooms.owed())
        yield gauge(
            "peat_awareness_states", "Awareness states known here, of all nodes.", reception.rooms.awareness.count()
        )
        yield counter("peat_clients_refused_total", "Handshakes that were answered with an error.", reception.refused)
        yield counter("peat_clients_turned_away_total", "Connections without a place.", reception.turned_away)

    def _of_discovery(self) -> Iterator[Measure]:
        states = self.discovery.statuses()
        ready = [((source,), state.ready) for source, state in states]
        fresh = [((source,), state.ready and state.message is None) for source, state in states]
        yield Measure("peat_discovery_ready", Kind.GAUGE, "1 once the source has had a list.", ready, ("source",))
        known = [((source,), self.discovery.known_to(source)) for source, _ in states]
        yield Measure("peat_discovery_peers", Kind.GAUGE, "Peers that the source knows.", known, ("source",))
        yield Measure("peat_discovery_fresh", Kind.GAUGE, "1 while what the source says is of now.", fresh, ("source",))


def of_node(version: str, node_id: str, uptime: float, report: Report) -> Iterator[Measure]:
    """Who it is, and whether it is ready."""
    yield Measure("peat_node_info", Kind.GAUGE, "Always 1.", [((node_id, version), 1)], ("node_id", "version"))
    yield gauge("peat_uptime_seconds", "Since the node started.", uptime)
    yield gauge("peat_ready", "1 while the node is ready.", report.ready)
    checks = [((check.name,), check.ready) for check in report.checks]
    yield Measure("peat_check_ready", Kind.GAUGE, "1 while the readiness check passes.", checks, ("check",))


def of_formation(custody: Custody) -> Iterator[Measure]:
    """By which secrets it is a member, and which keys are out."""
    fingerprints = custody.membership.fingerprints
    yield Measure(
        "peat_formation_secret_info",
        Kind.GAUGE,
        "Always 1: a formation secret that is accepted, the first one is used.",
        [((name, "accepted" if place else "first"), 1) for place, name in enumerate(fingerprints)],
        ("fingerprint", "use"),
    )
    without = len(custody.behind(fingerprints[0]))
    yield gauge("peat_peers_without_secret", "Known peers not known to accept the secret that is used here.", without)
    watch = custody.watch
    yield counter("peat_secret_reloads_total", "Times that the formation secrets were exchanged.", watch.reloads)
    failed = watch.failure is not None
    yield gauge("peat_secret_reload_failed", "1 while what the secret's file holds is not used.", failed)
    yield gauge("peat_revoked_keys", "Keys that are revoked.", len(custody.membership.revocations))


def of_peers(views: Sequence[PeerView]) -> Iterator[Measure]:
    """One value per peer that is known."""
    states = [((state.value,), sum(view.state == state.value for view in views)) for state in PeerState]
    yield Measure("peat_peers", Kind.GAUGE, "Known peers by state.", states, ("state",))

    def per_peer(name: str, meaning: str, value: Callable[[PeerView], float | None]) -> Measure:
        known = [((view.id,), found) for view in views if (found := value(view)) is not None]
        return Measure(name, Kind.GAUGE, meaning, known, ("peer",))

    # Of whom the mesh, being larger than a node keeps links, is linked by way of others, no link is missing.
    wanted = [view for view in views if view.state != PeerState.REACHABLE.value]
    yield Measure(
        "peat_peer_linked",
        Kind.GAUGE,
        "1 while the peer is linked; not of those that are linked by way of others.",
        [((view.id,), float(view.connected)) for view in wanted],
        ("peer",),
    )
    yield per_peer("peat_peer_owed_documents", "Documents it is not known to have.", lambda view: view.owed_documents)
    yield per_peer(
        "peat_peer_rtt_seconds", "Round trip of the last ping.", lambda view: view.rtt_ms and view.rtt_ms / 1000
    )
    yield per_peer("peat_peer_sync_age_seconds", "Since it last agreed with us.", lambda view: view.last_sync_secs)
