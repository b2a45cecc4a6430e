"""What keeps the store small, quick to open and true: snapshots, saved reaches, and repair after damage."""

from collections.abc import Callable

import structlog
import trio

from peatd.entry import Entry
from peatd.errors import PeatError
from peatd.names import DocumentKey, DocumentName
from peatd.reach import Reach
from peatd.replication import Replication
from peatd.update import check

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds between rounds: a document that outgrows its snapshot at 5,000 updates a second is folded in time."""

_TAIL_BYTES = 64 * 1024
_TAIL_ROWS = 1000
"""A document's updates are folded into a snapshot when they are more than this, and more than the snapshot itself:
so each byte is rewritten a bounded number of times, and opening a document stays quick. A snapshot larger than that is
also made anew when half of its content was deleted: a deletion takes a few bytes, whatever it deletes."""


class Upkeep:
    """Looks after the documents that have changed since its last round."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._store = replication.store
        self._damaged: set[DocumentKey] = set()
        self._postponed: dict[DocumentName, int] = {}
        self._living: dict[DocumentName, int] = {}  # what was left of a large document when it was folded
        self._store.watch_damage(self._damaged.add)

    async def run(self) -> None:
        while True:
            await trio.sleep(INTERVAL)
            changed = sorted(self._replication.unsaved)
            self.save()
            for name in changed:
                await self._keep_small(name)
            while self._damaged:
                await self._fold(self._damaged.pop().name, self._repaired)

    def save(self) -> None:
        """Saves what the changed documents reach, so that the next start need not read their updates."""
        table = self._replication.table
        for name in sorted(self._replication.unsaved):
            entry = table.get(name)
            if entry is not None and not entry.deleted:
                self._store.checkpoint(entry.key, entry.reach.encode())
        self._replication.unsaved.clear()

    async def _keep_small(self, name: DocumentName) -> None:
        entry = self._replication.table.get(name)
        if entry is None or entry.deleted:
            self._postponed.pop(name, None)
            self._living.pop(name, None)
        elif self._has_outgrown(name) or self._has_shrunk(entry):
            await self._fold(name, self._folded)

    def _has_outgrown(self, name: DocumentName) -> bool:
        tail_bytes = self._store.tail_bytes(name)
        if tail_bytes < self._postponed.get(name, 0):
            return False
        rows = self._store.tail_rows(name)
        is_large = tail_bytes > _TAIL_BYTES or rows > _TAIL_ROWS
        # One update is as good as the snapshot of it: a first sync brings many such documents, and no folding.
        return is_large and rows > 1 and tail_bytes > self._snapshot_bytes(name)

    def _has_shrunk(self, entry: Entry) -> bool:
        if self._snapshot_bytes(entry.name) <= _TAIL_BYTES:
            return False
        living = entry.reach.living
        return 2 * living < self._living.setdefault(entry.name, living)

    def _snapshot_bytes(self, name: DocumentName) -> int:
        return self._store.size_bytes(name) - self._store.tail_bytes(name)

    async def _fold(self, name: DocumentName, folded: Callable[[Entry, bytes], None]) -> None:
        entry = self._replication.table.get(name)
        if entry is None or entry.deleted:
            return
        self._living[name] = entry.reach.living
        drops = entry.drops
        try:
            # Of a copy that was let go since, nothing is to come back.
            use = lambda snapshot: folded(entry, snapshot) if drops == entry.drops else None  # noqa: E731
            await self._replication.documents.snapshot(entry.key, use)
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
