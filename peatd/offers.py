"""What a peer says that it has of our documents, one by one, and what follows from it: the end of every comparison."""

from contextlib import suppress

from peatd.entry import UNSAID, Copy, Entry
from peatd.errors import Unavailable
from peatd.names import DeviceId, DocumentKey
from peatd.peer_copies import PeerCopies
from peatd.reach import EMPTY_DIGEST
from peatd.replication import Replication
from peatd.standing import Standing
from peatd.sync import PeerSync
from peatd.wire.messages import Offered


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

    def lacking(self, entry: Entry) -> None:
        """The peer has nothing of this document, not even a tombstone."""
        if self.has_forgotten(entry):
            return
        if entry.copy is not Copy.WHOLE or not self._copies.is_holding(entry):
            self._copies.copied(entry)
            return
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
            elif self.begun_if_empty(key, offered.digest) is None:
                self._sync.tell(key)
        elif entry.is_name or offered.digest == UNSAID:
            pass  # of what is not everywhere, names are equal
        elif entry.reach.digest() != offered.digest:
            self._sync.ask(entry)

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
