"""What is known of a peer's copy of one document. Sans-IO; `sync.py` decides by it."""

from dataclasses import dataclass

from peatd.entry import Entry
from peatd.names import DocumentKey, DocumentName


@dataclass(slots=True, eq=False)
class Known:
    """The peer's copy, as far as we know.

    Attributes:
        sent: the peer has, or was sent, all changes through this version of ours.
        due: the latest of these that it did not bring itself: it is to confirm that it has it on its disk.
        durable: it has said so of all through this one.
        asked: we asked for its state, and wait for it.
        told: the version of ours that it was told last when it agreed unasked.
        vector: the state it told: it is owed a diff against that.
        underway: a diff is being made, or its pieces are being sent.
        failed: none could be made; asked about again with the next change or comparison.
        round: of the last state that it told; echoed in updates.
    """

    incarnation: int
    sent: int = 0
    due: int = 0
    durable: int = 0
    asked: bool = False
    told: int = 0
    vector: bytes | None = None
    underway: bool = False
    failed: bool = False
    round: int = 0

    @property
    def needs_changes(self) -> bool:
        """Whether single changes will do; else it will be owed a diff."""
        return not (self.asked or self.failed or self.vector is not None)

    @property
    def is_in_step(self) -> bool:
        return not (self.asked or self.underway or self.failed or self.vector is not None)

    def agree(self, version: int, before: "Known | None", *, is_asking: bool) -> bool:
        """Its copy is ours, at this version of ours. Whether it is to be told that, for it confirms what it hears of:
        we may have changed since we asked; and what it speaks of without being asked, it may have heard from others."""
        self.sent = self.due = version
        told = 0 if before is None else before.told
        is_known = is_asking or self.durable >= version or told == version
        is_to_hear = not is_known or (before is not None and before.asked)
        self.told = version if is_to_hear else told
        return is_to_hear


class Share:
    """What of ours is the peer's to have: everything, where `peer_copies.py` does not say otherwise."""

    def is_owed(self, entry: Entry) -> bool:  # noqa: ARG002
        """Whether it is to have the document's latest news."""
        return True

    def is_holding(self, entry: Entry) -> bool:  # noqa: ARG002
        """Whether it is to have what is in this document. (Ends are everybody's.)"""
        return True

    def is_everywhere(self, name: DocumentName) -> bool:  # noqa: ARG002
        """Whether both ends hold all of the document's collection."""
        return True


@dataclass(frozen=True, slots=True, eq=False)
class OwedDiff:
    """A diff to be made: of this document, for this state vector."""

    key: DocumentKey
    vector: bytes
    known: Known
