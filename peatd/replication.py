"""Documents ↔ disk ↔ links: merge, record, owe. The heart of a node, and small.

Every change takes one path, wherever it comes from:

    a peer (exchange.py) or a writer (library.py)
      → the engine merges it (documents.py), and answers, in order, with the *news* in it
      → `merge`: recorded in the store, counted in the table, owed to every other peer

Rules:
1. `merge`, `begin` and `end` have no `await`: memory, log and debts change together, so the order of the log is the
   order of merging. (With an `await` in between, 10 of 200 runs no longer replayed from disk.)
2. What came from a peer is never forwarded; the news is owed, see sync.py.
3. An incarnation that has ended takes no more changes, on any path.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from secrets import token_bytes
from typing import Protocol

import trio

from peatd.documents import Documents, News
from peatd.horizon import Horizon
from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.own_time import OwnTime
from peatd.reach import Reach
from peatd.store import Store
from peatd.sync import PeerSync
from peatd.table import DocumentTable, Entry
from peatd.unborn import Unborn
from peatd.unreplicated import Unreplicated
from peatd.update import check

TOMBSTONE_TTL = 7 * 86_400.0
"""Seconds. A node that was away for a week is rare, and told by the horizon what it missed."""

_NEARLY = 0.9
"""Of that time: two nodes know the age of one tombstone a little differently, and who has forgotten it need not learn
it again for the rest."""

_HORIZON = "horizon"


@dataclass(frozen=True, slots=True)
class Merged:
    """A change that was taken in.

    Attributes:
        version: the document's, with it.
        seq: of the store's record: durable once the store has synced it.
        begun: the change began the document, or a new incarnation of it.
    """

    key: DocumentKey
    version: int
    seq: int
    begun: bool


@dataclass(slots=True)
class MergedCount:
    """What was new here since the start: changes of this node's own writers and of peers, and their size together."""

    from_here: int = 0
    from_peers: int = 0
    size_bytes: int = 0


@dataclass(slots=True, eq=False)
class Subscriber:
    """One link's share: what it owes, and how to wake its writer."""

    sync: PeerSync
    wake: Callable[[], None]


class Watcher(Protocol):
    """Someone here who follows documents. Told in the order of merging, and of nothing that was not recorded."""

    def begun(self, entry: Entry, origin: DeviceId | None) -> None:
        """A document, or a new incarnation of one, began, here or (`origin`) by a peer; it is still empty."""

    def changed(self, entry: Entry, update: bytes, origin: DeviceId | None) -> None:
        """The document has this news; `origin` brought it (None: it was made here)."""

    def ended(self, entry: Entry, origin: DeviceId | None) -> None:
        """The document was deleted, here or (`origin`) by a peer."""


class Replication:
    """All documents of this node, and who is to hear of their changes."""

    def __init__(self, store: Store, documents: Documents, *, tombstone_ttl: float = TOMBSTONE_TTL) -> None:
        self.store = store
        self.documents = documents
        self.tombstone_ttl = tombstone_ttl
        self.own_time = OwnTime(store)
        self.horizon = Horizon.opened(
            store.notes.get(_HORIZON),
            is_whole=store.is_whole,
            last_seq=store.last_seq,
            new_epoch=partial(token_bytes, 8),
        )
        self.newest = 0
        """The highest `born` of all documents."""
        self.table = DocumentTable()
        self.confirmations = trio.Event()
        """Set, and replaced by another, whenever a peer has confirmed something, a peer came or went, or a document was
        deleted."""
        self.unsaved: set[DocumentName] = set()
        """Documents that have changed, or ended, since their reach was last saved (upkeep.py)."""
        self.audience: dict[DocumentName, int] = {}
        """How many clients of this node are at each document; kept by whoever lets them in."""
        self.merged = MergedCount()
        self.unreplicated = Unreplicated()
        self.missed = 0
        """Documents that ended here because a peer that had them has forgotten them."""
        self._subscribers: set[Subscriber] = set()
        self._watchers: list[Watcher] = []
        self._unborn = Unborn()
        self.table.first_incarnation = lambda: self.horizon.floor + 1
        self.table.age = lambda entry: entry.aged + self.own_time.age(entry.born)
        self._load()
        self.save_horizon()  # its epoch is durable before any record that is numbered in it

    def merge(self, key: DocumentKey, news: News, origin: DeviceId | None) -> Merged | None:
        """Takes in what the engine found to be new. None if this incarnation is over: nothing is changed then."""
        if self.table.has_ended(key):
            return None  # rule 3
        entry = self.table.alive(key)
        begun = entry is None
        if entry is None:
            entry = self.begin(key, origin)
        for piece in (news, *news.rest):
            if not piece.content.is_empty:
                self._changed(entry, piece, origin)
        return Merged(key, entry.version, self.store.last_seq, begun)

    def _changed(self, entry: Entry, news: News, origin: DeviceId | None) -> None:
        entry.changed = self.store.record(entry.key, news.update)
        self.table.changed(entry, news.update, news.content, origin)
        self.unsaved.add(entry.name)
        self._count(entry, news, origin)
        self._owe(entry)
        for watcher in self._watchers:
            watcher.changed(entry, news.update, origin)

    def begin(self, key: DocumentKey, origin: DeviceId | None) -> Entry:
        """A new document, or a new incarnation of one; still empty."""
        self._close(key.name)
        seq = self.store.set_incarnation(key.name, key.incarnation, deleted=False)
        entry = self.table.begin(key)
        entry.born = entry.changed = self.newest = seq
        entry.reach.bury(self._unborn.take(key.name))
        self._save_former(entry)
        self._owe(entry)
        for watcher in self._watchers:
            watcher.begun(entry, origin)
        return entry

    def end(self, key: DocumentKey, origin: DeviceId | None, aged: int = 0) -> Merged | None:
        """Deletes this incarnation and all before it. None if it is over already, or so long over that nobody needs to
        know any more.

        Args:
            aged: how many seconds ago that was, at least.
        """
        if self.table.has_ended(key) or (aged > _NEARLY * self.tombstone_ttl and self.table.get(key.name) is None):
            return None
        self._close(key.name)
        seq = self.store.set_incarnation(key.name, key.incarnation, deleted=True, aged=aged)
        entry = self.table.end(key)
        entry.born, entry.aged = seq, aged
        entry.reach.bury(self._unborn.take(key.name))
        self.unsaved.add(key.name)
        self._save_former(entry)
        for subscriber in self._subscribers:
            subscriber.sync.ended(entry, origin)
            subscriber.wake()
        for watcher in self._watchers:
            watcher.ended(entry, origin)
        return Merged(key, entry.version, seq, begun=False)

    def forget(self, entry: Entry) -> None:
        """Lets go of a tombstone. `save_horizon` goes before: once it is gone, the horizon is all that tells of it."""
        self.store.forget(entry.key)
        self.table.forget(entry)
        for subscriber in self._subscribers:
            subscriber.sync.forget(entry.key)

    def save_horizon(self) -> None:
        self.store.note(_HORIZON, self.horizon.encode())

    def is_end_everywhere(self, entry: Entry) -> bool:
        """Whether all linked peers have this tombstone on their disks. Who is not known to is asked."""
        linked = {subscriber.sync.device_id for subscriber in self._subscribers}
        return self.durable_on(entry.key, entry.version) == len(linked)

    def shrunk(self, key: DocumentKey, reach: bytes) -> None:
        """The engine has opened the document. If that is less than its records promised, peers owe us the rest."""
        entry, opened = self.table.alive(key), Reach.decode(reach)
        if entry is not None and not opened.equals(entry.reach):
            self.table.replace_reach(entry, opened)
            self.unsaved.add(key.name)
            for subscriber in self._subscribers:
                subscriber.sync.ask(entry)
                subscriber.wake()

    def bury(self, name: DocumentName, former: Collection[int]) -> bool:
        """A peer says whose content of earlier lives must not come back; whether we know of more than it does."""
        entry = self.table.get(name)
        if entry is None:
            self._unborn.note(name, former)
            return False
        if entry.reach.bury(former):
            self._save_former(entry)
        return len(entry.reach.former) > len(former)

    def watch(self, watcher: Watcher) -> None:
        """From now on this watcher is told of everything; it must neither fail nor change a document meanwhile."""
        self._watchers.append(watcher)

    @contextmanager
    def subscribed(self, subscriber: Subscriber) -> Iterator[None]:
        """While it lasts, every change is owed to this subscriber too."""
        self._subscribers.add(subscriber)
        self.confirmed()
        try:
            yield
        finally:
            self._subscribers.discard(subscriber)
            self.forget_changes(self.table.with_changes())
            self.confirmed()

    def forget_changes(self, entries: Iterable[Entry]) -> None:
        """Lets go of the changes that all links have been sent."""
        for entry in entries:
            needed = (s.sync.needs_changes_after(entry) for s in self._subscribers)
            self.table.forget_changes(entry, min(needed, default=entry.version))

    def durable_on(self, key: DocumentKey, version: int) -> int:
        """How many peers have said that they have this version on their disk. Whoever was not asked yet is asked."""
        entry = self.table.get(key.name)
        for subscriber in self._subscribers:
            if entry is not None and not subscriber.sync.knows(entry.key):
                subscriber.sync.ask(entry)
                subscriber.wake()
        return len({s.sync.device_id for s in self._subscribers if s.sync.is_durable(key, version)})

    def heard_durable(self, sync: PeerSync, key: DocumentKey, version: int) -> None:
        """This peer has it on its disk; `confirmed` is called once after all that it says at once."""
        self.unreplicated.confirmed(key, sync.heard_durable(key, version), trio.current_time())

    def confirmed(self) -> None:
        """A peer has confirmed something."""
        self.confirmations.set()
        self.confirmations = trio.Event()

    def _save_former(self, entry: Entry) -> None:
        if entry.reach.former:
            self.store.checkpoint(entry.key, entry.reach.encode())

    def _owe(self, entry: Entry) -> None:
        for subscriber in self._subscribers:
            subscriber.sync.changed(entry)
            subscriber.wake()
        if not self._subscribers:
            self.table.forget_changes(entry, entry.version)

    def _count(self, entry: Entry, news: News, origin: DeviceId | None) -> None:
        if origin is None:
            self.merged.from_here += 1
            self.unreplicated.made(entry.key, entry.version, len(news.update), trio.current_time())
        else:
            self.merged.from_peers += 1
        self.merged.size_bytes += len(news.update)

    def _close(self, name: DocumentName) -> None:
        self.unreplicated.ended(name)
        old = self.table.get(name)
        if old is not None and not old.deleted:
            self.documents.close(old.key)
            self.confirmed()  # whoever waits for that of a change to it waits in vain

    def _load(self) -> None:
        for stored in self.store.documents():
            reach = Reach.decode(stored.reach) if stored.reach else Reach()
            for update in stored.tail:
                content = check(update, subdocuments=True)
                if not reach.lacks(content):  # else it builds on a row that was lost; the engine leaves it out too
                    reach.absorb(content)
            entry = self.table.load(stored.name, stored.incarnation, deleted=stored.deleted, reach=reach)
            entry.born, entry.changed, entry.aged = stored.born, stored.changed, stored.aged
            self.newest = max(self.newest, stored.born)
