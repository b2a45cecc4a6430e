"""A store in memory, with a disk that can be slow, and loses what it was not asked to sync when the node crashes.

It has the interface of `peatd.store.Store` as replication uses it, and shares none of its code.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import trio

from peatd.errors import Unavailable
from peatd.names import DocumentKey, DocumentName
from peatd.store import StoredDocument, StoredLog, StoredUpdate
from peatd.store.records import StoreStatus


@dataclass(slots=True)
class Life:
    incarnation: int
    deleted: bool
    reach: bytes = b""
    reach_seq: int = 0
    snapshot: bytes | None = None
    rows: list[tuple[int, bytes]] = field(default_factory=list)
    born: int = 0
    changed: int = 0
    aged: int = 0


@dataclass(slots=True)
class Disk:
    """What would be there after a crash."""

    lives: dict[DocumentName, Life] = field(default_factory=dict)
    seq: int = 0
    notes: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> "Disk":
        """A backup."""
        return Disk({name: _copy(life) for name, life in self.lives.items()}, self.seq, dict(self.notes))


class MemoryStore:
    """Operations take effect at once in memory, and reach the disk, in order, when `sync` runs."""

    def __init__(self, disk: Disk, *, sync_delay: Callable[[], float] = lambda: 0.0) -> None:
        self._disk = disk
        self._sync_delay = sync_delay
        self._memory = Disk()
        self._pending: list[Callable[[Disk], None]] = []
        self._work = trio.Event()
        self._synced = trio.Event()
        self._works: trio.Event | None = None
        self._moves = trio.Event()
        self._moves.set()
        self.last_seq = self.durable_seq = disk.seq
        self.quarantined: list[tuple[DocumentKey, bytes, str]] = []
        self.notes = dict(disk.notes)
        self.is_whole = True
        for name, life in disk.lives.items():
            self._memory.lives[name] = _copy(life)

    async def run(self) -> None:
        """The disk at work."""
        while True:
            while not self._pending:
                self._work = trio.Event()
                await self._work.wait()
            batch, self._pending = self._pending, []
            seq = self.last_seq
            await trio.sleep(self._sync_delay())
            await self._moves.wait()
            for operation in batch:
                operation(self._disk)
            self._disk.seq = self.durable_seq = seq
            self._synced.set()
            self._synced = trio.Event()

    def documents(self) -> Sequence[StoredDocument]:
        return [
            StoredDocument(
                name,
                life.incarnation,
                life.deleted,
                life.reach,
                (() if life.reach_seq or life.snapshot is None else (life.snapshot,))
                + tuple(update for seq, update in life.rows if seq > life.reach_seq),
                len(life.snapshot or b"") + sum(len(update) for _, update in life.rows),
                life.born,
                life.changed,
                life.aged,
            )
            for name, life in sorted(self._memory.lives.items())
        ]

    def record(self, key: DocumentKey, update: bytes) -> int:
        seq = self._next()
        self._do(lambda disk: _append(disk, key, seq, update))
        return seq

    def set_incarnation(self, name: DocumentName, incarnation: int, *, deleted: bool, aged: int = 0) -> int:
        seq = self._next()
        self._do(lambda disk: disk.lives.update({name: Life(incarnation, deleted, born=seq, changed=seq, aged=aged)}))
        return seq

    def forget(self, key: DocumentKey) -> None:
        self._do(lambda disk: _forget(disk, key))

    def note(self, topic: str, text: bytes) -> None:
        self._do(lambda disk: disk.notes.update({topic: text}))

    def checkpoint(self, key: DocumentKey, reach: bytes) -> None:
        seq = self.last_seq
        self._do(lambda disk: _checkpoint(disk, key, reach, seq))

    def fold(self, key: DocumentKey, snapshot: bytes, *, through: int, reach: bytes) -> int:
        seq = self._next()
        self._do(lambda disk: _fold(disk, key, snapshot, through, reach))
        return seq

    def quarantine(self, key: DocumentKey, update: bytes, *, origin: str, reason: str, seq: int | None = None) -> None:
        self.quarantined.append((key, update, f"{origin}: {reason}"))
        assert seq is None, "this disk damages nothing"

    def watch_damage(self, damaged: Callable[[DocumentKey], object]) -> None:
        self._damaged = damaged

    def damage(self, key: DocumentKey, row: int) -> None:
        """Loses one row of the document's log, and says so."""
        for disk in (self._memory, self._disk):
            del disk.lives[key.name].rows[row]
        self._damaged(key)

    async def load(self, keys: Sequence[DocumentKey]) -> Mapping[DocumentKey, StoredLog]:
        await trio.lowlevel.checkpoint()
        return {key: self._log(key) for key in keys}

    def _log(self, key: DocumentKey) -> StoredLog:
        life = self._memory.lives.get(key.name)
        if life is None or life.incarnation != key.incarnation:
            return StoredLog(None, ())
        return StoredLog(life.snapshot, tuple(StoredUpdate(seq, update) for seq, update in life.rows))

    @contextmanager
    def failing(self) -> Iterator[None]:
        """For a block, this disk takes nothing more."""
        self._works = works = trio.Event()
        try:
            yield
        finally:
            self._works = None
            works.set()

    @property
    def has_room(self) -> bool:
        return self._works is None

    def stall(self) -> None:
        """The disk takes what it is given, and hangs."""
        self._moves = trio.Event()

    def go_on(self) -> None:
        self._moves.set()

    async def written(self) -> None:
        """Waits until all is on the disk."""
        while self._pending or self.durable_seq < self.last_seq:
            await self._synced.wait()

    async def room(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._works is not None:
            raise Unavailable("the disk fails")

    def status(self) -> StoreStatus:
        fails = self._works is not None
        return StoreStatus(not fails, "the disk fails" if fails else None, 0, 0)

    async def working(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._works is not None:
            await self._works.wait()

    async def synced(self, seq: int) -> None:
        while self.durable_seq < seq:
            await self._synced.wait()

    async def wait_synced_past(self, seq: int) -> int:
        while self.durable_seq <= seq:
            await self._synced.wait()
        return self.durable_seq

    def tail_bytes(self, name: DocumentName) -> int:
        return sum(len(update) for _, update in self._memory.lives[name].rows)

    def tail_rows(self, name: DocumentName) -> int:
        return len(self._memory.lives[name].rows)

    def size_bytes(self, name: DocumentName) -> int:
        life = self._memory.lives.get(name)
        return self.tail_bytes(name) + len(life.snapshot or b"") if life else 0

    def _next(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def _do(self, operation: Callable[[Disk], None]) -> None:
        operation(self._memory)
        self._pending.append(operation)
        self._work.set()


def _copy(life: Life) -> Life:
    return replace(life, rows=list(life.rows))


def _living(disk: Disk, key: DocumentKey) -> Life | None:
    life = disk.lives.get(key.name)
    return life if life is not None and (life.incarnation, life.deleted) == (key.incarnation, False) else None


def _append(disk: Disk, key: DocumentKey, seq: int, update: bytes) -> None:
    if life := _living(disk, key):
        life.rows.append((seq, update))
        life.changed = seq


def _forget(disk: Disk, key: DocumentKey) -> None:
    life = disk.lives.get(key.name)
    if life is not None and (life.incarnation, life.deleted) == (key.incarnation, True):
        del disk.lives[key.name]


def _checkpoint(disk: Disk, key: DocumentKey, reach: bytes, seq: int) -> None:
    life = disk.lives.get(key.name)
    if life is not None and life.incarnation == key.incarnation:  # of a deleted one too
        life.reach, life.reach_seq = reach, seq


def _fold(disk: Disk, key: DocumentKey, snapshot: bytes, through: int, reach: bytes) -> None:
    if life := _living(disk, key):
        life.snapshot, life.reach, life.reach_seq = snapshot, reach, through
        life.rows = [row for row in life.rows if row[0] > through]
