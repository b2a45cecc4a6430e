"""Sees to it that what is to be here comes, and that what need not be here goes, when it may. See interest.py.

Rules:
1. What is needed here is fetched from one peer that holds it; from another if that one does not answer.
2. What need not be here is let go as releases.py has it, when nobody here asks for it and the members are known.
3. Documents are placed by members that have been the same for a while. A member that is out of reach counts as one for
   some time: most of them come back.
"""

import random
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import structlog
import trio

from peatd.entry import Copy, Entry
from peatd.errors import Unavailable
from peatd.names import DeviceId, DocumentName
from peatd.replication import Replication, Subscriber

log = structlog.get_logger()

GRACE = 30.0
"""Seconds until the copies of a member that is out of reach are made anew elsewhere: a restart takes less."""

_SETTLED = 3.0
"""Seconds for which the members are to be the same before documents are moved for their sake."""

_LOOK = 1.0
"""Seconds between looks at what is unfinished."""

_SCAN = 10.0
"""Seconds between looks at all documents of restricted collections: some were asked for until now."""

_STRIDE = 1000
"""Documents between two turns of all else: a few milliseconds."""

_ROUNDS = 256
"""At once: a few hundred messages to each peer."""

_PAUSE = 2.0
"""Seconds until it is tried again to let go of a document, and up to as many more."""

_PATIENCE = 10.0
"""Seconds that a reader waits for a document that is elsewhere: three sources are asked meanwhile."""


class Places(Protocol):
    """The members of the mesh."""

    @property
    def own_device(self) -> bytes:
        """This node's device id."""

    def lately(self, now: float, grace: float) -> frozenset[bytes]:
        """Device ids of this node and of whom was within reach in the last `grace` seconds."""


class Holding:
    """One node's. Implements `watcher.Watcher`.

    Args:
        members: by whom documents are placed.
        max_links: a mesh of no more other nodes is full.
    """

    def __init__(self, replication: Replication, members: Places, max_links: int) -> None:
        self._replication = replication
        self._interest = replication.interest
        self._members = members
        self._max_links = max_links
        self._seen: tuple[frozenset[bytes], float] = (frozenset(), 0.0)
        self._open: set[DocumentName] = set()
        self._scan_at = 0.0
        self._work = trio.Event()
        self._moves = trio.Event()
        replication.watch(self)
        replication.want = self.want

    # Whoever needs a document ----------------------------------------------------------------------------------

    async def fetch(self, name: DocumentName) -> None:
        """Returns when all of the document is here, if it lives; it then stays for a while.

        Raises:
            Unavailable: if no node that holds it answers in time.
        """
        table = self._replication.table
        self._interest.asked(name, trio.current_time())
        with trio.move_on_after(_PATIENCE):
            while True:
                entry = table.get(name)
                if entry is None or entry.deleted or entry.copy is Copy.WHOLE:
                    return
                self.want(entry)
                self._work.set()
                moves = self._moves
                await moves.wait()
        raise Unavailable(
            f"{name} is not on this node, and no node that has it can be reached: try again, "
            "or delete it if all that had it are gone for good"
        )

    def want(self, entry: Entry) -> None:
        """The document is to be here."""
        if entry.copy is Copy.NAME:
            entry.copy = Copy.COMING
        if entry.copy is Copy.COMING:
            self._open.add(entry.name)
            self._seek(entry, trio.current_time())

    def _seek(self, entry: Entry, now: float) -> None:
        """Rule 1."""
        fetches = self._replication.fetches
        asked = fetches.source(entry.name, now)
        holding = self._holding(entry)
        if any(each.sync.device_id == asked for each in holding):
            return
        before = fetches.last_source(entry.name)
        others = [each for each in holding if each.sync.device_id != before] or holding
        if others:
            source = random.choice(others)
            fetches.begin(entry.name, source.sync.device_id, now)
            source.sync.forget(entry.key)  # whatever was said of it before: it is to answer now
            source.sync.ask(entry)
            source.wake()

    def _holding(self, entry: Entry) -> Sequence[Subscriber]:
        """The links to peers that hold it."""
        holding = [each for each in self._replication.subscribers if each.sync.share.is_holding(entry)]
        return sorted(holding, key=lambda each: each.sync.device_id)

    # Watching --------------------------------------------------------------------------------------------------

    def begun(self, entry: Entry, _origin: DeviceId | None) -> None:
        if entry.is_name:
            self._open.add(entry.name)
            self._work.set()

    def changed(self, entry: Entry, update: bytes, origin: DeviceId | None) -> None:
        """What is in a document decides nothing."""

    def ended(self, entry: Entry, _origin: DeviceId | None) -> None:
        self._replication.releases.void(entry.name)
        self._replication.fetches.end(entry.name)
        self._moved()

    def copied(self, _entry: Entry) -> None:
        self._moved()

    def _moved(self) -> None:
        self._moves.set()
        self._moves = trio.Event()

    # Looking ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        self._open.update(entry.name for entry in self._replication.table if entry.is_name)
        while True:
            self._work = trio.Event()
            await self._look(trio.current_time())
            if not self._interest.restricted and not self._open:
                await self._work.wait()
            else:
                with trio.move_on_after(_LOOK * random.uniform(0.75, 1.25)):
                    await self._work.wait()

    async def _look(self, now: float) -> None:
        interest, replication = self._interest, self._replication
        if interest.restricted:
            self._settle(now)
            for name in replication.audience:
                interest.asked(name, now)
            replication.releases.expire(now, _PAUSE * random.uniform(1.0, 2.0))
        if now >= self._scan_at and interest.restricted:
            self._scan_at = now + _SCAN
            self._open.update(e.name for e in replication.table if not e.deleted and interest.is_restricted(e.name))
        names = iter(sorted(self._open))
        while stride := list(islice(names, _STRIDE)):
            for entry in filter(None, map(replication.table.get, stride)):
                if self._is_done(entry, now):
                    self._open.discard(entry.name)
            self._open.difference_update(name for name in stride if replication.table.get(name) is None)
            await trio.lowlevel.checkpoint()

    def _settle(self, now: float) -> None:
        """Rule 3."""
        members = self._members.lately(now, GRACE)
        self._interest.own_device = self._members.own_device
        is_partial = len(members) - 1 > self._max_links
        if is_partial and not self._interest.is_partial:
            hint = "every node holds all of them while it is: with more --max-links (on all nodes) they are placed"
            log.warning("mesh too large to place documents", members=len(members), max_links=self._max_links, hint=hint)
        self._interest.is_partial = is_partial
        if members != self._seen[0]:
            self._seen = members, now
        elif now - self._seen[1] >= _SETTLED and members != self._interest.members:
            self._interest.members = members
            self._scan_at = now

    def _is_done(self, entry: Entry, now: float) -> bool:
        """Does what is to be done about the document; whether that was all."""
        if entry.deleted:
            return True
        is_wanted = self._interest.is_wanted(entry.name, now)
        if entry.copy is not Copy.WHOLE:
            if is_wanted or entry.copy is Copy.COMING:
                self.want(entry)
                return False
            return True
        if is_wanted is not False:
            self._replication.releases.void(entry.name)
            return True
        self._release(entry, now)
        return False

    def _release(self, entry: Entry, now: float) -> None:
        """Rule 2."""
        releases, needed = self._replication.releases, self._interest.needed(entry.name)
        if not releases.may_begin(entry.name, now) or len(releases) >= _ROUNDS:
            return
        holding = self._holding(entry)
        if len({each.sync.device_id for each in holding}) < needed:
            return
        number = releases.begin(entry.name, entry.version, needed, now)
        for each in holding:
            each.copies.release(entry, number)
