"""What is known of each document in memory: which life it is in, and how much that takes. Sans-IO."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from peatd.names import DocumentKey, DocumentName
from peatd.store.operations import ends
from peatd.store.records import Remainder, Sizes


@dataclass(slots=True)
class Life:
    """The latest life of a document.

    Attributes:
        fold_seq: the latest fold of this run of the program.
    """

    key: DocumentKey
    deleted: bool
    sizes: Sizes = field(default_factory=Sizes)
    fold_seq: int = 0

    def is_over_for(self, key: DocumentKey) -> bool:
        return ends(self.key, key, deleted=self.deleted)

    def grew(self, size_bytes: int) -> None:
        self.sizes.tail_rows += 1
        self.sizes.tail_bytes += size_bytes

    def folded(self, seq: int, through: int, size_bytes: int) -> None:
        """What the fold leaves standing is known when it is written: see `Lives.fold_left`."""
        self.fold_seq = seq
        self.sizes = Sizes(through, snapshot_bytes=size_bytes)


class Lives:
    """All documents by name.

    Invariant 1: a life only goes forward. It ends by deletion or by a later incarnation, and never comes back; in the
    end it may be forgotten.
    """

    def __init__(self, lives: Iterable[Life]) -> None:
        self._by_name = {life.key.name: life for life in lives}

    def get(self, name: DocumentName) -> Life | None:
        return self._by_name.get(name)

    def is_unheard_of(self, key: DocumentKey) -> bool:
        """Whether nothing was ever recorded of this life, nor of a later one."""
        life = self._by_name.get(key.name)
        return life is None or life.key.incarnation < key.incarnation

    def change(self, key: DocumentKey, *, deleted: bool) -> bool:
        """False if it would not take the document forward; then nothing was done."""
        life = self._by_name.get(key.name)
        if life and (life.is_over_for(key) or (life.key == key and not deleted)):
            return False
        self._by_name[key.name] = Life(key, deleted)
        return True

    def forget(self, key: DocumentKey) -> bool:
        """False if that is not its state: deleted at this incarnation."""
        life = self._by_name.get(key.name)
        if life is None or life.key != key or not life.deleted:
            return False
        del self._by_name[key.name]
        return True

    def fold_left(self, remainder: Remainder) -> None:
        """A fold is written. Only the latest one counts: it took the rows that an earlier one left."""
        life = self._by_name.get(remainder.key.name)
        if life and life.fold_seq == remainder.seq:
            life.sizes.tail_rows += remainder.rows
            life.sizes.tail_bytes += remainder.size_bytes
