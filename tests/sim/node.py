"""A node: all that `peatd.node` wires, but for sockets, the HTTP server and the engine's process; and its machine."""

import hashlib
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from fakes.links import credentials, hello, peer
from sim.disk import Disk
from sim.engine import EngineHere
from sim.network import PORT, Network
from sim.plan import Plan
from sim.stage import ACTING

from peatd.awareness import Awareness
from peatd.dialer import Dialer
from peatd.discovery.events import DiscoveryEvent, PeerFound, PeerInfo, PeerLost
from peatd.documents import Documents
from peatd.drain import Drain
from peatd.engine.library import Library
from peatd.engine.pycrdt import Pycrdt
from peatd.engine.y_py import YPy
from peatd.entry import Copy
from peatd.errors import StoreError, Unavailable
from peatd.events import EventLog
from peatd.gossip.gossip import Gossip
from peatd.holding import Holding
from peatd.interest import Copies, Interest
from peatd.leaving import take_leave
from peatd.links import Links
from peatd.local_library import LocalLibrary
from peatd.membership import Membership
from peatd.names import Address, DocumentName, NodeId
from peatd.peers import PeerTable, Sighting
from peatd.replication import Replication
from peatd.revocations import Revocations
from peatd.store import Store
from peatd.transport.link import Link
from peatd.upkeep import Upkeep
from peatd.view import View

LIBRARIES: dict[str, Callable[[], Library]] = {"y-py": YPy, "pycrdt": Pycrdt}
_THREAD_DELAY = 0.003
_ENGINE_DELAY = 0.002

_LINGER = 20.0
"""Seconds for which documents stay that were asked for: so that they go in a run."""

Logged = Callable[["Life", str, str, dict[str, Any]], None]
State = tuple[int, bool, bytes, bytes]


class Machine:
    """What stays of a node from one life to the next.

    Attributes:
        life: the present one; None while it is down.
        lives: how often it was started.
        slowness: how many times slower its disk is than usual.
        faulty_until, slow_until: so long its disk may be said to fail, or not to write in time.
        boot_crashes: the share of starts in the middle of which it loses its power.
        lost_disks: how often its disk was replaced by an empty one.
    """

    def __init__(self, name: str, plan: Plan, root: Path, network: Network, logged: Logged) -> None:
        self.name = name
        self.life: Life | None = None
        self.lives = self.lost_disks = 0
        self.slowness = 1.0
        self.clock_offset = 0.0
        self.faulty_until = self.slow_until = -math.inf
        self.starting = trio.Lock()
        self.boot_crashes = plan.boot_crashes
        self.max_links = plan.max_links
        self.chance = random.Random(f"{plan.seed} {name}")
        self.disk = Disk(root, name, self.chance)
        self.library = LIBRARIES[plan.libraries[name]]
        self.network = network
        self.copies = {} if plan.copies is None else {"notes": Copies(plan.copies, linger=_LINGER)}
        self.logged = logged

    async def run(self, others: list[str], *, task_status: trio.TaskStatus["Life | None"]) -> None:
        """One life, until it ends one way or another; `started(None)` if its disk does not let it begin, or it loses
        its power before it is up."""
        self.lives += 1
        life = Life(self)
        ACTING.set(life)
        with life.scope:
            try:
                directory = self.disk.begin_life()
                if self.chance.random() < self.boot_crashes:
                    self.disk.end_life_at(
                        self.chance.randrange(1, 12), lambda: self.end(life, power=True, silently=False)
                    )
                async with Store.open(directory) as store:
                    await life.run(store, others, partial(self._up, life, task_status))
                    await life.quit()
            except StoreError:
                if not life.is_over and trio.current_time() > self.faulty_until:
                    raise
        self.end(life, power=False, silently=False)
        if not life.was_up:
            task_status.started(None)

    def _up(self, life: "Life", task_status: trio.TaskStatus["Life | None"]) -> None:
        self.disk.spare()
        life.was_up = True
        self.life = life
        task_status.started(life)

    def end(self, life: "Life", *, power: bool, silently: bool) -> None:
        """From this moment on, nothing that the life does has any effect."""
        if life.is_over:
            return
        life.is_over = True
        if self.life is life:
            self.life = None
        life.ended.set()
        self.disk.end_life(power=power)
        self.network.leave(self.name, silently=silently)
        life.scope.cancel()


class Life:
    """One run of a node, from its start to its end. An `Actor` (stage.py)."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.number = machine.lives
        self.scope = trio.CancelScope()
        self.stopping, self.ended = trio.Event(), trio.Event()
        self.is_over = self.is_serving = self.was_up = False
        self.engines: list[EngineHere] = []

    # As the stage sees it --------------------------------------------------------------------------------------

    @property
    def clock_offset(self) -> float:
        return self.machine.clock_offset

    def thread_delay(self) -> float:
        chance = self.machine.chance
        return chance.choice((0.0, chance.uniform(0.0, _THREAD_DELAY))) * self.machine.slowness

    def engine(self) -> EngineHere:
        made = EngineHere(self.machine.library(), self.machine.chance, _ENGINE_DELAY)
        self.engines.append(made)
        return made

    def logged(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.machine.logged(self, level, event, fields)

    # As `peatd.node` has it ------------------------------------------------------------------------------------

    async def run(self, store: Store, others: list[str], up: Callable[[], object]) -> None:
        self._wire(store)
        async with trio.open_nursery() as serving:
            self.clients = serving
            self.seen: dict[str, None] = {}
            await serving.start(self.documents.run)
            serving.start_soon(self.upkeep.run)
            serving.start_soon(self.replication.pulse.run)
            if self.machine.copies:  # else it has nothing to do, and seeds stay what they were
                serving.start_soon(self.holding.run)
            async with trio.open_nursery() as mesh:
                dialer = Dialer(self.peers, self.links, self._dial, lambda _: ("static",))
                mesh.start_soon(self._listen, dialer)
                mesh.start_soon(self.gossip.run, PORT)
                self._found, events = trio.open_memory_channel[DiscoveryEvent](math.inf)
                mesh.start_soon(dialer.run, events)
                mesh.start_soon(self._discover, others)
                self.is_serving = True
                up()
                await self.stopping.wait()
                await take_leave(self.drain, 0.0, self.links, self.replication)
                mesh.cancel_scope.cancel()
            self.upkeep.save()
            self.events.close()
            self.is_serving = False
            serving.cancel_scope.cancel()

    async def quit(self) -> None:
        """What remains is the store's."""
        self.machine.network.leave(self.machine.name, silently=False)

    def _wire(self, store: Store) -> None:
        own = peer(self.machine.name, initiating=False)
        self.instance = hashlib.sha256(f"{own.node_id} {self.number}".encode()).digest()[:16]
        self.store = store
        self.drain = Drain()
        self.documents = Documents(store, shrunk=lambda key, reach: self.replication.shrunk(key, reach))
        copies, own_device = self.machine.copies, bytes.fromhex(own.device_id)
        self.replication = Replication(store, self.documents, interest=Interest(copies, own_device))
        self.upkeep = Upkeep(self.replication)
        self.events = EventLog(self.instance[:8].hex())
        self.replication.watch(self.events)
        self.peers = PeerTable(own.node_id, own.device_id)
        said = msgspec.structs.replace(hello(self.machine.name), instance=self.instance)
        membership = Membership(credentials(self.machine.name), said, Revocations())
        self.gossip = Gossip(membership, own.node_id, self.drain)
        view = View(self.gossip.members, self.machine.max_links, self.gossip.linked_devices)
        self.holding = Holding(self.replication, self.gossip.members, self.machine.max_links)
        self.links = Links(membership, self.peers, self.replication, self.drain, Awareness(), self.gossip, view)
        self.library = LocalLibrary(self.replication, self.drain, self.holding.fetch)

    async def _listen(self, dialer: Dialer) -> None:
        arrived, arriving = trio.open_memory_channel[Link](math.inf)
        self.machine.network.listen(self.machine.name, self.instance, arrived.send_nowait)

        async def welcome(link: Link) -> None:
            dialer.arrived(link.peer, link.address.host)
            await self.links.keep(link)

        async with trio.open_nursery() as nursery:
            async for link in arriving:
                nursery.start_soon(welcome, link)

    async def _discover(self, others: list[str]) -> None:
        chance = self.machine.chance
        for name in chance.sample(others, len(others)):
            await trio.sleep(chance.choice((0.0, chance.uniform(0.0, 2.0 / len(others)))))
            self.sees(name)

    def sees(self, name: str) -> None:
        """Its discovery finds that node."""
        if name not in self.seen:
            self.seen[name] = None
            self._discovered(PeerFound(PeerInfo(NodeId(name), (Address(name, PORT),))))

    def loses_sight_of(self, name: str) -> None:
        """Its discovery does not know that node any more."""
        if name in self.seen:
            del self.seen[name]
            self._discovered(PeerLost(NodeId(name)))

    def _discovered(self, event: DiscoveryEvent) -> None:
        with suppress(trio.BrokenResourceError):  # the mesh of this life is down already
            self._found.send_nowait(event)

    async def _dial(self, sighting: Sighting) -> Link:
        return await self.machine.network.dial(self.machine.name, sighting.info.addresses[0])

    # As its users see it ---------------------------------------------------------------------------------------

    def states(self) -> dict[DocumentName, State]:
        """What it has: incarnation, deleted, state vector and digest of every document."""
        return {
            entry.name: (entry.incarnation, entry.deleted, b"", b"")
            if entry.deleted
            else (entry.incarnation, entry.deleted, entry.reach.state_vector(), entry.reach.digest())
            for entry in self.replication.table
        }

    def held(self, *, whole: bool = False) -> set[DocumentName]:
        """The living documents of which it has, or is to have, more than the name; or has all."""
        places = (Copy.WHOLE,) if whole else (Copy.WHOLE, Copy.COMING)
        return {entry.name for entry in self.replication.table if not entry.deleted and entry.copy in places}

    async def json(self) -> dict[DocumentName, dict[str, Any]]:
        """The JSON of every living document, its other roots beside it; without those that nobody has any more."""
        living = sorted(entry.name for entry in self.replication.table if not entry.deleted)
        views = {}
        for name in living:
            with suppress(Unavailable):
                views[name] = await self.library.read(name)
        return {name: {"data": dict(view.document), **view.roots} for name, view in views.items()}

    @contextmanager
    def acting(self) -> Iterator[None]:
        """For a block of a task that was not begun by this life."""
        token = ACTING.set(self)
        try:
            yield
        finally:
            ACTING.reset(token)
