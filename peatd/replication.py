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

import trio

from peatd.documents import Documents, News
from peatd.entry import Copy, Entry
from peatd.fetches import Coming, Fetches
from peatd.horizon import Horizon
from peatd.interest import Interest
from peatd.merged import Merged, MergedCount
from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.own_time import OwnTime
from peatd.pulse import Pulse
from peatd.reach import EMPTY_UPDATE, Reach
from peatd.releases import Releases
from peatd.reopening import opened
from peatd.store import Store
from peatd.sync import PeerSync
from peatd.table import DocumentTable
from peatd.unborn import Unborn
from peatd.unreplicated import Unreplicated
from peatd.watcher import Copier, Watcher

TOMBSTONE_TTL = 7 * 86_400.0  # seconds; a node that was away for longer is told by the horizon what it missed

_NEARLY = 0.9
"""Of that time: nodes know a tombstone's age a little differently, and who has forgotten it need not learn it again."""

_HORIZON = "horizon"


@dataclass(slots=True, eq=False)
class Subscriber:
    """One link's share: what it owes, and how to wake its writer."""

    sync: PeerSync
    wake: Callable[[], None]
    copies: Copier


class Replication:
    """All documents of this node, and who is to hear of their changes."""

    def __init__(
        self,
        store: Store,
        documents: Documents,
        tombstone_ttl: float = TOMBSTONE_TTL,
        interest: Interest | None = None,
    ) -> None:
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
        self.newest = 0  # the highest `born` of all documents
        self.table = DocumentTable()
        self.confirmations = trio.Event()
        """Set, and replaced, whenever a peer has confirmed something, came or went, or a document was deleted."""
        self.unsaved: set[DocumentName] = set()  # changed, or ended, since their reach was last saved (upkeep.py)
        self.audience: dict[DocumentName, int] = {}
        """How many clients of this node are at each document."""
        self.merged, self.unreplicated = MergedCount(), Unreplicated()
        self.missed = 0  # documents that ended here because a peer that had them has forgotten them
        self.subscribers: set[Subscriber] = set()
        self._watchers: list[Watcher] = []
        self._unborn, self.pulse = Unborn(), Pulse(lambda: self.table.clock)
        self.interest = interest or Interest({}, b"")
        self.releases, self.fetches, self.coming = Releases(), Fetches(), Coming()
        self.is_mesh_full: Callable[[], bool] = lambda: True  # everybody is linked with everybody
        self.want: Callable[[Entry], None] = lambda _: None  # has it come from elsewhere (holding.py)
        self.table.restricted = self.interest.restricted
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
        elif entry.is_name:
            return None  # nobody here has asked for it; whoever sent it keeps it
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

    def begin(self, key: DocumentKey, origin: DeviceId | None, *, by_name: bool = False) -> Entry:
        """A new document, or a new incarnation of one; still empty. `by_name`: its content is elsewhere."""
        self._close(key.name)
        seq = self.store.set_incarnation(key.name, key.incarnation, deleted=False)
        entry = self.table.begin(key, origin)
        entry.born = entry.changed = self.newest = seq
        entry.reach.bury(self._unborn.take(key.name))
        self._save_former(entry)
        if by_name:
            self.empty(entry)
        self._owe(entry)
        for watcher in self._watchers:
            watcher.begun(entry, origin)
        return entry

    def empty(self, entry: Entry) -> None:
        """Only the name stays of a document whose content is elsewhere: on the disk, an empty snapshot."""
        self.table.emptied(entry)
        self.store.fold(entry.key, EMPTY_UPDATE, through=self.store.last_seq, reach=entry.reach.encode())
        self.unsaved.discard(entry.name)

    def let_go(self, entry: Entry) -> None:
        """Drops the content of a document that enough others hold (releases.py)."""
        self.documents.close(entry.key)
        self.unreplicated.ended(entry.name)
        self.empty(entry)
        for subscriber in self.subscribers:
            subscriber.sync.forget(entry.key)
        self.copied(entry)

    def arrived(self, entry: Entry) -> None:
        """All of a document that was to come has come."""
        entry.copy = Copy.WHOLE
        self.fetches.end(entry.name)
        self.copied(entry)

    def copied(self, entry: Entry) -> None:
        """Its content has come, or was let go: peers and watchers look again."""
        for subscriber in self.subscribers:
            subscriber.copies.copied(entry)
        for watcher in self._watchers:
            watcher.copied(entry)

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
        for subscriber in self.subscribers:
            subscriber.sync.ended(entry, origin)
            subscriber.wake()
        for watcher in self._watchers:
            watcher.ended(entry, origin)
        return Merged(key, entry.version, seq, begun=False)

    def forget(self, entry: Entry) -> None:
        """Lets go of a tombstone, once `save_horizon` has kept what then tells of it."""
        self.store.forget(entry.key)
        self.table.forget(entry)
        for subscriber in self.subscribers:
            subscriber.sync.forget(entry.key)

    def save_horizon(self) -> None:
        self.store.note(_HORIZON, self.horizon.encode())

    def is_end_everywhere(self, entry: Entry) -> bool:
        """Whether all linked peers have this tombstone on their disks. Who is not known to is asked."""
        linked = {subscriber.sync.device_id for subscriber in self.subscribers}
        return self.durable_on(entry.key, entry.version) == len(linked)

    def shrunk(self, key: DocumentKey, reach: bytes) -> None:
        """The engine has opened the document. If that is less than its records promised, peers owe us the rest."""
        entry, opened = self.table.alive(key), Reach.decode(reach)
        if entry is not None and not opened.equals(entry.reach):
            self.table.replace_reach(entry, opened)
            self.unsaved.add(key.name)
            for subscriber in self.subscribers:
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
        self.subscribers.add(subscriber)
        self.confirmed()
        try:
            yield
        finally:
            self.subscribers.discard(subscriber)
            self.forget_changes(self.table.with_changes())
            self.confirmed()

    def forget_changes(self, entries: Iterable[Entry]) -> None:
        """Lets go of the changes that all links have been sent."""
        for entry in entries:
            needed = (s.sync.needs_changes_after(entry) for s in self.subscribers)
            self.table.forget_changes(entry, min(needed, default=entry.version))

    def durable_on(self, key: DocumentKey, version: int) -> int:
        """How many peers have said that they have this version on their disk. Whoever was not asked yet is asked."""
        entry = self.table.get(key.name)
        for subscriber in self.subscribers:
            if entry is not None and not subscriber.sync.knows(entry.key) and subscriber.sync.share.is_holding(entry):
                subscriber.sync.ask(entry)
                subscriber.wake()
        return len({s.sync.device_id for s in self.subscribers if s.sync.is_durable(key, version)})

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
        for subscriber in self.subscribers:
            subscriber.sync.changed(entry)
            subscriber.wake()
        if not self.subscribers:
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
            reach = opened(stored)
            entry = self.table.load(stored.name, stored.incarnation, deleted=stored.deleted, reach=reach)
            if stored.size_bytes == len(EMPTY_UPDATE) and reach.is_empty and not stored.deleted:
                entry.copy = Copy.NAME
            entry.born, entry.changed, entry.aged = stored.born, stored.changed, stored.aged
            self.newest = max(self.newest, stored.born)
