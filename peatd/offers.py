"""What a peer says that it has of our documents, one by one, and what follows from it: the end of every comparison.

Rules:
1. What several peers offer is asked of one. Once nothing is on its way any more, all is compared again with the others.
2. What the other end lacks is offered to it, not pushed, for it may be on its way there, too: an offer is answered by
   one. What an answer shows to be lacking is pushed.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress

import trio

from peatd.entry import UNSAID, Copy, Entry
from peatd.errors import Unavailable
from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.peer_copies import PeerCopies
from peatd.reach import EMPTY_DIGEST
from peatd.replication import Replication
from peatd.standing import Standing
from peatd.sync import PeerSync
from peatd.wire.messages import Compare, Message, Offer, Offered, named

_MOST_ANSWERED = 64
"""Documents in one answer to an offer: some 5 kB."""
_UNREAD = 5000
"""Messages that wait for a peer, from which on it is pushed what it lacks: that takes no memory. Answers about 100,000
documents are fewer."""


class Offers:
    """One peer's side.

    Args:
        standing: None where the peer tells nothing of what it has forgotten.
    """

    def __init__(
        self,
        replication: Replication,
        device_id: DeviceId,
        sync: PeerSync,
        standing: Standing | None,
        copies: PeerCopies,
    ) -> None:
        self._copies = copies
        self._replication = replication
        self._table = replication.table
        self._device_id = device_id
        self._sync = sync
        self._standing = standing
        self._offered: set[str] = set()

    def compare(self) -> None:
        """Begins to compare all that there is."""
        for comparison in self._copies.compare():
            self._sync.say(comparison)

    def look(self) -> bool:
        """At every beat: compares again, if that is due; whether it is (rule 1)."""
        if not self._copies.is_to_compare or self._replication.coming.is_any(trio.current_time()):
            return False
        self._copies.is_to_compare = False
        self._sync.base = self._table.clock
        self.compare()
        return True

    def answers(self, compare: Compare) -> Iterator[Message]:
        """What to say to it."""
        if not compare.prefix:
            self._offered.clear()
        for answer in self._copies.answers(compare):
            if isinstance(answer, Offer):
                self._offered.add(answer.prefix)
            yield answer

    def heard(self, offer: Offer) -> None:
        """All that the peer has in one branch of the tree."""
        theirs = {named(offered.name): offered for offered in offer.documents}
        ours = self._copies.tree.below(offer.prefix)
        entries = [self._table.get(name) for name in sorted(ours - theirs.keys())]
        lacking = [entry for entry in entries if entry is not None and self._is_lacking(entry)]
        pushes = offer.prefix in self._offered or self._sync.unsaid > _UNREAD
        self._offered.discard(offer.prefix)
        for entry in lacking:
            if pushes or entry.deleted:
                self._owe(entry)
        if not (pushes or all(entry.deleted for entry in lacking)):
            self._sync.say(self._answer(offer.prefix, ours))
        for name, offered in theirs.items():
            self.offered(DocumentKey(name, offered.incarnation), offered)

    def _answer(self, prefix: str, ours: Collection[DocumentName]) -> Message:
        """Rule 2; where that were too much for one message, branch by branch."""
        if len(ours) > _MOST_ANSWERED:
            return self._copies.tree.compare(prefix)
        return Offer(prefix, [self._copies.offer_of(name) for name in sorted(ours)])

    def _is_lacking(self, entry: Entry) -> bool:
        """The peer has nothing of this document, not even a tombstone; whether it is to have it."""
        if self.has_forgotten(entry):
            return False
        if entry.copy is not Copy.WHOLE or not self._copies.is_holding(entry):
            self._copies.copied(entry)
            return False
        return True

    def _owe(self, entry: Entry) -> None:
        self._sync.owe_all(entry)
        if entry.reach.former:
            self._sync.tell(entry.key)

    def offered(self, key: DocumentKey, offered: Offered) -> None:
        entry = self._table.get(key.name)
        if offered.deleted:
            ended = self._table.has_ended(key)
            self._replication.end(key, self._device_id, offered.age)
            if ended and entry is not None and entry.incarnation > key.incarnation:
                self.answered_ended(key)
            elif not ended:
                self._sync.tell(key)  # it answers if it knows of more lives than we do
        elif self.answered_ended(key):
            return
        elif entry is None or entry.incarnation < key.incarnation:
            if self._copies.is_by_name(offered):
                self._copies.named(key)
            elif self.begun_if_empty(key, offered.digest) is None and self._may_ask(key.name):
                self._sync.tell(key)
        elif entry.is_name or offered.digest == UNSAID:
            pass  # of what is not everywhere, names are equal
        elif entry.reach.digest() != offered.digest and self._may_ask(key.name):
            self._sync.ask(entry)

    def came(self, name: DocumentName) -> None:
        """What was asked of the peer has come, or will not."""
        self._replication.coming.came(name, self._device_id, trio.current_time())

    def came_in_part(self, name: DocumentName) -> None:
        self._replication.coming.heard(name, self._device_id, trio.current_time())

    def is_coming(self, name: DocumentName) -> bool:
        """Whether a peer was asked for it, and brings it."""
        return self._replication.coming.is_asked(name, trio.current_time())

    def _may_ask(self, name: DocumentName) -> bool:
        may_ask = self._replication.coming.may_ask(name, self._device_id, trio.current_time())
        self._copies.is_to_compare = self._copies.is_to_compare or not may_ask
        return may_ask

    def has_forgotten(self, entry: Entry) -> bool:
        """Whether the peer, which lacks it, has had it: it was deleted then, and ends here too."""
        return self._standing is not None and self._standing.has_forgotten(entry)

    def answered_ended(self, key: DocumentKey) -> bool:
        """Whether the peer speaks of an incarnation that is over: then it is told so."""
        if not self._table.has_ended(key):
            return False
        entry = self._table.get(key.name)
        assert entry is not None
        self._sync.ask(entry)
        return True

    def begun_if_empty(self, key: DocumentKey, digest: bytes) -> Entry | None:
        """A document that we lack begins here with its first content, so that no reader ever sees it half there; one
        that is empty at the peer has none, and begins at once."""
        if digest != EMPTY_DIGEST:
            return None
        with suppress(Unavailable):
            self._replication.table.admit(key.name)
            return self._replication.begin(key, self._device_id)
        return None
