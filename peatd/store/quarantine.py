"""What the store sets aside: updates that killed the engine, and rows that damage has changed."""

import time
from collections import Counter
from collections.abc import Callable, Iterable

import structlog

from peatd.names import DocumentKey
from peatd.store.keeper import Keeper
from peatd.store.operations import SetAside
from peatd.store.records import CorruptRow

_log = structlog.get_logger(__name__)

_MAX_TOLD = 1024
"""Documents and reasons remembered so that an update which is offered again and again is one line in the log."""


class Quarantine:
    """Attributes:
    count: how often an update was set aside in the life of the store.
    by_origin: how often since the opening, by the first word of its origin.
    corrupt_rows: found since the opening.
    damaged: is told of each document of which the log has lost a row.
    """

    def __init__(self, keeper: Keeper, count: int) -> None:
        self.count = count
        self.by_origin: Counter[str] = Counter()
        self.damaged: Callable[[DocumentKey], object] = lambda _: None
        self._keeper = keeper
        self._corrupt_seqs: set[int] = set()
        self._told: set[tuple[DocumentKey, str]] = set()

    @property
    def corrupt_rows(self) -> int:
        return len(self._corrupt_seqs)

    def take(self, key: DocumentKey, update: bytes, *, origin: str, reason: str, seq: int | None) -> None:
        """With `seq`, that row leaves the log."""
        if (key, reason) not in self._told:
            if len(self._told) >= _MAX_TOLD:
                self._told.clear()
            self._told.add((key, reason))
            _log.error("update_quarantined", document=key.name, origin=origin, reason=reason, size_bytes=len(update))
        self._set_aside(key, update, origin, reason, seq)

    def take_corrupt(self, corrupt: Iterable[CorruptRow]) -> None:
        for row in corrupt:
            if row.seq in self._corrupt_seqs:
                continue  # found by two loads at once
            self._corrupt_seqs.add(row.seq)
            _log.warning("store_row_corrupt", document=row.key.name, incarnation=row.key.incarnation, seq=row.seq)
            self._set_aside(row.key, row.payload, "store", "its checksum is wrong", row.seq)

    def _set_aside(self, key: DocumentKey, update: bytes, origin: str, reason: str, seq: int | None) -> None:
        self.count += 1
        self.by_origin[origin.partition(" ")[0]] += 1
        self._keeper.add(SetAside(seq, key, update, origin, reason, time.time()))
        if seq is not None:
            self.damaged(key)
