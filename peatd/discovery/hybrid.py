"""Several sources of peers as one.

A peer that two sources know under one node id is one peer: found with the first, lost with the last, and in between
what they say of it together.
"""

from collections.abc import Sequence

import trio

from peatd.discovery.events import (
    DiscoveryEvent,
    DiscoveryStatus,
    DiscoveryStrategy,
    PeerFound,
    PeerInfo,
    PeerLost,
    PeerUpdated,
)
from peatd.discovery.roster import Roster, Rostered
from peatd.discovery.slices import merge_peers
from peatd.errors import DiscoveryError
from peatd.names import NodeId


class HybridDiscovery(Rostered):
    """Any number of sources, in the order in which they are believed; none is allowed, and finds nobody.

    Invariant 1: a peer is known while at least one source's events say so.
    """

    source = "hybrid"

    def __init__(self, sources: Sequence[DiscoveryStrategy]) -> None:
        self._sources = tuple(sources)
        self._seen: tuple[dict[NodeId, PeerInfo], ...] = tuple({} for _ in self._sources)
        super().__init__(Roster(self.source))
        self._started = False

    def sources_of(self, node_id: NodeId) -> tuple[str, ...]:
        """The names of the sources that know this peer now, in their order."""
        names = (source.source for source, seen in zip(self._sources, self._seen, strict=True) if node_id in seen)
        return tuple(dict.fromkeys(names))

    def known_to(self, source_name: str) -> int:
        """How many peers the source of this name knows now."""
        return sum(
            len(seen) for source, seen in zip(self._sources, self._seen, strict=True) if source.source == source_name
        )

    def statuses(self) -> Sequence[tuple[str, DiscoveryStatus]]:
        """Of each source, by its name."""
        return [(source.source, source.status()) for source in self._sources]

    def status(self) -> DiscoveryStatus:
        """Ready when all sources are; the message says of which source each part is."""
        if not self._started:
            return DiscoveryStatus(False, "not started")
        states = self.statuses()
        messages = [f"{name}: {state.message}" for name, state in states if state.message]
        return DiscoveryStatus(all(state.ready for _, state in states), "; ".join(messages) or None)

    async def start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs all sources until stopped or cancelled.

        Raises:
            DiscoveryError: if a source raises it as it starts, whose name the message then has.
        """
        with self._roster.running():
            failure: DiscoveryError | None = None
            # Raised outside the nursery, which would make a group of it.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._roster.announce)
                try:
                    for position, source in enumerate(self._sources):
                        nursery.start_soon(self._listen, position, source.event_stream())
                        await nursery.start(source.start)
                except DiscoveryError as exc:
                    failure = exc
                    nursery.cancel_scope.cancel()
                else:
                    self._started = True
                    task_status.started()
                    await trio.sleep_forever()
            if failure is not None:
                raise DiscoveryError(f"{source.source} discovery: {failure}") from failure
        if not self._started:  # stopped before it began, which is no failure of the one who waits for it
            task_status.started()

    async def _listen(self, position: int, events: trio.MemoryReceiveChannel[DiscoveryEvent]) -> None:
        seen = self._seen[position]
        async for event in events:
            match event:
                case PeerFound(peer) | PeerUpdated(peer):
                    seen[peer.node_id] = peer
                    self._merge(peer.node_id)
                case PeerLost(node_id):
                    seen.pop(node_id, None)
                    self._merge(node_id)
        # A source that has ended knows nothing any more. (Invariant 1)
        for node_id in list(seen):
            del seen[node_id]
            self._merge(node_id)

    def _merge(self, node_id: NodeId) -> None:
        said = [seen[node_id] for seen in self._seen if node_id in seen]
        if said:
            self._roster.put(merge_peers(node_id, said))
        else:
            self._roster.lose(node_id)
