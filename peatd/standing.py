"""What a peer and we tell each other of our horizons over one link. Deciding is `horizon.py`'s."""

from collections.abc import Callable

import structlog
import trio

from peatd.entry import Entry
from peatd.horizon import mark_of
from peatd.names import NodeId
from peatd.replication import Replication
from peatd.sync import PeerSync
from peatd.wire.horizon import Horizon, Known

log = structlog.get_logger()

_LOOK = 1.0
"""Seconds, at least, between two looks whether there is something to tell, or to learn. What is made within the last of
them before a crash, and deleted while the node is away for longer than tombstones are kept, comes back with it."""
_HEARSAY = 10.0
"""Seconds before it is told that we know more of third nodes."""


class Standing:
    """One peer's side."""

    def __init__(self, replication: Replication, own: NodeId, peer: NodeId, sync: PeerSync) -> None:
        self._replication = replication
        self._own, self._peer = mark_of(own), mark_of(peer)
        self._sync = sync
        self._heard: Horizon | None = None
        self._known_there = 0
        self._said: tuple[int, int] | None = None
        self._said_changes = 0
        self._said_at = self._looked_at = 0.0
        self._gone: list[Entry] = []

    def say(self) -> None:
        """Before anything else is said on the link: by this the peer tells what it has forgotten."""
        horizon, table = self._replication.horizon, self._replication.table
        seq, living = self._replication.store.durable_seq, table.living.to_bytes(16, "big")
        self._sync.say(Horizon(horizon.epoch, seq, living, horizon.floor, horizon.known()))
        self._said, self._said_changes = self._present(), horizon.changes
        self._said_at = trio.current_time()

    def received(self, message: Horizon) -> None:
        self._heard = message
        self._known_there = self._replication.horizon.of(self._own, message.known)
        self._replication.horizon.raise_floor(message.floor)
        self._learn()

    def has_forgotten(self, entry: Entry) -> bool:
        """Whether the peer, which lacks this document, has had it: then it was deleted, and ends here too."""
        if entry.deleted or not 0 < entry.born <= self._known_there:
            return False
        self._gone.append(entry)
        self._replication.missed += 1
        self._replication.end(entry.key, self._sync.device_id)
        return True

    def look(self, wake: Callable[[], None]) -> None:
        """At every beat: tells what has changed, and learns."""
        now = trio.current_time()
        if now - self._looked_at < _LOOK:
            return
        self._looked_at = now
        self._learn()
        self._tell_gone()
        is_hearsay = self._replication.horizon.changes != self._said_changes
        if self._present() != self._said or (is_hearsay and now - self._said_at > _HEARSAY):
            self.say()
            wake()

    def _present(self) -> tuple[int, int]:
        """What is worth telling when it changes: the living documents, and how many of their numbers are durable."""
        replication = self._replication
        return replication.table.living, min(replication.newest, replication.store.durable_seq)

    def _learn(self) -> None:
        heard, replication = self._heard, self._replication
        if heard is not None and int.from_bytes(heard.living, "big") == replication.table.living:
            self._heard = None
            direct = Known(self._peer, heard.epoch, heard.seq)
            replication.horizon.learn(self._own, direct, heard.known)

    def _tell_gone(self) -> None:
        gone, self._gone = self._gone, []
        if gone:
            log.warning(
                "documents had been deleted while this node was away, and are deleted here now",
                documents=len(gone),
                one_of_them=gone[0].name,
                told_by=self._sync.device_id,
            )
