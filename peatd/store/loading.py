"""The reader, asked from trio's side: one question at a time, in a thread, and what it could not read is remembered."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog
import trio

from peatd.errors import StoreDamaged, StoreError, StoreUnavailable
from peatd.names import DocumentKey
from peatd.store.reading import Reader
from peatd.store.records import CorruptRow, LogRow, QuarantinedUpdate
from peatd.threads import run_in_thread

_log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")
Rows = tuple[Sequence[LogRow], Sequence[CorruptRow]]
"""Of one life, oldest first, good and bad."""

_TOGETHER_BYTES = 1024 * 1024
"""Of logs that are read at once; what is read of one more is as large as that one is."""


class Loading:
    """One store's.

    Attributes:
        turn: under which the reader is used.
        failure: why the last document could not be read; None if it could. A bad page stays bad until the next opening.
    """

    def __init__(self, reader: Reader) -> None:
        self.turn = trio.CapacityLimiter(1)
        self.failure: StoreError | None = None
        self._reader = reader

    async def rows(self, keys: Sequence[DocumentKey]) -> Mapping[DocumentKey, Rows]:
        """Those of the first, and of others as long as they are small and can be read.

        Raises:
            StoreError: if the first cannot be read.
        """
        try:
            found = await self._ask(partial(self._rows, keys))
        except StoreError as exc:
            self._failed(exc)
            raise
        if not isinstance(self.failure, StoreDamaged):
            self.failure = None
        return found

    def _rows(self, keys: Sequence[DocumentKey]) -> Mapping[DocumentKey, Rows]:
        """In a thread: a hop there and back costs more than most documents."""
        found = {keys[0]: self._reader.rows(keys[0])}
        read_bytes = _size_bytes(found[keys[0]])
        with suppress(StoreError):  # when it is the first itself, it is told
            for key in keys[1:]:
                if read_bytes > _TOGETHER_BYTES:
                    break
                found[key] = self._reader.rows(key)
                read_bytes += _size_bytes(found[key])
        return found

    async def quarantined(self) -> list[QuarantinedUpdate]:
        """Raises: StoreError, if the file cannot be read."""
        return await self._ask(self._reader.quarantined)

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return await run_in_thread(question, limiter=self.turn)
        except OSError as exc:
            raise StoreUnavailable(f"the store cannot be read: {exc.strerror or exc}") from exc

    def _failed(self, error: StoreError) -> None:
        if str(error) != str(self.failure):  # once, not for each that asks
            _log.error("store_unreadable", message=str(error))
        self.failure = error


def _size_bytes(rows: Rows) -> int:
    return sum(len(row.payload) for row in rows[0])
