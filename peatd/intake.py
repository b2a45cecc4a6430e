"""The updates of one peer on their way into our copies. Those that bring nothing are known without the engine."""

from collections.abc import Callable, Sequence
from functools import partial

import trio

from peatd.documents import NOTHING_NEW, News
from peatd.errors import MalformedUpdate, PeatError, Unavailable
from peatd.merged import Merged
from peatd.names import DeviceId, DocumentKey
from peatd.replication import Replication
from peatd.update import check

_QUICKLY_CHECKED_BYTES = 4096
"""Of one message's updates: most take microseconds, none as long as a round trip to the engine."""

_AT_ONCE = 32
"""Updates of one message until others have their turn, a millisecond: the engine gets what is together in one piece."""

Then = Callable[[Merged | None], object]


class Intake:
    """What came over one link and is to be merged.

    Args:
        failed: is told what could not be merged, and why.
    """

    def __init__(
        self, replication: Replication, device_id: DeviceId, failed: Callable[[DocumentKey, PeatError], None]
    ) -> None:
        self._replication = replication
        self._device_id = device_id
        self._origin = f"peer {device_id}"
        self._failed = failed
        self._unanswered = 0
        self._refused = trio.Event()

    async def merge(self, key: DocumentKey, updates: Sequence[bytes], then: Then) -> None:
        """Merges them in order; returns when there is room for more.

        Args:
            then: is told what became of the last: once that is on disk, so are all that came before it.
        """
        if not updates or self._are_known(key, updates):
            then(self._replication.merge(key, NOTHING_NEW, self._device_id))
            return
        for count, update in enumerate(updates[:-1], start=1):
            await self._submit(key, update, _ignore)
            if count % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        await self._submit(key, updates[-1], then)

    async def recovered(self) -> None:
        """Waits until an update was refused because the disk fails, and then until it works again."""
        await self._refused.wait()
        await self._replication.store.working()
        self._refused = trio.Event()

    def _are_known(self, key: DocumentKey, updates: Sequence[bytes]) -> bool:
        """In a mesh the same change comes from every peer, and only the first time it is the engine's to merge.

        Not while earlier updates of this peer are being merged: to confirm these is to confirm those, too.
        """
        entry = self._replication.table.alive(key)
        if entry is None or self._unanswered or sum(map(len, updates)) > _QUICKLY_CHECKED_BYTES:
            return False
        try:
            return all(entry.reach.covers(check(update, subdocuments=True)) for update in updates)
        except MalformedUpdate:
            return False  # the engine refuses it, and says why

    async def _submit(self, key: DocumentKey, update: bytes, then: Then) -> None:
        try:
            if not self._replication.store.has_room:
                await self._replication.store.room()
        except Unavailable as error:
            self._failed(key, error)
            self._refused.set()
            return
        try:
            self._replication.table.admit(key.name)
        except Unavailable as error:
            self._failed(key, error)
            return
        self._unanswered += 1
        merged, failed = partial(self._merged, key, then, self._drops(key)), partial(self._not_merged, key)
        documents = self._replication.documents
        documents.submit(key, update, origin=self._origin, then=merged, failed=failed)
        await documents.room(key.name)

    def _merged(self, key: DocumentKey, then: Then, drops: int, news: News) -> None:
        """Runs in the order of merging, with no `await` before the record (replication.py, rule 1)."""
        self._unanswered -= 1
        is_kept = drops == self._drops(key)  # else it was merged into a copy that was let go since
        then(self._replication.merge(key, news, self._device_id) if is_kept else None)

    def _drops(self, key: DocumentKey) -> int:
        entry = self._replication.table.alive(key)
        return 0 if entry is None else entry.drops

    def _not_merged(self, key: DocumentKey, error: PeatError) -> None:
        self._unanswered -= 1
        self._failed(key, error)


def _ignore(_merged: Merged | None) -> None:
    """The last of a message speaks for all."""
