"""What goes by itself: tombstones that nobody needs any more, and documents whose collection has a time to live."""

from collections.abc import Iterator, Mapping
from itertools import islice

import structlog
import trio

from peatd.entry import Copy, Entry
from peatd.errors import Unavailable
from peatd.replication import Replication

log = structlog.get_logger()

_ROUNDS, _SHORTEST, _LONGEST = 20, 1.0, 60.0
"""A look every twentieth of the shortest time to live, but not sooner and not later than so many seconds."""

_SAVE = 600.0
"""Seconds of own time that a crash may cost: what expires then expires later."""

_AT_ONCE = 1000
"""Of a round's deletions, so that peers and clients hear of them bit by bit. Where there are more, the next round is
soon."""

_STRIDE = 2000
"""Entries that are looked at between two turns of all else: a millisecond."""


class Forgetting:
    """Args:
    collections: seconds that a document lives after its last change, by its collection.
    """

    def __init__(self, replication: Replication, collections: Mapping[str, float]) -> None:
        self._replication = replication
        self._collections = collections
        self._saved_at = 0
        self._saved_changes = -1
        self.forgotten = 0
        """Tombstones that are gone, since the start."""
        self.expired = 0
        """Documents that were deleted for their age, since the start."""

    async def run(self) -> None:
        shortest = min([self._replication.tombstone_ttl, *self._collections.values()])
        interval = min(max(shortest / _ROUNDS, _SHORTEST), _LONGEST)
        is_more = False
        while True:
            await trio.sleep(_SHORTEST if is_more else interval)
            self._replication.own_time.mark()
            try:
                await self._replication.store.room()
            except Unavailable:
                continue
            is_more = await self._look()
            if self._replication.own_time.now() - self._saved_at >= _SAVE:
                self.save()
            elif self._replication.horizon.changes != self._saved_changes:
                self._save_horizon()

    def save(self) -> None:
        """Keeps what the next run is to know."""
        self._saved_at = self._replication.own_time.now()
        self._replication.own_time.mark()
        self._replication.own_time.save()
        self._save_horizon()

    def _save_horizon(self) -> None:
        self._saved_changes = self._replication.horizon.changes
        self._replication.save_horizon()

    async def _look(self) -> bool:
        """One round; whether there is more to do."""
        names = iter([entry.name for entry in self._replication.table])
        expired: list[Entry] = []
        forgettable: list[Entry] = []
        while stride := list(islice(names, _STRIDE)):
            for entry in filter(None, map(self._replication.table.get, stride)):
                if entry.deleted:
                    forgettable += self._if_forgettable(entry)
                elif self._has_expired(entry):
                    expired.append(entry)
            await trio.lowlevel.checkpoint()
        self._expire(expired[:_AT_ONCE])
        self._forget(forgettable[:_AT_ONCE])
        return max(len(expired), len(forgettable)) > _AT_ONCE

    def _has_expired(self, entry: Entry) -> bool:
        ttl = self._collections.get(entry.name.partition("/")[0])
        if ttl is None or entry.copy is not Copy.WHOLE:  # of what is elsewhere it is not known when it changed
            return False
        return entry.changed > 0 and self._replication.own_time.age(entry.changed) >= ttl

    def _if_forgettable(self, entry: Entry) -> Iterator[Entry]:
        replication = self._replication
        if replication.table.age(entry) >= replication.tombstone_ttl and replication.is_end_everywhere(entry):
            yield entry

    def _expire(self, entries: list[Entry]) -> None:
        # Each may have changed meanwhile: `end` knows of those that are over, `_has_expired` of those written to.
        for entry in entries:
            if self._has_expired(entry) and self._replication.end(entry.key, None) is not None:
                self.expired += 1

    def _forget(self, entries: list[Entry]) -> None:
        present = [entry for entry in entries if self._replication.table.get(entry.name) is entry]
        if not present:
            return
        for entry in present:
            self._replication.horizon.raise_floor(entry.incarnation)
        self._save_horizon()  # before: once a tombstone is gone, this is all that tells of it
        for entry in present:
            self._replication.forget(entry)
        self.forgotten += len(present)
        log.info("tombstones forgotten", tombstones=len(present))
