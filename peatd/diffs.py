"""Makes the diffs that one peer is owed: a few at once, and no more than can be sent soon."""

from collections.abc import Callable
from functools import partial

import trio

from peatd.documents import Documents
from peatd.errors import PeatError
from peatd.known import OwedDiff
from peatd.names import DocumentKey
from peatd.sync import PeerSync

_AT_ONCE = 16
"""Enough to keep the engine busy during a first sync of many small documents."""
_READY_BYTES = 4 * 1024 * 1024
"""Diffs made and not yet sent; no further one is begun beyond it."""


class DiffMaker:
    """Turns what `sync` owes into what it can send.

    Args:
        made: is called when one was made, or could not be; it is to call `wake` too.
        failed: is told why it could not.
    """

    def __init__(
        self,
        documents: Documents,
        sync: PeerSync,
        made: Callable[[], None],
        failed: Callable[[DocumentKey, PeatError], None],
    ) -> None:
        self._documents = documents
        self._sync = sync
        self._made = made
        self._failed = failed
        self._slots = trio.Semaphore(_AT_ONCE)
        self._work = trio.Event()

    def wake(self) -> None:
        """More is owed, or something was sent."""
        self._work.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                self._work = trio.Event()
                owed = self._sync.next_diff() if self._sync.ready_bytes < _READY_BYTES else None
                if owed is None:
                    await self._work.wait()
                else:
                    await self._slots.acquire()
                    nursery.start_soon(self._make, owed)

    async def _make(self, owed: OwedDiff) -> None:
        try:
            await self._documents.diff(owed.key, owed.vector, partial(self._sync.diff_made, owed))
        except PeatError as error:
            self._sync.diff_failed(owed)
            self._failed(owed.key, error)
        finally:
            self._slots.release()
            self._made()
