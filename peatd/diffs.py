"""Makes the diffs that one peer is owed: a few at once, and no more than can be sent soon."""

from collections.abc import Callable
from functools import partial

import trio

from peatd.documents import Documents
from peatd.errors import PeatError, TooLarge
from peatd.known import OwedDiff
from peatd.names import DocumentKey
from peatd.sync import PeerSync
from peatd.update import MAX_DIFF_BYTES

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
        """More is owed, or something was sent. (Most of what is owed needs no diff.)"""
        if self._sync.owes_diffs:
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
            await self._documents.diff(owed.key, owed.vector, partial(self._diff, owed))
        except PeatError as error:
            self._could_not(owed, error)
        finally:
            self._slots.release()
            self._made()

    def _diff(self, owed: OwedDiff, update: bytes) -> None:
        if len(update) <= MAX_DIFF_BYTES:
            self._sync.diff_made(owed, update)
        else:  # The peer would end the link over it, and with it the sync of all other documents.
            message = f"the peer lacks {len(update)} bytes of it; {MAX_DIFF_BYTES} are sent at most"
            self._could_not(owed, TooLarge(message))

    def _could_not(self, owed: OwedDiff, error: PeatError) -> None:
        self._sync.diff_failed(owed)
        self._failed(owed.key, error)
