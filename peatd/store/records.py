"""What the store keeps and hands out, and how a row from the disk is told from damage. Sans-IO.

SQLite checks the tail of its write-ahead log, but not its main file. So every row carries a checksum over all of
its columns, and whatever comes from the disk passes through here once: it becomes a `LogRow`, or a `CorruptRow`.
"""

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from peatd.names import DocumentKey, DocumentName


class RowKind(enum.IntEnum):
    """What a row of the log holds. The numbers are on disk: never change one."""

    UPDATE = 0
    SNAPSHOT = 1  # stands for all updates of its life up to `through`
    LIFE = 2  # an incarnation began, or ended: the second copy of what `documents` says


BEGUN, ENDED = b"\0", b"\1"
"""The payloads of a `LIFE` row."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of the log whose checksum is right."""

    seq: int
    key: DocumentKey
    kind: RowKind
    through: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class CorruptRow:
    """A row whose checksum is wrong: the key is the one it was looked for under, the payload what is left of it."""

    seq: int
    key: DocumentKey
    payload: bytes


@dataclass(frozen=True, slots=True)
class StoredUpdate:
    """An update in the log. `seq` names its row to `Store.quarantine`."""

    seq: int
    update: bytes


@dataclass(frozen=True, slots=True)
class StoredLog:
    """One life of a document as stored: the snapshot is to be applied first, then the updates in order.

    Attributes:
        damaged: rows that were found corrupt by this load and set aside. What they held is missing.
    """

    snapshot: bytes | None
    updates: tuple[StoredUpdate, ...]
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as the opening found it.

    Attributes:
        reach: the last checkpoint's, as it was given; `b""` if there is none.
        tail: what was recorded after that checkpoint, to be absorbed in this order.
        size_bytes: of its snapshot and updates.
        born: the seq of the record that its life began, or ended; 0 where that was lost.
        changed: no seq of what was recorded of it is higher.
        aged: of a deleted one: how long ago that was, at least, when it was recorded.
    """

    name: DocumentName
    incarnation: int
    deleted: bool
    reach: bytes
    tail: tuple[bytes, ...]
    size_bytes: int
    born: int = 0
    changed: int = 0
    aged: int = 0


@dataclass(frozen=True, slots=True)
class QuarantinedUpdate:
    """An update that was set aside. Its bytes stay in the table `quarantine`, under the same `sha256`.

    Attributes:
        time: when it was last set aside, in seconds since 1970.
        times: how often the same bytes were set aside for this document.
    """

    key: DocumentKey
    origin: str
    reason: str
    time: float
    sha256: str
    size_bytes: int
    times: int


@dataclass(slots=True)
class Sizes:
    """What a document takes on disk: its snapshot, and the updates that are not in it.

    Attributes:
        through: the seq up to which the snapshot stands for all updates.
    """

    through: int = 0
    snapshot_bytes: int = 0
    tail_rows: int = 0
    tail_bytes: int = 0


@dataclass(slots=True)
class Ages:
    """See `StoredDocument`."""

    born: int = 0
    changed: int = 0
    aged: int = 0


@dataclass(frozen=True, slots=True)
class Remainder:
    """The updates of a life that the fold `seq` left standing."""

    seq: int
    key: DocumentKey
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """How the store is.

    Attributes:
        ready: the last write succeeded.
        message: why it is not ready and what to do; or, of one that is, what of it cannot be read; or None.
        pending_bytes: recorded, not durable yet.
        corrupt_rows: found since the opening.
    """

    ready: bool
    message: str | None
    pending_bytes: int
    corrupt_rows: int


def row_checksum(seq: int, key: DocumentKey, kind: int, through: int, payload: bytes) -> bytes:
    """The 8 bytes that stand beside a row of the log. Names hold no NUL, so no two rows hash the same text."""
    columns = f"{seq} {key.incarnation} {kind} {through} {key.name}\0"
    return _checksum(columns.encode(), payload)


def document_checksum(key: DocumentKey, *, deleted: bool) -> bytes:
    """The 8 bytes that protect what a document's row says of its life."""
    return _checksum(f"{key.incarnation} {deleted:d} {key.name}\0".encode(), b"")


def note_checksum(topic: str, text: bytes) -> bytes:
    """The 8 bytes that stand before a note."""
    return _checksum(f"{topic}\0".encode(), text)


def reach_checksum(key: DocumentKey, reach_seq: int, reach: bytes) -> bytes:
    """The 8 bytes that protect a checkpoint. Apart from the life's: a bad checkpoint is only slower to boot from."""
    return _checksum(f"{key.incarnation} {reach_seq} {key.name}\0".encode(), reach)


def parse_row(name: DocumentName, columns: Sequence[object]) -> LogRow | CorruptRow:
    """Tells a row of the log from damage.

    Args:
        name: what it was looked for under.
        columns: seq, name, incarnation, kind, through, checksum, payload, as SQLite returned them.
    """
    seq, found_name, incarnation, kind, through, checksum, payload = columns
    match seq, incarnation, kind, through, payload:
        case int(), int(), 0 | 1 | 2, int(), bytes() if found_name == name:
            key = DocumentKey(name, incarnation)
            if row_checksum(seq, key, kind, through, payload) == checksum:
                return LogRow(seq, key, RowKind(kind), through, payload)
    return CorruptRow(
        seq if isinstance(seq, int) else 0,
        DocumentKey(name, incarnation if isinstance(incarnation, int) else 0),
        payload if isinstance(payload, bytes) else repr(payload).encode(),
    )


def _checksum(columns: bytes, payload: bytes) -> bytes:
    digest = hashlib.blake2b(columns, digest_size=8)
    digest.update(payload)
    return digest.digest()
