"""The trio side of the store: calls return at once, one thread writes, and waiters learn when it is durable.

Group commit: while the disk is busy with one batch, the next one gathers. So 256 writers share an fsync, and one
writer alone waits for nobody.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import structlog
import trio

from peatd.errors import StoreUnavailable
from peatd.measures import Histogram
from peatd.names import DocumentKey, DocumentName
from peatd.store.files import Files
from peatd.store.keeper import PENDING_BYTES, Keeper
from peatd.store.lives import Life, Lives
from peatd.store.loading import Loading
from peatd.store.opening import Contents, FoundDocument
from peatd.store.operations import Append, ChangeLife, Checkpoint, Fold, Forget, Note, replay
from peatd.store.quarantine import Quarantine
from peatd.store.records import Ages, QuarantinedUpdate, Sizes, StoredDocument, StoredLog, StoreStatus
from peatd.threads import run_in_thread

_log = structlog.get_logger(__name__)


class Store:
    """The updates of all documents, in the order in which they were recorded.

    Whoever calls `record` and its like first awaits `room`, as they cannot refuse. They take a few microseconds.

    Invariants:
        1. A life only goes forward (`Lives`): what is recorded for one that is over is dropped.
        2. Operations become durable in the order of the calls, each after all before it.
        3. What was recorded stays in memory until it is durable, however often the disk fails.
        4. `durable_seq` covers a record only after its fsync.

    Attributes:
        notes: what was noted in earlier runs, by its topic.
        is_whole: the opening found no damage.
    """

    def __init__(self, files: Files, contents: Contents, pending_bytes: int) -> None:
        self._lives = Lives(
            Life(found.key, found.deleted, contents.sizes.get(found.key.name) or Sizes())
            for found in contents.documents
        )
        self._keeper = Keeper(files, contents.last_seq, self._lives.fold_left, pending_bytes)
        self._loading = Loading(files.reader)
        self._found: Sequence[StoredDocument] = [
            self._stored(found, contents.ages.get(found.key.name) or Ages()) for found in contents.documents
        ]
        self.notes: Mapping[str, bytes] = contents.notes
        self.is_whole = contents.is_whole
        self._quarantine = Quarantine(self._keeper, contents.set_aside)
        self._repair(contents)

    @classmethod
    @asynccontextmanager
    async def open(cls, directory: Path, *, pending_bytes: int = PENDING_BYTES) -> AsyncIterator[Self]:
        """Opens the store in `directory`; on leaving, what is pending is written, within a deadline.

        Args:
            pending_bytes: not durable yet, beyond which `room` waits.

        Raises:
            StoreLocked: another process has it.
            StoreSchemaError: a newer peatd wrote it.
            StoreError: it cannot be opened; the message says what to do.
        """
        try:
            files, contents = await run_in_thread(Files.open, directory, abandon_on_cancel=False)
        except OSError as exc:
            raise StoreUnavailable(f"{directory} cannot be opened: {exc.strerror or exc}") from exc
        store = cls(files, contents, pending_bytes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store._keeper.run)
            try:
                yield store
            finally:
                await store._keeper.close(store._loading.turn)

    # What was there at the opening, and what is there now.

    def documents(self) -> Sequence[StoredDocument]:
        """The documents as the opening found them, ended ones included, sorted by name.

        They are handed over, as their tails may be large: the store keeps no copy, and a second call finds none.
        """
        found, self._found = self._found, ()
        return found

    def tail_bytes(self, name: DocumentName) -> int:
        """The size of the updates that are in no snapshot yet."""
        return self._sizes(name).tail_bytes

    def tail_rows(self, name: DocumentName) -> int:
        """The number of these updates."""
        return self._sizes(name).tail_rows

    def size_bytes(self, name: DocumentName) -> int:
        """The size of the snapshot and of the updates that are not in it."""
        sizes = self._sizes(name)
        return sizes.snapshot_bytes + sizes.tail_bytes

    # What changes it. Synchronous, into memory, in order.

    def record(self, key: DocumentKey, update: bytes) -> int:
        """Appends an update, and returns its seq. The first one of a later incarnation ends the earlier ones."""
        life = self._lives.get(key.name)
        if life is None or life.key.incarnation < key.incarnation:
            self.set_incarnation(key.name, key.incarnation, deleted=False)
            life = self._lives.get(key.name)
        if life is None or life.is_over_for(key):
            return self.last_seq  # Invariant 1. Whoever waits for this one learns that the life's end is durable.
        seq = self._keeper.next_seq()
        life.grew(len(update))
        self._keeper.add(Append(seq, key, update))
        return seq

    def set_incarnation(self, name: DocumentName, incarnation: int, *, deleted: bool, aged: int = 0) -> int:
        """Begins a life, or ends it, which drops its rows and those of all earlier ones. What is older is ignored.

        Args:
            aged: how many seconds ago it ended, at least.
        """
        key = DocumentKey(name, incarnation)
        if not self._lives.change(key, deleted=deleted):
            return self.last_seq
        seq = self._keeper.next_seq()
        self._keeper.add(ChangeLife(seq, key, deleted, aged))
        return seq

    def forget(self, key: DocumentKey) -> None:
        """Lets go of a document whose life has ended, as if it had never been; a living one stays."""
        if self._lives.forget(key):
            self._keeper.add(Forget(key))

    def note(self, topic: str, text: bytes) -> None:
        """Keeps something that is about no single document, instead of what was noted under this topic before."""
        self._keeper.add(Note(topic, text))

    def checkpoint(self, key: DocumentKey, reach: bytes) -> None:
        """Keeps what the document reaches with all that was recorded of it so far, for a fast boot."""
        life = self._lives.get(key.name)
        if life and life.key == key:
            self._keeper.add(Checkpoint(self.last_seq, key, reach))

    def fold(self, key: DocumentKey, snapshot: bytes, *, through: int, reach: bytes) -> int:
        """The snapshot takes the place of all rows of this life up to the seq `through`; `reach` is as of then, too."""
        if through > self.last_seq:
            raise ValueError(f"fold through {through}: the last record is {self.last_seq}")
        life = self._lives.get(key.name)
        if not life or life.key != key or life.deleted or through < life.sizes.through:
            return self.last_seq
        seq = self._keeper.next_seq()
        life.folded(seq, through, len(snapshot))
        self._keeper.add(Fold(seq, key, snapshot, through, reach))
        return seq

    def quarantine(self, key: DocumentKey, update: bytes, *, origin: str, reason: str, seq: int | None = None) -> None:
        """Sets an update aside for inspection. With `seq`, that row leaves the log: see `watch_damage`."""
        self._quarantine.take(key, update, origin=origin, reason=reason, seq=seq)

    # What waits.

    async def load(self, keys: Sequence[DocumentKey]) -> Mapping[DocumentKey, StoredLog]:
        """The logs of lives with all that was recorded before the call, durable or not: of the first, and of those that
        follow as long as it takes little memory.

        Raises:
            StoreDamaged: if a page of the first is bad: restart, the opening saves the rest.
            StoreError: if the file cannot be read.
        """
        if self._lives.is_unheard_of(keys[0]):  # during a first sync that is every document
            await trio.lowlevel.checkpoint()
            return {keys[0]: StoredLog(None, ())}
        pending = {key: self._keeper.pending.of(key.name) for key in keys}
        found = await self._loading.rows(keys)
        self._quarantine.take_corrupt([row for _, corrupt in found.values() for row in corrupt])
        logs = ((key, replay(key, rows, pending[key]), len(corrupt)) for key, (rows, corrupt) in found.items())
        return {key: replace(log, damaged=damaged) for key, log, damaged in logs}

    async def quarantined(self) -> list[QuarantinedUpdate]:
        """What was set aside and written, oldest first; the oldest are dropped when they grow too many.

        Raises:
            StoreError: if the file cannot be read.
        """
        return await self._loading.quarantined()

    async def synced(self, seq: int) -> None:
        """Returns when all up to `seq` is durable.

        Raises:
            Unavailable: if the disk fails meanwhile. The record stays, is tried again, and keeps its place.
        """
        await self._keeper.synced(seq)

    async def wait_synced_past(self, seq: int) -> int:
        """Returns `durable_seq` once it is more than `seq`, however long the disk fails."""
        return await self._keeper.wait_synced_past(seq)

    @property
    def has_room(self) -> bool:
        """Whether `room` would neither wait nor refuse."""
        return self._keeper.has_room

    async def room(self) -> None:
        """Backpressure: returns when there is room to record more.

        Raises:
            Unavailable: while the disk fails.
        """
        await self._keeper.room()

    async def working(self) -> None:
        """Returns when the disk does not fail, or does so no more."""
        await self._keeper.working()

    # How it is.

    @property
    def last_seq(self) -> int:
        """The seq of the latest record."""
        return self._keeper.last_seq

    @property
    def durable_seq(self) -> int:
        """All records up to this one survive a power cut."""
        return self._keeper.durable_seq

    @property
    def quarantined_by(self) -> Mapping[str, int]:
        """How often an update was set aside since the opening, by the first word of its origin."""
        return self._quarantine.by_origin

    @property
    def quarantined_count(self) -> int:
        """How often an update was set aside in the life of this store."""
        return self._quarantine.count

    @property
    def heartbeat(self) -> float | None:
        """The `time.monotonic()` of the writer's last progress while it is at work; None while it has nothing to do."""
        return self._keeper.heartbeat

    @property
    def sizes_on_disk(self) -> tuple[int, int]:
        """Bytes of the database and of its write-ahead log, as of the last write."""
        return self._keeper.sizes_on_disk

    @property
    def sync_durations(self) -> Histogram:
        """How long group commits took."""
        return self._keeper.sync_durations

    def status(self) -> StoreStatus:
        """Whether the last write succeeded, and if not, why and what to do; and what it cannot read."""
        failure = self._keeper.failure
        message = failure or (str(self._loading.failure) if self._loading.failure else None)
        return StoreStatus(failure is None, message, self._keeper.pending.size_bytes, self._quarantine.corrupt_rows)

    def watch_damage(self, damaged: Callable[[DocumentKey], object]) -> None:
        """Has `damaged` called, synchronously, when stored rows of a document turn out to be lost.

        Its reach, in memory and given to `checkpoint`, then claims what nobody here has: make it anew from `load`.
        """
        self._quarantine.damaged = damaged

    def _sizes(self, name: DocumentName) -> Sizes:
        life = self._lives.get(name)
        return life.sizes if life else Sizes()

    def _stored(self, found: FoundDocument, ages: Ages) -> StoredDocument:
        key = found.key
        return StoredDocument(
            key.name,
            key.incarnation,
            found.deleted,
            found.reach,
            tail=tuple(row.payload for row in found.tail),
            size_bytes=self.size_bytes(key.name),
            born=0 if found.is_rebuilt else ages.born,
            changed=max(ages.changed, found.reach_seq),
            aged=ages.aged,
        )

    def _repair(self, contents: Contents) -> None:
        for what in contents.damaged:
            _log.warning("store_damaged", what=what)
        for found in contents.documents:
            if found.is_rebuilt:
                self._keeper.add(ChangeLife(self._keeper.next_seq(), found.key, found.deleted))
        self._quarantine.take_corrupt(contents.corrupt)
