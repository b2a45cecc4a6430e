"""What is known of a peer's copy of one document. Sans-IO; `sync.py` decides by it."""

from dataclasses import dataclass

from peatd.names import DocumentKey


@dataclass(slots=True, eq=False)
class Known:
    """The peer's copy, as far as we know.

    Attributes:
        sent: the peer has, or was sent, all changes through this version of ours.
        due: the latest of these that it did not bring itself: it is to confirm that it has it on its disk.
        durable: it has said so of all through this one.
        asked: we asked for its state, and wait for it.
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


@dataclass(frozen=True, slots=True, eq=False)
class OwedDiff:
    """A diff to be made: of this document, for this state vector."""

    key: DocumentKey
    vector: bytes
    known: Known
