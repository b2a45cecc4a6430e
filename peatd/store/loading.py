"""The reader, asked from trio's side: one question at a time, in a thread, and what it could not read is remembered."""

from collections.abc import Callable, Sequence
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

    async def rows(self, key: DocumentKey) -> tuple[Sequence[LogRow], Sequence[CorruptRow]]:
        """Raises: StoreError, if the file cannot be read."""
        try:
            rows, corrupt = await self._ask(partial(self._reader.rows, key))
        except StoreError as exc:
            self._failed(exc)
            raise
        if not isinstance(self.failure, StoreDamaged):
            self.failure = None
        return rows, corrupt

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
