"""Changes that were taken in."""

from dataclasses import dataclass

from peatd.names import DocumentKey


@dataclass(frozen=True, slots=True)
class Merged:
    """A change that was taken in.

    Attributes:
        version: the document's, with it.
        seq: of the store's record: durable once the store has synced it.
        begun: the change began the document, or a new incarnation of it.
    """

    key: DocumentKey
    version: int
    seq: int
    begun: bool


@dataclass(slots=True)
class MergedCount:
    """What was new here since the start: changes of this node's own writers and of peers, and their size together."""

    from_here: int = 0
    from_peers: int = 0
    size_bytes: int = 0
