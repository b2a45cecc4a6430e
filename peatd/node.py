"""A node, put together: what is opened, in which order it starts, and how it stops. The file to read first.

    store ................ opened first, closed last, after its final sync
    └─ serving ........... engine, API, upkeep, watchdog: up first, down last; answers 503 while the rest winds down
       └─ mesh ........... listener, discovery, dialer: cancelled first, when the node is asked to stop

Leaving these blocks in order, each in bounded time, is the shutdown. Whatever fails here ends the process: an
orchestrator restarts it with a clean mind.
"""

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog
import trio

from peatd import orphans
from peatd.api.access import Locks
from peatd.api.app import create_app
from peatd.api.server import serve
from peatd.api.token import create_token
from peatd.awareness import Awareness
from peatd.byte_budget import ByteBudget
from peatd.clients.door import Door
from peatd.clients.listener import Reception, room_for_clients, serve_clients
from peatd.clients.rooms import Rooms
from peatd.clients.shelf import Shelf
from peatd.config import Config
from peatd.custody import Custody
from peatd.dialer import Dialer
from peatd.discovery.hybrid import HybridDiscovery
from peatd.discovery.members import MissedMembers
from peatd.discovery.sources import open_sources
from peatd.documents import Documents
from peatd.drain import Drain
from peatd.errors import ConfigError
from peatd.events import EventLog
from peatd.forgetting import Forgetting
from peatd.formation import Formation, parse_formation_secret
from peatd.formation_secret import SecretSource, ensure_formation_secret
from peatd.gossip.gossip import Gossip
from peatd.hangup import follow_hangups
from peatd.holding import Holding
from peatd.hosts import is_loopback
from peatd.interest import Interest
from peatd.keyfile import load_keypair
from peatd.leaving import take_leave
from peatd.limits import Limit, LimitHits
from peatd.links import Links
from peatd.local_library import LocalLibrary
from peatd.membership import Membership, credentials_of, hello_of
from peatd.memory import Shares, share_out
from peatd.metrics import Metrics
from peatd.names import Address, NodeId
from peatd.peers import PeerTable
from peatd.readiness import Readiness
from peatd.relay.part import Relaying
from peatd.replication import Replication
from peatd.revocation_file import RevocationFile, load
from peatd.runtime_files import remove, write_node_file
from peatd.secret_watch import SecretWatch
from peatd.service_manager import ServiceManager
from peatd.status import NodeStatus
from peatd.store import Store
from peatd.surroundings import open_files
from peatd.transport.dial import dial
from peatd.transport.link import Link
from peatd.transport.listener import listen
from peatd.upkeep import Upkeep
from peatd.view import View
from peatd.watchdog import Watchdog

log = structlog.get_logger()

_STORE_STUCK = 30.0  # seconds without progress of a store thread that has work; slow disks take one or two


async def run(config: Config, *, stopping: trio.Event, readiness: Readiness | None = None) -> None:
    """Runs a node until `stopping` is set.

    Args:
        readiness: checks of an embedding program; the node's own are added to it.

    Raises:
        ConfigError, StoreError, DiscoveryError: in exception groups, when it cannot start as configured.
    """
    formation = _formation(config)
    own_key = None if config.key_file is None else load_keypair(config.key_file)
    credentials = await credentials_of(formation, config.node_id, own_key)
    hello = hello_of(config.node_id, config.formation, config.collections.copies)
    shares = share_out(config.memory, config.engine_workers)
    async with Store.open(config.data_dir, pending_bytes=shares.pending) as store:
        membership = Membership(credentials, hello, load(config.data_dir, formation), own_key=own_key)
        await _Node(config, shares, membership, store, readiness or Readiness()).run(stopping)


def _formation(config: Config) -> Formation:
    text, origin, created = ensure_formation_secret(config)
    if created:
        log.info(
            "formation secret made",
            file=origin,
            hint="a node with a copy of this file joins: peatd --formation-secret-file FILE [--peer THIS_HOST:PORT]",
        )
    return Formation(config.formation, parse_formation_secret(text, origin))


class _Node:
    """The parts of one node, wired."""

    def __init__(
        self, config: Config, shares: Shares, membership: Membership, store: Store, readiness: Readiness
    ) -> None:
        self._config = config
        self._membership = membership
        self._store = store
        self._drain = Drain()
        self._hits = hits = LimitHits()
        self._documents = Documents(
            store,
            engine=config.engine,
            workers=config.engine_workers,
            shrunk=lambda key, reach: self._replication.shrunk(key, reach),
            memory_bytes=shares.engine,
            max_document_bytes=shares.document,
            max_open_bytes=shares.open_documents,
            max_waiting_bytes=shares.waiting,
            hits=hits,
        )
        interest = Interest(config.collections.copies)
        self._replication = Replication(store, self._documents, config.tombstone_ttl, interest)
        self._replication.table.bound(shares.documents, shares.changes, partial(hits.hit, Limit.DOCUMENTS))
        awareness = Awareness()
        self._requests = ByteBudget(shares.requests, Limit.REQUEST_MEMORY, hits)
        rooms = Rooms(self._replication, awareness, Shelf(shares.client_diffs, hits))
        self._reception = Reception(
            rooms,
            self._drain,
            max_clients=min(room_for_clients(open_files()), shares.clients),
            messages_bytes=shares.client_messages,
            hits=hits,
        )
        self._upkeep = Upkeep(self._replication)
        self._forgetting = Forgetting(self._replication, config.collections.ttls)
        self._events = EventLog(membership.hello.instance[:8].hex())
        self._replication.watch(self._events)
        self._peers = PeerTable(NodeId(config.node_id), membership.device_id)
        membership.watch(self._rekeyed)  # first: the others look at the peers
        self._gossip = Gossip(membership, NodeId(config.node_id), self._drain)
        self._holding = Holding(self._replication, self._gossip.members, config.max_links)
        view = View(self._gossip.members, config.max_links, self._gossip.linked_devices)
        missed = MissedMembers(self._gossip.members, self._peers.is_sighted, view)
        self._discovery = HybridDiscovery(open_sources(config, lambda: self._status.ourselves(), missed))
        of_links = (membership, self._peers, self._replication, self._drain, awareness, self._gossip, view)
        self._links = Links(*of_links, hits=hits, updates_bytes=shares.peer_updates)
        self._secret_watch = SecretWatch(SecretSource(config), membership)
        self._revocation_file = RevocationFile(config.data_dir, membership.revocations)
        membership.watch(self._revocation_file.changed)
        self._relaying = Relaying(config.relays, membership, hits, self._links, self._dial)
        library = LocalLibrary(self._replication, self._drain, self._holding.fetch)
        self._watchdog = Watchdog()
        self._service_manager = ServiceManager(config.notify_socket, config.watchdog)
        metrics = Metrics(
            self._replication,
            self._documents,
            self._links,
            self._reception,
            self._discovery,
            self._events,
            self._watchdog.lags,
            hits,
            self._forgetting,
            self._gossip.members,
            self._relaying,
        )
        self._status = NodeStatus(
            config,
            Custody(membership, self._secret_watch, self._revocation_file, self._peers),
            library,
            self._peers,
            self._links,
            readiness,
            self._drain,
            self._stuck,
            metrics,
            self._events,
            self._gossip,
            self._relaying,
        )
        self._add_checks(readiness)

    async def run(self, stopping: trio.Event) -> None:
        config = self._config
        token_file = config.data_dir / "api.token"
        token = create_token(token_file)
        try:
            async with trio.open_nursery() as serving:
                serving.start_soon(self._watchdog.beat)
                serving.start_soon(self._service_manager.reassure, self._stuck)
                serving.start_soon(follow_hangups, self._secret_watch.reload, stopping.set)
                serving.start_soon(self._secret_watch.run)
                serving.start_soon(self._revocation_file.run)
                if os.getpid() == orphans.FIRST_PROCESS:
                    serving.start_soon(orphans.reap, self._documents.pids)
                with trio.CancelScope() as starting:
                    # Asked to stop, it does not wait for an engine that does not come up.
                    serving.start_soon(_cancel_when, stopping, starting)
                    await serving.start(self._documents.run)
                    serving.start_soon(self._upkeep.run)
                    serving.start_soon(self._forgetting.run)
                    serving.start_soon(self._replication.pulse.run)
                    serving.start_soon(self._holding.run)
                    app = create_app(self._status, Locks(token, self._membership.client_token_keys), config.demo_page)
                    serving_api = partial(serve, app, hits=self._hits, memory=self._requests)
                    bound = await serving.start(partial(serving_api, tcp=config.api, unix=config.data_dir / "api.sock"))
                    self._status.listening["api"] = bound.tcp[0]
                if not starting.cancelled_caught:
                    await self._mesh(stopping, token)
                    self._upkeep.save()
                    self._forgetting.save()
                self._events.close()  # else the API would wait for those who follow them
                serving.cancel_scope.cancel()
        finally:
            remove(token_file)

    async def _mesh(self, stopping: trio.Event, token: str) -> None:
        node_file, manager = self._config.data_dir / "node.json", self._service_manager
        async with trio.open_nursery() as mesh:
            dialer = Dialer(self._peers, self._links, self._relaying.link, self._discovery.sources_of)
            self._membership.watch_secrets(dialer.renew)

            async def welcome(link: Link) -> None:
                if not self._links.is_revoked(link.peer.device_id):
                    dialer.arrived(link.peer, link.address.host)
                await self._links.keep(link)

            listening = partial(listen, self._config.bind, self._membership.present, welcome, hits=self._hits)
            listened = self._status.listening["mesh"] = (await mesh.start(listening))[0]
            mesh.start_soon(self._gossip.run, listened.port)
            if self._config.clients is not None:
                serving = partial(serve_clients, self._config.clients, self._reception, partial(self._door, token))
                self._status.listening["clients"] = (await mesh.start(serving))[0]
            relaying = partial(self._relaying.run, self._peers, welcome)
            self._status.listening["relay"] = await mesh.start(relaying)
            mesh.start_soon(dialer.run, self._discovery.event_stream())
            await mesh.start(self._discovery.start)
            write_node_file(node_file, self._stated())
            self._membership.watch_secrets(partial(self._state_anew, node_file))
            try:
                log.info("node up", node_id=self._config.node_id, **self._status.addresses())
                await manager.ready()
                mesh.start_soon(manager.follow, self._links)
                await stopping.wait()
                await manager.stopping(self._config.drain_delay)
                await take_leave(self._drain, self._config.drain_delay, self._links, self._replication)
            finally:
                remove(node_file)
            mesh.cancel_scope.cancel()

    def _door(self, token: str, host: str) -> Door:
        keys, origins = self._membership.client_token_keys, self._config.client_origins
        return Door(token, keys, origins, loopback=is_loopback(host))

    async def _dial(self, addresses: Sequence[Address]) -> Link:
        return await dial(addresses, *self._membership.present(), self._links.declines)

    def _rekeyed(self) -> None:
        self._peers.own_device = self._membership.device_id

    def _state_anew(self, node_file: Path) -> None:
        try:
            write_node_file(node_file, self._stated())
        except ConfigError as exc:  # a full disk: what it states of our key is of yesterday, no more
            log.warning("node.json not rewritten", reason=str(exc))

    def _stated(self) -> dict[str, object]:
        who = {"node_id": self._config.node_id, "device_id": self._membership.device_id}
        return {**who, **self._status.addresses(), "pid": os.getpid()}

    def _add_checks(self, readiness: Readiness) -> None:
        readiness.add("identity", self._membership.revoked)
        readiness.add("store", self._store.status)
        readiness.add("transport", lambda: None if self._status.listening["mesh"] else "not listening yet")
        readiness.add("discovery", self._discovery.status)
        readiness.add("drain", self._drain.status)
        readiness.add("partition", self._gossip.status)

    def _stuck(self) -> str | None:
        heartbeat = self._store.heartbeat
        if heartbeat is not None and time.monotonic() - heartbeat > _STORE_STUCK:
            return f"the store has made no progress for {time.monotonic() - heartbeat:.0f} s: is its disk hanging?"
        return None


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
