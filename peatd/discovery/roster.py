"""What a source knows now, and what of it has been announced.

A source says what is known, synchronously and as often as it likes; one task announces the difference. So nothing is
queued without bound and a slow listener never holds up a source: it hears less often, and of the last state only.

Words: a peer is *owed* when what is known of it is not what was last announced.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import trio

from peatd.discovery.events import DiscoveryEvent, PeerFound, PeerInfo, PeerLost, PeerUpdated
from peatd.errors import DiscoveryError, EventStreamConsumed
from peatd.names import NodeId

_BUFFERED_EVENTS = 100
"""Events that wait for a listener before changes of the same peer fall together; upstream's channel has as many."""


class Roster:
    """The peers of one source.

    Invariants:
        1. The events sent so far, applied in order to nothing, give what is announced.
        2. A peer whose known and announced states differ is owed.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._known: dict[NodeId, PeerInfo] = {}
        self._announced: dict[NodeId, PeerInfo] = {}
        self._owed: dict[NodeId, None] = {}  # a dict for its order: first owed, first announced
        self._wake = trio.Event()
        self._send, self._receive = trio.open_memory_channel[DiscoveryEvent](_BUFFERED_EVENTS)
        self._taken = False
        self._scope: trio.CancelScope | None = None

    def peers(self) -> Sequence[PeerInfo]:
        return tuple(self._known.values())

    def event_stream(self) -> trio.MemoryReceiveChannel[DiscoveryEvent]:
        """The events, once.

        Raises:
            EventStreamConsumed: the second time.
        """
        if self._taken:
            raise EventStreamConsumed(
                f"the events of {self._source} discovery were taken already: they go to one place"
            )
        self._taken = True
        return self._receive

    def put(self, peer: PeerInfo) -> None:
        """A peer is known to be this."""
        if self._known.get(peer.node_id) != peer:
            self._known[peer.node_id] = peer
            self._owe(peer.node_id)

    def lose(self, node_id: NodeId) -> None:
        """A peer is known no more."""
        if self._known.pop(node_id, None) is not None:
            self._owe(node_id)

    def replace(self, peers: Mapping[NodeId, PeerInfo]) -> None:
        """These and no others are known."""
        for peer in peers.values():
            self.put(peer)
        for node_id in [known for known in self._known if known not in peers]:
            self.lose(node_id)

    @contextmanager
    def running(self) -> Iterator[trio.CancelScope]:
        """The life of the source: ends when cancelled or stopped, and its event stream with it.

        Raises:
            DiscoveryError: the second time; a stream that has ended cannot go on.
        """
        if self._scope is not None:
            raise DiscoveryError(f"{self._source} discovery was started already: make a new one to start again")
        with self._send, trio.CancelScope() as self._scope:
            yield self._scope

    def stop(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    async def announce(self) -> None:
        """Sends what is owed, until the listener closes the stream."""
        with suppress(trio.BrokenResourceError):
            while True:
                await self._wake.wait()
                while self._owed:
                    event = self._event(next(iter(self._owed)))
                    if event is not None:
                        # The state may change again while this waits for room; the peer is owed anew then.
                        await self._send.send(event)
                self._wake = trio.Event()

    def _owe(self, node_id: NodeId) -> None:
        self._owed[node_id] = None  # Invariant 2
        self._wake.set()

    def _event(self, node_id: NodeId) -> DiscoveryEvent | None:
        """Takes the peer as announced. A change that was undone meanwhile comes to nothing."""
        del self._owed[node_id]
        before, now = self._announced.get(node_id), self._known.get(node_id)
        if now == before:
            return None
        if now is None:
            del self._announced[node_id]
            return PeerLost(node_id)
        self._announced[node_id] = now
        return PeerFound(now) if before is None else PeerUpdated(now)


class Rostered:
    """The part of a source (`events.DiscoveryStrategy`) that its roster answers for."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def stop(self) -> None:
        self._roster.stop()

    def discovered_peers(self) -> Sequence[PeerInfo]:
        return self._roster.peers()

    def event_stream(self) -> trio.MemoryReceiveChannel[DiscoveryEvent]:
        return self._roster.event_stream()
