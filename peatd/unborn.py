"""What peers tell of documents that have not begun here: whose content of earlier lives must not come back. Sans-IO."""

from collections.abc import Collection

from peatd.names import DocumentName
from peatd.reach import MAX_FORMER

_MAX_UNBORN = 10 * MAX_FORMER
"""Former clients of all documents together: those of the ones that were told first are forgotten. They are told again
with the next state of the document."""


class Unborn:
    """The content of these documents is on its way, or a peer lies."""

    def __init__(self) -> None:
        self._former: dict[DocumentName, frozenset[int]] = {}

    def note(self, name: DocumentName, former: Collection[int]) -> None:
        if former:
            self._former[name] = self._former.pop(name, frozenset()).union(former)
        while sum(map(len, self._former.values())) > _MAX_UNBORN:
            del self._former[next(iter(self._former))]

    def take(self, name: DocumentName) -> Collection[int]:
        """The document begins, or is over."""
        return self._former.pop(name, ())
