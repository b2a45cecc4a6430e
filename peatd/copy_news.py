"""What one peer is yet to hear of our copies of documents. Sans-IO.

Rules:
1. It hears what a copy is when it is told, not what it was before: of each document once.
2. A refusal is told all the same, and before: what the peer sent or asked until then was in vain, also if all of the
   document has come here since.
"""

from collections.abc import Iterable, Sequence

from peatd.entry import Copy, Entry
from peatd.names import DocumentName
from peatd.table import DocumentTable
from peatd.wire.interest import MAX_TOLD, CopiesTold
from peatd.wire.interest import Copy as CopyTold


class CopyNews:
    """Those for one peer."""

    def __init__(self, table: DocumentTable) -> None:
        self._table = table
        self._names: dict[DocumentName, None] = {}
        self._refused: dict[DocumentName, int] = {}

    def add(self, names: Iterable[DocumentName]) -> None:
        """The peer is to hear what we have of them."""
        self._names.update(dict.fromkeys(names))

    def refuse(self, entry: Entry) -> None:
        """The peer has sent, or asked for, what is not here."""
        self._refused[entry.name] = entry.incarnation

    def take(self) -> Sequence[CopiesTold]:
        """What to tell it next."""
        refused = [CopyTold(name, self._refused.pop(name), b"") for name in list(self._refused)[:MAX_TOLD]]
        names = list(self._names)[:MAX_TOLD]
        for name in names:
            del self._names[name]
        told = [_copy(entry) for entry in filter(None, map(self._table.get, names)) if not entry.deleted]
        return [CopiesTold(copies) for copies in (refused, told) if copies]


def _copy(entry: Entry) -> CopyTold:
    return CopyTold(entry.name, entry.incarnation, entry.reach.digest() if entry.copy is Copy.WHOLE else b"")
