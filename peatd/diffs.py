"""Makes the diffs that one peer is owed: a few at once, and no more than can be sent soon.

A large one is made in parts, each an update of its own: what has arrived of it when the link breaks has arrived.
"""

from collections.abc import Callable, Sequence
from functools import partial

import trio

from peatd.documents import Documents
from peatd.errors import PeatError, TooLarge
from peatd.known import OwedDiff
from peatd.names import DocumentKey
from peatd.sync import PeerSync
from peatd.update import MAX_UNCUT_BYTES

PART_BYTES = 8 * 1024 * 1024
"""Less than twice as much is not cut, which is slower than all else: most documents are not."""
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
        self._underway = 0
        self._work = trio.Event()

    def wake(self) -> None:
        """More is owed, or something was sent. (Most of what is owed needs no diff.)"""
        if self._sync.owes_diffs:
            self._work.set()

    async def run(self) -> None:
        begun = 0
        while True:
            self._work = trio.Event()
            has_room = self._underway < _AT_ONCE and self._sync.streams.ready_bytes < _READY_BYTES
            owed = self._sync.next_diff() if has_room else None
            if owed is None:
                await self._work.wait()
            else:
                self._underway += 1
                made, failed = partial(self._diff, owed), partial(self._could_not, owed)
                ask = partial(self._documents.submit_diff, owed.key, owed.vector, piece_bytes=PART_BYTES)
                ask(origin=f"peer {self._sync.device_id}", then=made, failed=failed)
                begun += 1
                if begun % _AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()  # they may all have failed at once

    def _diff(self, owed: OwedDiff, parts: Sequence[bytes]) -> None:
        largest_bytes = max(map(len, parts))
        if largest_bytes > MAX_UNCUT_BYTES:  # The peer would end the link, and with it the sync of all other documents.
            message = f"the peer lacks {largest_bytes} bytes in one value; {MAX_UNCUT_BYTES} are sent at most"
            self._could_not(owed, TooLarge(message))
            return
        self._underway -= 1
        self._sync.diff_made(owed, parts)
        self._made()

    def _could_not(self, owed: OwedDiff, error: PeatError) -> None:
        self._underway -= 1
        self._sync.diff_failed(owed)
        self._failed(owed.key, error)
        self._made()
