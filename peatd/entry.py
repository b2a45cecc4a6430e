"""A document as a node has it. Sans-IO."""

import enum
from collections import deque
from dataclasses import dataclass
from hashlib import blake2b

from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.reach import Reach
from peatd.wire.messages import Offered

UNSAID = b"\xff" * 16
"""In place of the digest of a document that is not everywhere: that it is there is all that is compared."""


@dataclass(frozen=True, slots=True)
class Change:
    """One piece of news, and the peer that brought it (None: made here)."""

    version: int
    update: bytes
    origin: DeviceId | None


class Copy(enum.Enum):
    """What a node has of a living document (interest.py). What there is of one that is coming is no answer yet."""

    NAME, COMING, WHOLE = range(3)


@dataclass(slots=True)
class Entry:
    """A document as this node has it. A deleted one stays, as a tombstone, so that it cannot come back.

    Invariants:
        1. `reach` is what the store's records of this incarnation add up to.
        2. `recent` holds all changes with a version greater than `recent_after`, oldest first. (The table keeps it.)
    """

    name: DocumentName
    incarnation: int
    deleted: bool
    reach: Reach
    version: int
    begun: int
    """The clock when this incarnation was first seen since the start; 0 when it was loaded from the store."""
    born: int = 0
    """The number of the store's record of its beginning, or of its end; 0 where there is none."""
    changed: int = 0
    """The number of the store's record of its latest change, its beginning included."""
    brought_by: DeviceId | None = None
    """Who brought its latest change."""
    is_pushed: bool = True
    """Whether that came as a change does, and not because states were compared."""
    aged: int = 0
    """Of a deleted one: how long ago that was, at least, when we heard of it, in seconds."""
    recent: deque[Change] | tuple[()] = ()  # most entries have none, and an empty deque takes more than all the rest
    recent_after: int = 0
    recent_bytes: int = 0
    copy: Copy = Copy.WHOLE
    drops: int = 0
    """How often its content was let go since the start: what was merged before is of no use after."""

    @property
    def key(self) -> DocumentKey:
        return DocumentKey(self.name, self.incarnation)

    @property
    def etag(self) -> str:
        """Names this content: equal on all nodes that have the same."""
        return blake2b(b"%d" % self.incarnation + self.reach.digest(), digest_size=16).hexdigest()

    @property
    def is_name(self) -> bool:
        """Whether its name is all that is here."""
        return self.copy is Copy.NAME and not self.deleted

    def offered(self, age: int = 0, *, by_name: bool = False) -> Offered:
        digest = bytes(16) if self.deleted else UNSAID if by_name else self.reach.digest()
        return Offered(self.name, self.incarnation, self.deleted, digest, age)

    def changes_after(self, version: int, through: int | None = None) -> list[Change] | None:
        """The changes that followed `version`, up to another; None when some of them are no longer kept."""
        if version < self.recent_after:
            return None
        last = self.version if through is None else through
        return [change for change in self.recent if version < change.version <= last]
