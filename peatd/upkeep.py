"""What keeps the store small, quick to open and true: snapshots, saved reaches, and repair after damage."""

from collections.abc import Callable

import structlog
import trio

from peatd.errors import PeatError
from peatd.names import DocumentKey, DocumentName
from peatd.reach import Reach
from peatd.replication import Replication
from peatd.table import Entry
from peatd.update import check

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds between rounds: a document that outgrows its snapshot at 5,000 updates a second is folded in time."""

_TAIL_BYTES = 64 * 1024
_TAIL_ROWS = 1000
"""A document's updates are folded into a snapshot when they are more than this, and more than the snapshot itself:
so each byte is rewritten a bounded number of times, and opening a document stays quick."""


class Upkeep:
    """Looks after the documents that have changed since its last round."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._store = replication.store
        self._damaged: set[DocumentKey] = set()
        self._postponed: dict[DocumentName, int] = {}
        self._store.watch_damage(self._damaged.add)

    async def run(self) -> None:
        while True:
            await trio.sleep(INTERVAL)
            changed = self._replication.unsaved.copy()
            self.save()
            for name in changed:
                if self._has_outgrown(name):
                    await self._fold(name, self._folded)
            while self._damaged:
                await self._fold(self._damaged.pop().name, self._repaired)

    def save(self) -> None:
        """Saves what the changed documents reach, so that the next start need not read their updates."""
        table = self._replication.table
        for name in self._replication.unsaved:
            entry = table.get(name)
            if entry is not None and not entry.deleted:
                self._store.checkpoint(entry.key, entry.reach.encode())
        self._replication.unsaved.clear()

    def _has_outgrown(self, name: DocumentName) -> bool:
        tail_bytes = self._store.tail_bytes(name)
        snapshot_bytes = self._store.size_bytes(name) - tail_bytes
        if tail_bytes < self._postponed.get(name, 0):
            return False
        rows = self._store.tail_rows(name)
        is_large = tail_bytes > _TAIL_BYTES or rows > _TAIL_ROWS
        # One update is as good as the snapshot of it: a first sync brings many such documents, and no folding.
        return is_large and rows > 1 and tail_bytes > snapshot_bytes

    async def _fold(self, name: DocumentName, folded: Callable[[Entry, bytes], None]) -> None:
        entry = self._replication.table.get(name)
        if entry is None or entry.deleted:
            return
        try:
            await self._replication.documents.snapshot(entry.key, lambda snapshot: folded(entry, snapshot))
            self._postponed.pop(name, None)
        except PeatError as error:
            # Tried again when as much has been added again, so that a document that cannot be folded costs little.
            self._postponed[name] = 2 * self._store.tail_bytes(name)
            log.warning("document not folded", document=name, error=str(error))

    def _folded(self, entry: Entry, snapshot: bytes) -> None:
        """Called in the order of merging: the snapshot holds all that was recorded so far, and nothing else."""
        if self._replication.table.alive(entry.key) is entry:
            self._store.fold(entry.key, snapshot, through=self._store.last_seq, reach=entry.reach.encode())

    def _repaired(self, entry: Entry, snapshot: bytes) -> None:
        """Rows were lost: what the engine could still put together is what we have. Peers owe us the rest."""
        reach = Reach()
        reach.absorb(check(snapshot, subdocuments=True))
        self._replication.shrunk(entry.key, reach.encode())
        self._folded(entry, snapshot)
        log.warning("document repaired", document=entry.name, size_bytes=len(snapshot))
