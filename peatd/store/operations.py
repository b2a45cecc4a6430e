"""What is asked of the store, kept in memory and in order until it is durable. Sans-IO.

An operation may be written twice: when an fsync fails, nobody can say whether its transaction survived. So each
one has the same effect however often the whole sequence is replayed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from peatd.names import DocumentKey, DocumentName
from peatd.store.records import LogRow, RowKind, StoredLog, StoredUpdate


@dataclass(frozen=True, slots=True)
class Append:
    """An update was merged."""

    seq: int
    key: DocumentKey
    update: bytes

    @property
    def name(self) -> DocumentName:
        return self.key.name


@dataclass(frozen=True, slots=True)
class ChangeLife:
    """An incarnation began, or ended (`aged` seconds before, at least). All rows of lives that are over go."""

    seq: int
    key: DocumentKey
    deleted: bool
    aged: int = 0

    @property
    def name(self) -> DocumentName:
        return self.key.name


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the document reaches with all rows up to `seq`."""

    seq: int
    key: DocumentKey
    reach: bytes

    @property
    def name(self) -> DocumentName:
        return self.key.name


@dataclass(frozen=True, slots=True)
class Fold:
    """The snapshot stands for all rows of its life up to `through`, which is what `reach` is true of."""

    seq: int
    key: DocumentKey
    snapshot: bytes
    through: int
    reach: bytes

    @property
    def name(self) -> DocumentName:
        return self.key.name


@dataclass(frozen=True, slots=True)
class SetAside:
    """An update goes to the quarantine; with `seq`, out of the log."""

    seq: int | None
    key: DocumentKey
    update: bytes
    origin: str
    reason: str
    time: float

    @property
    def name(self) -> DocumentName:
        return self.key.name


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing is left of a document whose life had ended."""

    key: DocumentKey

    @property
    def name(self) -> DocumentName:
        return self.key.name


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is about no single document, in the place of what was noted under `topic` before."""

    topic: str
    text: bytes

    @property
    def name(self) -> DocumentName:
        return DocumentName("")  # no document's


Operation = Append | ChangeLife | Checkpoint | Fold | SetAside | Forget | Note

_OVERHEAD_BYTES = 300
"""What an operation costs in memory beside its payload: without it, a flood of tiny updates would look free."""


def _cost(operation: Operation) -> int:
    match operation:
        case Append(update=payload) | SetAside(update=payload) | Checkpoint(reach=payload):
            return _OVERHEAD_BYTES + len(payload)
        case Fold(snapshot=snapshot, reach=reach):
            return _OVERHEAD_BYTES + len(snapshot) + len(reach)
        case Note(text=payload):
            return _OVERHEAD_BYTES + len(payload)
        case ChangeLife() | Forget():
            return _OVERHEAD_BYTES


@dataclass(slots=True)
class _Stretch:
    operations: list[Operation] = field(default_factory=list)
    by_name: dict[DocumentName, list[Operation]] = field(default_factory=dict)
    size_bytes: int = 0

    def add(self, operation: Operation) -> None:
        self.operations.append(operation)
        self.by_name.setdefault(operation.name, []).append(operation)
        self.size_bytes += _cost(operation)


class Pending:
    """The operations that are not durable yet, oldest first: those being written, then those waiting."""

    def __init__(self) -> None:
        self._writing = _Stretch()
        self._waiting = _Stretch()

    def __bool__(self) -> bool:
        return bool(self._writing.operations or self._waiting.operations)

    def __len__(self) -> int:
        return len(self._writing.operations) + len(self._waiting.operations)

    @property
    def size_bytes(self) -> int:
        return self._writing.size_bytes + self._waiting.size_bytes

    def add(self, operation: Operation) -> None:
        self._waiting.add(operation)

    def take(self) -> Sequence[Operation]:
        """All there is, to be written in one transaction. What was taken before and failed comes first again."""
        if not self._writing.operations:
            self._writing, self._waiting = self._waiting, _Stretch()
        else:
            for operation in self._waiting.operations:
                self._writing.add(operation)
            self._waiting = _Stretch()
        return self._writing.operations

    def forget_taken(self) -> None:
        """What was taken last is durable."""
        self._writing = _Stretch()

    def of(self, name: DocumentName) -> list[Operation]:
        return [*self._writing.by_name.get(name, ()), *self._waiting.by_name.get(name, ())]

    def set_aside(self) -> Iterator[SetAside]:
        for stretch in (self._writing, self._waiting):
            yield from (operation for operation in stretch.operations if isinstance(operation, SetAside))


def replay(key: DocumentKey, rows: Iterable[LogRow], operations: Iterable[Operation]) -> StoredLog:
    """The log of one life: its rows, and what is to become of them.

    The rows may have been read before or after any of the operations was written.
    """
    snapshot: LogRow | None = None
    updates: dict[int, bytes] = {}
    for row in rows:
        if row.kind is RowKind.SNAPSHOT:
            snapshot = row
        elif row.kind is RowKind.UPDATE:
            updates[row.seq] = row.payload
    for operation in operations:
        match operation:
            case Append(seq, whose, update) if whose == key:
                updates[seq] = update
            case Fold(seq, whose, payload, through) if whose == key and (not snapshot or through >= snapshot.through):
                snapshot = LogRow(seq, key, RowKind.SNAPSHOT, through, payload)
            case ChangeLife(_, whose, deleted) if ends(whose, key, deleted=deleted):
                snapshot, updates = None, {}
            case SetAside(int(seq), whose) if whose.name == key.name:
                updates.pop(seq, None)
                snapshot = None if snapshot and snapshot.seq == seq else snapshot
    through = snapshot.through if snapshot else 0
    kept = tuple(StoredUpdate(seq, updates[seq]) for seq in sorted(updates) if seq > through)
    return StoredLog(snapshot.payload if snapshot else None, kept)


def ends(change: DocumentKey, life: DocumentKey, *, deleted: bool) -> bool:
    """Whether `life` is over once `change` has happened to the document."""
    return life.incarnation < change.incarnation or (deleted and life.incarnation == change.incarnation)
