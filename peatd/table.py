"""The documents of this node: which there are, what each holds, and its latest changes. Sans-IO.

One clock counts the changes of all documents, in the order in which they were merged; a document's *version* is the
clock at its latest change. Versions mean nothing on another node, and nothing after a restart.
"""

from collections import deque
from collections.abc import Callable, Iterator
from hashlib import blake2b

from peatd.digest import DigestTree
from peatd.entry import Change, Copy, Entry
from peatd.errors import DocumentEnded, Unavailable
from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.trees import Trees
from peatd.update import Content, Reach
from peatd.wire.messages import Offered, State, Tombstone

RECENT_UPDATES = 256
RECENT_BYTES = 128 * 1024
"""How many of a document's latest changes are kept for peers that are nearly up to date: a few round trips' worth.
Whoever lags further is sent a diff, which the engine makes."""

ALL_RECENT_BYTES = 16 * 1024 * 1024
"""Of all documents together, unless less was said. Only a peer that is linked and does not read gets us there."""

LAST_INCARNATION = 2**53 - 1
"""What a message can tell: with one more our peers would take us for no peer of theirs."""

MOST_DOCUMENTS = 2**20
"""That are known, unless less was said."""

_LOADED = 1
"""The version of what was loaded from the store: more than the 0 that a peer has confirmed before it said anything."""


class DocumentTable:
    """All entries, and the digest tree over them.

    Invariants:
        1. An entry's (incarnation, deleted) only ever grows, in that order: a higher incarnation wins, and in one
           incarnation deleted wins. At its end a deleted one is forgotten.
        2. `living` is the exclusive-or of all living (name, incarnation), hashed.

    Attributes:
        first_incarnation: of a document that this node knows nothing of.
        age: how many seconds ago, at least, a deleted entry was deleted.
        most: entries beyond which `admit` lets no further name in.
        most_recent_bytes: of the latest changes of all documents, which are kept.
        full: is told of each that it does not.
        restricted: collections of which this node does not hold all documents.
    """

    def __init__(self) -> None:
        self.clock = _LOADED
        self.living = 0
        self.most = MOST_DOCUMENTS
        self.most_recent_bytes = ALL_RECENT_BYTES
        self.full: Callable[[str], object] = lambda _: None
        self.first_incarnation: Callable[[], int] = lambda: 1
        self.age: Callable[[Entry], int] = lambda entry: entry.aged
        self._entries: dict[DocumentName, Entry] = {}
        self.restricted: frozenset[str] = frozenset()
        self._trees = Trees(lambda name, by_name: self._entries[name].offered(by_name=by_name))
        self._recent: dict[DocumentName, None] = {}
        self._recent_bytes = 0

    def bound(self, most: int, most_recent_bytes: int, full: Callable[[str], object]) -> None:
        """As there is memory for: see the attributes."""
        self.most, self.most_recent_bytes, self.full = most, most_recent_bytes, full

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, name: DocumentName) -> Entry | None:
        """The entry, a tombstone too."""
        return self._entries.get(name)

    def alive(self, key: DocumentKey) -> Entry | None:
        """The entry, if this is its present, living incarnation."""
        entry = self._entries.get(key.name)
        if entry is None or entry.deleted or entry.incarnation != key.incarnation:
            return None
        return entry

    def to_write(self, name: DocumentName) -> DocumentKey:
        """What a writer here changes: the living incarnation, else the next one.

        Raises:
            DocumentEnded: if there is none after the last. No node gets there by deleting; a peer's word is enough.
        """
        entry = self._entries.get(name)
        if entry is None:
            return DocumentKey(name, self.first_incarnation())
        if not entry.deleted:
            return entry.key
        if entry.incarnation >= LAST_INCARNATION:
            raise DocumentEnded(f"{name} was deleted for good, by a peer: use another name")
        return DocumentKey(name, entry.incarnation + 1)

    def admit(self, name: DocumentName) -> None:
        """Before something is made under this name. (What is on its way through the engine is not counted yet.)

        Raises:
            Unavailable: if nothing is known of it, and as many documents are known as there is room for.
        """
        if len(self._entries) >= self.most and name not in self._entries:
            why = f"{self.most} documents are known here, with those deleted not long ago, and no more are taken"
            self.full(why)
            raise Unavailable(f"{why}; delete some and wait for --tombstone-ttl, or give the node more with --memory")

    def has_ended(self, key: DocumentKey) -> bool:
        """Whether this incarnation is over: deleted, or followed by another."""
        entry = self._entries.get(key.name)
        return entry is not None and (entry.incarnation, entry.deleted) > (key.incarnation, False)

    def load(self, name: DocumentName, incarnation: int, *, deleted: bool, reach: Reach) -> Entry:
        """Takes in an entry as the store had it."""
        entry = Entry(name, incarnation, deleted, reach, _LOADED, begun=0, recent_after=_LOADED)
        self._put(entry)
        return entry

    def begin(self, key: DocumentKey, origin: DeviceId | None = None) -> Entry:
        """A new incarnation, empty; any earlier one is over."""
        entry = self._set(key, deleted=False)
        entry.brought_by = origin
        return entry

    def end(self, key: DocumentKey) -> Entry:
        """A tombstone for this incarnation and all before it."""
        return self._set(key, deleted=True)

    def forget(self, entry: Entry) -> None:
        assert entry.deleted
        del self._entries[entry.name]
        self._trees.forget(entry.name)

    def changed(self, entry: Entry, update: bytes, content: Content, origin: DeviceId | None) -> Change:
        """Takes in news of a living document."""
        entry.reach.absorb(content)
        self.clock += 1
        entry.version, entry.brought_by, entry.is_pushed = self.clock, origin, True
        change = Change(self.clock, update, origin)
        self._trees.changed(entry.name)
        self._keep(entry, change)
        return change

    def forget_changes(self, entry: Entry, through: int) -> None:
        """Lets go of changes that nobody needs any more."""
        while entry.recent and entry.recent[0].version <= through:
            oldest = entry.recent.popleft()
            entry.recent_after = oldest.version
            entry.recent_bytes -= len(oldest.update)
            self._recent_bytes -= len(oldest.update)
        if not entry.recent:
            entry.recent = ()
            self._recent.pop(entry.name, None)

    def with_changes(self) -> list[Entry]:
        """The entries of which changes are kept, the longest unchanged first."""
        return [self._entries[name] for name in self._recent]

    def _keep(self, entry: Entry, change: Change) -> None:
        if not entry.recent:
            entry.recent = deque()
        entry.recent.append(change)
        entry.recent_bytes += len(change.update)
        self._recent_bytes += len(change.update)
        self._recent.pop(entry.name, None)
        self._recent[entry.name] = None
        while len(entry.recent) > RECENT_UPDATES or entry.recent_bytes > RECENT_BYTES:
            self.forget_changes(entry, entry.recent[0].version)
        while self._recent_bytes > self.most_recent_bytes:
            idle = self._entries[next(iter(self._recent))]
            self.forget_changes(idle, idle.version)

    def replace_reach(self, entry: Entry, reach: Reach) -> None:
        """Takes back what was claimed: parts of the document were lost on disk."""
        reach.bury(entry.reach.former)
        entry.reach = reach
        self.forget_changes(entry, entry.version)
        self._trees.changed(entry.name)

    def emptied(self, entry: Entry) -> None:
        """Its content is let go, or was never here."""
        self.clock += 1
        entry.version = self.clock
        self.forget_changes(entry, entry.version)
        entry.recent_after = entry.version
        entry.reach = entry.reach.emptied()
        entry.copy = Copy.NAME
        entry.drops += 1
        self._trees.changed(entry.name)

    @property
    def tree(self) -> DigestTree:
        """The digest tree, up to date."""
        self._trees.kept = self.tree_of(self.restricted)
        return self._trees.kept

    def tree_of(self, restricted: frozenset[str]) -> DigestTree:
        """The one in which of these collections only names count."""
        return self._trees.of(restricted, self._entries)

    def offered(self, name: DocumentName, by_name: bool = False) -> Offered:
        entry = self._entries[name]
        return entry.offered(self.age(entry) if entry.deleted else 0, by_name=by_name)

    def state(self, key: DocumentKey, counted: int, *, answer: bool) -> State | Tombstone:
        """What we tell a peer that speaks of `key`: of our copy, or that it is over.

        Args:
            counted: of the rounds of that peer's updates.
            answer: whether the peer is to tell its own.
        """
        entry = self._entries.get(key.name)
        if entry is not None and entry.deleted and entry.incarnation >= key.incarnation:
            return Tombstone(entry.name, entry.incarnation, entry.version, list(entry.reach.former), self.age(entry))
        if entry is None or entry.incarnation < key.incarnation:
            # We have heard of it, and have nothing of it yet.
            reach = Reach() if entry is None else entry.reach.ended()
            entry = Entry(key.name, key.incarnation, False, reach, version=0, begun=0)
        vector, digest, former = entry.reach.state_vector(), entry.reach.digest(), list(entry.reach.former)
        return State(key.name, entry.incarnation, vector, digest, entry.version, counted, answer, former)

    def _set(self, key: DocumentKey, *, deleted: bool) -> Entry:
        old = self._entries.get(key.name)
        # Invariant 1.
        assert old is None or (old.incarnation, old.deleted) < (key.incarnation, deleted)
        if old is not None:
            self.forget_changes(old, old.version)
        self.clock += 1
        # Its beginning counts as a change, so that an empty document replicates too.
        clock = self.clock
        reach = old.reach.ended() if old is not None else Reach()
        entry = Entry(key.name, key.incarnation, deleted, reach, clock, begun=clock, recent_after=clock - 1)
        self._put(entry)
        return entry

    def _put(self, entry: Entry) -> None:
        old = self._entries.get(entry.name)
        for one in (old, entry):
            if one is not None and not one.deleted:
                self.living ^= _hash(one.key)  # Invariant 2.
        self._entries[entry.name] = entry
        self._trees.changed(entry.name)


def _hash(key: DocumentKey) -> int:
    return int.from_bytes(blake2b(f"{key.name}\n{key.incarnation}".encode(), digest_size=16).digest(), "big")
