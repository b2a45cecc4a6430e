"""Keeps a link to everyone that discovery knows: dials, dials again, for ever."""

import ipaddress
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache, partial

import structlog
import trio

from peatd.claims import Verdict
from peatd.discovery.events import DiscoveryEvent, PeerFound, PeerLost, PeerUpdated
from peatd.errors import Declined, PeerError
from peatd.links import Links
from peatd.names import DeviceId, NodeId
from peatd.peers import PeerTable, Sighting
from peatd.pursuit import LIVED, Pursuit
from peatd.transport.link import Link, LinkEnd, LinkPeer

log = structlog.get_logger()

_FOR_ANOTHER_KEY = 900.0
"""Seconds until an address is tried again at which a revoked node answered."""

_LOOK = (1.0, 3.0)
"""Seconds until a look whether somebody is to be dialled now: who is present changes without a link of ours."""

_TURNS = 10
"""Of the loop, in which nothing comes, until all is taken to be there that a source tells at once. In a large mesh a
node dials some of its peers, and not those that it and every other node are told of first."""

_FOR_AN_OPERATOR = (Verdict.TWIN.value, Verdict.REVOKED.value, Verdict.FULL.value)
"""Ends of links that trying again does not mend soon."""


class Dialer:
    """Turns discovery's events into links."""

    def __init__(
        self,
        peers: PeerTable,
        links: Links,
        dial: Callable[[Sighting], Awaitable[Link]],
        sources_of: Callable[[NodeId], tuple[str, ...]],
    ) -> None:
        self._peers = peers
        self._links = links
        self._dial = dial
        self._sources_of = sources_of
        self._pursuits: dict[NodeId, Pursuit] = {}

    async def run(self, events: trio.MemoryReceiveChannel[DiscoveryEvent]) -> None:
        async with trio.open_nursery() as nursery, events:
            nursery.start_soon(self._look)
            async for event in events:
                found = self._take([event, *await _more(events)])
                for pursuit in random.sample(found, len(found)):
                    nursery.start_soon(self._pursue, pursuit, nursery)

    def _take(self, events: Iterable[DiscoveryEvent]) -> Sequence[Pursuit]:
        """Those that have begun."""
        found = []
        for event in events:
            match event:
                case PeerFound(info):
                    self._peers.sighted(info, partial(self._sources_of, info.node_id))
                    pursuit = self._pursuits[info.node_id] = Pursuit(info.node_id)
                    found.append(pursuit)
                case PeerUpdated(info):
                    self._peers.sighted(info, partial(self._sources_of, info.node_id))
                    self._pursuits[info.node_id].begin_anew()
                case PeerLost(node_id):
                    self._peers.lost(node_id, trio.current_time())
                    self._pursuits.pop(node_id).stop()
        return found

    async def _look(self) -> None:
        """Has those look again whose link has ended, at once; and now and then those who need not be dialled. There is
        one task for all: in a large mesh they are hundreds, and each look at each link that comes or goes was most of
        what such a mesh costs."""
        look_at = trio.current_time()
        while True:
            with trio.move_on_at(look_at):
                await self._links.changed.wait()
            is_due = trio.current_time() >= look_at
            if is_due:
                look_at = trio.current_time() + random.uniform(*_LOOK)
            lacking = 0 if is_due else self._links.view.lacking
            looking = (p for p in self._pursuits.values() if p.is_idle and (is_due or lacking or p.is_content))
            idle = [pursuit for pursuit in looking if not self._peers.is_linked(pursuit.node_id)]
            for number, pursuit in enumerate(random.sample(idle, len(idle))):
                if is_due or pursuit.is_content or number < lacking:
                    pursuit.nudge.set()

    def arrived(self, peer: LinkPeer, host: str) -> None:
        """It has dialled us from there: whoever we could not reach there may be up now, and DNS names may mean it. One
        whom no sighting is known to be may be anyone who has not answered yet, whatever address it dials from."""
        is_known = self._peers.is_sighted(peer.node_id, peer.device_id)
        for pursuit in self._pursuits.values():
            sighting = self._peers.sighting(pursuit.node_id)
            if sighting is None or pursuit.is_twin:
                continue
            may_be = not is_known and (sighting.device_id is None or self._links.is_revoked(sighting.device_id))
            if may_be or any(a.host == host or not _is_ip(a.host) for a in sighting.info.addresses):
                pursuit.nudge.set()

    def renew(self) -> None:
        """Our secret has changed, and our key with it: who was not let in, or did not let us in, may be now."""
        for pursuit in self._pursuits.values():
            pursuit.begin_anew()

    async def _pursue(self, pursuit: Pursuit, nursery: trio.Nursery) -> None:
        while not pursuit.is_lost:
            link = None
            with pursuit.stoppable():
                link = await self._next_link(pursuit)
            if link is None:
                continue
            if self._is_anothers(pursuit, link):
                nursery.start_soon(self._links.keep, link)
                self._peers.forget_answer(pursuit.node_id)
                end = None
            else:
                end = await self._links.keep(link)
                self._learn(pursuit, link, end)
            with pursuit.stoppable():
                await self._pause(pursuit, longest=end is not None and end.code in _FOR_AN_OPERATOR)

    def _is_anothers(self, pursuit: Pursuit, link: Link) -> bool:
        """Whether we have found somebody else whom discovery knows, too. That link is good; whom we look for may answer
        at another of its addresses, of which one was wrong: old, or a lie."""
        sighting = self._peers.sighting(pursuit.node_id)
        is_another = link.peer.node_id != pursuit.node_id and self._peers.sighting(link.peer.node_id) is not None
        has_others = sighting is not None and len(sighting.info.addresses) > 1
        return is_another and has_others and self._links.judged(link.peer) is Verdict.KEEP

    async def _next_link(self, pursuit: Pursuit) -> Link | None:
        """Waits until nobody is linked under that name, and dials once; a pause follows when that failed."""
        while not self._is_due(pursuit.node_id):
            pursuit.rest(self._peers.is_linked(pursuit.node_id), trio.current_time())
            await pursuit.nudge.wait()
            if pursuit.is_lost:
                return None  # in this very moment: what cancels us comes with the next wait only
            pursuit.nudge, pursuit.is_idle = trio.Event(), False
        if pursuit.had_brief_link(trio.current_time()):
            await self._pause(pursuit, longest=False)
            return None
        sighting = self._peers.sighting(pursuit.node_id)
        assert sighting is not None
        if self._links.is_revoked(sighting.device_id):
            await self._wait_for_another_key(pursuit, sighting)
            return None
        sighting.dialing = True
        try:
            with self._links.view.dialing():
                link = await self._dial(sighting)
        except Declined as declined:
            # Under that name discovery speaks of a node that is linked: it is one peer, and needs no other link. Or it
            # has links enough, as we have, and is to be asked again later.
            sighting.device_id, sighting.error, sighting.dialing = DeviceId(declined.device_id), None, False
            self._peers.tell()
            if not self._peers.is_linked(pursuit.node_id):
                await self._pause(pursuit, longest=False)
            return None
        except PeerError as error:
            if str(error) != sighting.error:
                log.warning("cannot link", peer=pursuit.node_id, error=str(error))
                sighting.error = str(error)
                self._peers.tell(pursuit.node_id)
            await self._pause(pursuit, longest=False)
            return None
        # Of a twin not even for the moment that it is up: it would be shown as whom it takes itself for.
        sighting.device_id = None if self._links.judged(link.peer) is Verdict.TWIN else link.peer.device_id
        sighting.error = None
        if link.peer.via is None:
            sighting.last_good = link.address
        self._peers.tell()
        if link.peer.node_id != pursuit.node_id != str(link.address):
            log.info("peer answers to another name", sighted=pursuit.node_id, peer=link.peer.node_id)
        return link

    def _is_due(self, node_id: NodeId) -> bool:
        """Whether it is to be dialled now: it is not linked, and the mesh is full or needs it."""
        if self._peers.is_linked(node_id):
            return False
        sighting = self._peers.sighting(node_id)
        assert sighting is not None
        is_wanted = self._links.view.wants(node_id, sighting.device_id, len(self._pursuits), trio.current_time())
        if sighting.is_spared == is_wanted:
            sighting.is_spared, sighting.dialing = not is_wanted, is_wanted
            self._peers.tell(node_id)
        return is_wanted

    async def _wait_for_another_key(self, pursuit: Pursuit, sighting: Sighting) -> None:
        """Whoever answers there is revoked: until something is known anew, there is nobody to dial. Behind a name there
        may be others, and a node may come back with another key and not be able to dial us."""
        sighting.dialing = False
        has_name = any(not _is_ip(address.host) for address in sighting.info.addresses)
        with trio.move_on_after(pursuit.backoff.longest(random.random()) if has_name else _FOR_ANOTHER_KEY):
            await pursuit.nudge.wait()
        pursuit.nudge = trio.Event()
        sighting.device_id = None

    def _learn(self, pursuit: Pursuit, link: Link, end: LinkEnd) -> None:
        """What the end of a link says about the next dial."""
        if trio.current_time() - link.opened_at >= LIVED:
            pursuit.backoff.reset()
        sighting = self._peers.sighting(pursuit.node_id)
        pursuit.is_twin = end.code == Verdict.TWIN.value
        if end.code == Verdict.ROTATED.value:
            pursuit.begin_anew()
        if sighting is not None and self._links.is_revoked(link.peer.device_id):
            sighting.error = end.message
            self._peers.tell()
        if sighting is not None and pursuit.is_twin:
            sighting.error = end.message
            sighting.device_id = None  # the peer may be the one who says so
            self._peers.tell()

    async def _pause(self, pursuit: Pursuit, *, longest: bool) -> None:
        sighting = self._peers.sighting(pursuit.node_id)
        if sighting is not None:
            sighting.dialing = False
        backoff = pursuit.backoff
        ceiling = self._peers.longest_pause(pursuit.node_id, trio.current_time())
        pause = backoff.longest(random.random()) if longest else backoff.pause(random.random(), ceiling)
        with trio.move_on_after(pause):
            await pursuit.nudge.wait()
            pursuit.nudge = trio.Event()


async def _more(events: trio.MemoryReceiveChannel[DiscoveryEvent]) -> Sequence[DiscoveryEvent]:
    """What else is told at once."""
    more: list[DiscoveryEvent] = []
    turns = 0
    while turns < _TURNS:
        try:
            more.append(events.receive_nowait())
            turns = 0
        except trio.WouldBlock:
            turns += 1
        except trio.EndOfChannel:
            break
        await trio.lowlevel.checkpoint()
    return more


@lru_cache(maxsize=4096)  # each that dials us is looked for among all that are known
def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
