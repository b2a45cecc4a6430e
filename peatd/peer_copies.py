"""What one peer and we hold, told over one link, and compared where both hold it. See interest.py.

Rules:
1. Of a collection that its HELLO does not name, a peer holds everything; of one that it names, what it tells. Who asks
   for a document's content takes part in it from then on.
2. Names are compared in the tree of names (trees.py), contents of collections that either end restricts in a tree of
   what both hold, which each end makes up by itself. Where the ends differ about who holds what, they tell again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import trio

from peatd.copy_news import CopyNews
from peatd.digest import DigestTree
from peatd.entry import UNSAID, Copy, Entry
from peatd.errors import Unavailable, WireError
from peatd.interest import collection_of
from peatd.known import Share
from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.replication import Replication
from peatd.sync import PeerSync
from peatd.wire.interest import CompareShared, CopiesTold, OfferShared, Release, Released
from peatd.wire.interest import Copy as CopyTold
from peatd.wire.messages import Compare, Equal, Message, Offer, Offered, State, named

_UNSAID = 10_000  # answers waiting for a peer that asks without reading them


class PeerCopies(Share):
    """One peer's side. Implements `transport.link.Side` and `watcher.Copier`.

    Args:
        theirs: the collections that the peer restricts; None where its release knows nothing of that: it holds all.

    Attributes:
        is_to_compare: some of what it offers is coming from others (offers.py, rule 1).
    """

    def __init__(
        self, replication: Replication, sync: PeerSync, device_id: DeviceId, theirs: frozenset[str] | None
    ) -> None:
        self.is_to_compare = False
        self._replication = replication
        self._table = replication.table
        self._interest = replication.interest
        self._sync = sync
        self._device_id = device_id
        self._hears = theirs is not None
        self._theirs = theirs or frozenset()
        self._restricted = self._interest.restricted | self._theirs if self._hears else frozenset()
        self._told: dict[DocumentName, tuple[int, bool]] = {}
        self._news = CopyNews(self._table)
        self._said: list[Message] = []
        self._shared = DigestTree()
        self._stale: set[DocumentName] = set()
        self._kept: DigestTree | None = None
        self._wake: Callable[[], object] = lambda: None
        sync.share = self

    # What the peer has -----------------------------------------------------------------------------------------

    def is_holding(self, entry: Entry) -> bool:
        incarnation, holds = self._told.get(entry.name, (0, False))
        if incarnation == entry.incarnation:
            return holds or entry.deleted
        return entry.deleted or collection_of(entry.name) not in self._theirs

    def is_everywhere(self, name: DocumentName) -> bool:
        return not self._restricted or collection_of(name) not in self._restricted

    def is_owed(self, entry: Entry) -> bool:
        """Whether the peer is to have the document's latest news; it is told of what it does not hear otherwise."""
        if entry.is_name:
            self.copied(entry)
            return False
        if self.is_everywhere(entry.name):
            # What others have brought meanwhile, the peer may have offered as well: the comparison tells.
            return not self.is_to_compare or entry.brought_by is None or self._sync.knows(entry.key)
        self._stale.add(entry.name)
        if entry.version == entry.begun:
            self.copied(entry)
        return self.is_holding(entry)

    def _note(self, entry: Entry, *, holds: bool) -> None:
        self._told[entry.name] = (entry.incarnation, holds)
        self._stale.add(entry.name)
        if not holds:
            self._replication.fetches.end(entry.name, self._device_id)
            if not entry.deleted:
                self._sync.forget(entry.key)

    # What we say -----------------------------------------------------------------------------------------------

    @contextmanager
    def told(self, wake: Callable[[], None]) -> Iterator[None]:
        """While it lasts, there is something to take whenever `wake` was called."""
        self._wake = wake
        if self._hears and self._interest.restricted:
            ours = (e.name for e in self._table if not e.deleted and not e.is_name)
            self._news.add(filter(self._interest.is_restricted, ours))
        yield

    def copied(self, entry: Entry) -> None:
        """The peer is to know what we have of it."""
        if self._hears:
            self._stale.add(entry.name)
            self._news.add([entry.name])
            self._wake()

    def _refuse(self, entry: Entry) -> None:
        """The peer is to hear that what it sent or asked was in vain."""
        if self._hears:
            self._news.refuse(entry)
            self._wake()

    def release(self, entry: Entry, number: int) -> bool:
        """Asks the peer whether it keeps what we would let go of; False if it is of no use to ask."""
        if not (self._hears and self.is_holding(entry)):
            return False
        self._say(Release(entry.name, entry.incarnation, entry.reach.digest(), number))
        return True

    def take(self) -> Sequence[Message]:
        """What to send next."""
        said, self._said = self._said, []
        return [*self._news.take(), *said]

    def _say(self, message: Message) -> None:
        if len(self._said) > _UNSAID:
            raise WireError(f"it asks without reading the answers: {_UNSAID} are waiting")
        self._said.append(message)
        self._wake()

    # What the peer says ----------------------------------------------------------------------------------------

    def received(self, message: Message) -> None:
        """Takes what is about copies."""
        match message:
            case CopiesTold():
                for copy in message.copies:
                    self._copy_told(DocumentKey(named(copy.name), copy.incarnation), copy.digest)
                self._replication.confirmed()  # whoever waits for peers to have a change asks those who hold it now
            case Release():
                key = DocumentKey(named(message.name), message.incarnation)
                self._say(Released(*(key.name, key.incarnation, message.number), self._grants(key, message.digest)))
            case Released():
                self._released(DocumentKey(named(message.name), message.incarnation), message)
            case CompareShared():
                self._compare_shared(message)
            case OfferShared():
                self._offer_shared(message)
            case _:
                pass

    def _copy_told(self, key: DocumentKey, digest: bytes) -> None:
        if self._table.has_ended(key):
            ended = self._table.get(key.name)
            assert ended is not None
            self._sync.ask(ended)
            return
        entry = self.named(key)
        if entry is None:
            return
        self._note(entry, holds=bool(digest))
        if digest and entry.copy is Copy.WHOLE and entry.reach.digest() != digest:
            self._sync.ask(entry)

    def named(self, key: DocumentKey) -> Entry | None:
        """The peer knows of a document that may be new here: then its name is here from now on, if there is room."""
        entry = self._table.alive(key)
        if entry is None:
            with suppress(Unavailable):
                self._table.admit(key.name)
                entry = self._replication.begin(key, self._device_id, by_name=True)
        return entry

    def is_by_name(self, offered: Offered) -> bool:
        """Whether it is no more than a name, or to be no more here."""
        return offered.digest == UNSAID or self._interest.is_restricted(offered.name)

    def refuses(self, key: DocumentKey) -> bool:
        """Whether the content that the peer sends is not to be here: then it is told so, and keeps it."""
        entry = self._table.alive(key)
        if entry is None and self._interest.is_restricted(key.name) and not self._table.has_ended(key):
            entry = self.named(key)
        if entry is None or not entry.is_name:
            return False
        self._refuse(entry)
        return True

    def answered(self, key: DocumentKey, state: State) -> bool:
        """Whether the peer's state was answered by what we have of the document: no content, or none that counts."""
        if self.refuses(key):
            return True
        entry = self._table.alive(key)
        if entry is None:
            return False
        if entry.copy is Copy.COMING:
            if state.answer or not state.version:
                self._replication.fetches.end(key.name, self._device_id)
                self._refuse(entry)
                return True
            self._replication.fetches.told(key.name, self._device_id, state.version, trio.current_time())
        if collection_of(key.name) in self._theirs:
            self._note(entry, holds=True)  # rule 1
        return False

    def agreed(self, entry: Entry) -> None:
        """The peer's state equals ours."""
        now = trio.current_time()
        if entry.copy is Copy.COMING and self._replication.fetches.source(entry.name, now) == self._device_id:
            self._replication.arrived(entry)

    def merged(self, key: DocumentKey, version: int) -> None:
        """Updates of the peer, which lead to this version of its, are merged."""
        entry = self._table.alive(key)
        if entry is None or entry.copy is not Copy.COMING:
            return
        if self._replication.fetches.merged(key.name, self._device_id, version, trio.current_time()):
            self._replication.arrived(entry)

    # Letting go ------------------------------------------------------------------------------------------------

    def _grants(self, key: DocumentKey, digest: bytes) -> bool:
        entry, replication = self._table.alive(key), self._replication
        return (
            entry is not None
            and entry.copy is Copy.WHOLE
            and not replication.releases.is_pending(key.name)
            and entry.reach.digest() == digest
            and entry.changed <= replication.store.durable_seq
        )

    def _released(self, key: DocumentKey, message: Released) -> None:
        entry, releases = self._table.alive(key), self._replication.releases
        if entry is None or not message.granted:
            return
        if self._interest.is_wanted(key.name, trio.current_time()) is not False:
            releases.void(key.name)
        elif releases.granted(key.name, self._device_id, message.number, entry.version):
            self._replication.let_go(entry)

    # Comparing -------------------------------------------------------------------------------------------------

    @property
    def tree(self) -> DigestTree:
        """That of all documents, in which of restricted collections only names count."""
        self._kept = self._table.tree_of(self._restricted)
        return self._kept

    def offer_of(self, name: DocumentName) -> Offered:
        return self._table.offered(name, collection_of(name) in self._restricted)

    def compare(self) -> Iterator[Message]:
        """Begins to compare all that there is, and what both hold."""
        yield self.tree.compare()
        if self._restricted:
            yield _shared(self._fresh().compare())

    def answers(self, compare: Compare) -> Iterator[Message]:
        """What to say to a `Compare`."""
        return self.tree.answer(compare, self.offer_of)

    def _compare_shared(self, compare: CompareShared) -> None:
        for answer in self._fresh().answer(Compare(compare.prefix, compare.children), self._table.offered):
            if not isinstance(answer, Equal):
                self._say(_shared(answer))

    def _offer_shared(self, offer: OfferShared) -> None:
        theirs = {named(copy.name): copy for copy in offer.copies}
        for name in self._fresh().below(offer.prefix) | theirs.keys():
            entry, offered = self._table.get(name), theirs.get(name)
            if entry is None or entry.deleted:
                continue
            if offered is None or name not in self._shared:
                self.copied(entry)  # rule 2
            elif entry.incarnation == offered.incarnation and entry.reach.digest() != offered.digest:
                self._sync.ask(entry)

    def _fresh(self) -> DigestTree:
        for name in self._stale:
            entry = self._table.get(name)
            is_whole = entry is not None and not entry.deleted and entry.copy is Copy.WHOLE
            is_restricted = collection_of(name) in self._restricted
            if entry is not None and is_whole and is_restricted and self.is_holding(entry):
                self._shared.put(entry.offered())
            else:
                self._shared.remove(name)
        self._stale.clear()
        return self._shared


def _shared(message: Message) -> Message:
    if isinstance(message, Compare):
        return CompareShared(message.prefix, message.children)
    assert isinstance(message, Offer)
    copies = [CopyTold(offered.name, offered.incarnation, offered.digest) for offered in message.documents]
    return OfferShared(message.prefix, copies)
