"""What a peer has, and so what we owe it. Sans-IO: one `PeerSync` per link, gone with the link.

Rules:
1. A received update is never forwarded. A peer is owed what *our* copy has beyond what the peer is known to have:
   our latest changes in order while it is in step, else a diff against its state vector.
2. What is owed is a set of documents, not a queue of messages: a slow peer costs a set, and catches up in one diff.
3. Nothing is assumed of a document that the peer may hold from before the link: we ask for its state first. (One
   round trip, once per document and link; `digest.py` finds those that differ without waiting for a change.)
4. While a diff is under way in pieces, later changes of that document wait behind it.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence

from peatd.entry import Entry
from peatd.known import Known, OwedDiff, Share
from peatd.lazy import Lazy
from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.pieces import PIECE_BYTES, Outgoing, fill, size_bytes
from peatd.reach import EMPTY_STATE_VECTOR
from peatd.streams import Streams
from peatd.table import DocumentTable
from peatd.wire.messages import Message, State, Updates

_STATES_PER_BATCH = 256  # so that a first sync of very many documents does not become one huge batch


class PeerSync:
    """Decides what to send to one peer.

    Invariants:
        1. A document is in `_live` only while the peer is in step with it (rule 4).
        2. `Known.durable` <= `Known.sent` <= the entry's version.
    """

    def __init__(self, device_id: DeviceId, table: DocumentTable) -> None:
        self.device_id = device_id
        self._table = table
        self.base = table.clock  # what began before it, the peer may hold
        self._known: dict[DocumentName, Known] = {}
        self._said: deque[Message] = deque()
        self._states: dict[DocumentKey, bool] = {}
        self._live: dict[DocumentName, int] = {}
        """Up to which version it is to be sent."""
        self._owed_diffs: dict[DocumentName, None] = {}
        self.streams = Streams()
        self.lazy = Lazy()
        self.rounds: Counter[DocumentName] = Counter()
        """How often something of the peer's could not be merged; what it sent before our next state counts no more."""
        self._echoed: Counter[DocumentName] = Counter()
        self._chased: dict[DocumentName, int] = {}
        self.share = Share()

    # What happened here ----------------------------------------------------------------------------------------

    def changed(self, entry: Entry) -> None:
        """The document has news, or has begun."""
        if not self.share.is_owed(entry):
            return
        known = self._known_of(entry)
        if known is None:
            if entry.begun <= self.base:
                self.ask(entry)
                return
            echoed = self._echoed[entry.name]
            known = self._known[entry.name] = Known(entry.incarnation, sent=entry.begun - 1, round=echoed)
        if known.failed:
            self.ask(entry)
        elif known.is_in_step and known.sent < entry.version:
            is_late = self.lazy.is_late and self.share.is_everywhere(entry.name)
            (self.lazy.waiting if is_late else self._live)[entry.name] = entry.version

    def release(self, through: int) -> None:
        """What has waited for a summary is sent now, up to this version of the table."""
        for name, version in list(self.lazy.waiting.items()):
            if version <= through:
                del self.lazy.waiting[name]
            known, wanted = self._known.get(name), min(version, through)
            if known is not None and known.is_in_step and known.sent < wanted:
                self._live[name] = wanted

    def ended(self, entry: Entry, origin: DeviceId | None) -> None:
        """The document was deleted, here or (`origin`) by a peer."""
        self.forget(entry.key)
        if origin != self.device_id:
            self._owe_end(entry)

    def forget(self, key: DocumentKey) -> None:
        """The document, or its tombstone, is no more."""
        self._known.pop(key.name, None)
        self._states.pop(key, None)
        for names in (self._live, self._owed_diffs, self.lazy.untold, self.lazy.waiting):
            names.pop(key.name, None)

    # What the peer said ----------------------------------------------------------------------------------------

    def heard_state(self, entry: Entry, state: State) -> bool:
        """The peer's state of a living document of the same incarnation. True when it equals ours."""
        before = self._known_of(entry)
        known = Known(entry.incarnation, round=state.round)
        if before is not None:
            known.durable = before.durable  # what is on a disk stays there
        self._known[entry.name] = known
        if state.round:
            self._echoed[entry.name] = state.round
        self._live.pop(entry.name, None)
        self._owed_diffs.pop(entry.name, None)
        if entry.key in self._states:
            self._states[entry.key] = False  # no need to ask any more
        if state.digest == entry.reach.digest():
            if known.agree(entry.version, before, is_asking=state.answer):
                self.tell(entry.key)
            return True
        known.vector = state.state_vector
        self._owed_diffs[entry.name] = None
        return False

    def heard_durable(self, key: DocumentKey, version: int) -> int:
        """The version that the peer is now known to have on its disk; 0 if none of this incarnation."""
        if (known := self._known_of(key)) is None:
            return 0
        known.durable = max(known.durable, min(version, known.sent))  # Invariant 2.
        return known.durable

    def heard_equal(self, entry: Entry) -> None:
        """The peer has all of it that we have. What was made here is pushed none the less: that it confirms."""
        self.lazy.untold.pop(entry.name, None)
        known = self._known_of(entry)
        if known is not None and entry.name in self.lazy.waiting:
            changes = entry.changes_after(known.sent)
            if changes is not None and all(change.origin is not None for change in changes):
                known.sent = entry.version
                del self.lazy.waiting[entry.name]

    # What we want to say ---------------------------------------------------------------------------------------

    def say(self, message: Message) -> None:
        self._said.append(message)

    def ask(self, entry: Entry, *, again: bool = False) -> None:
        """Tell it our state, and have it tell its own; of a deleted document, have it confirm the end. `again`: though
        it was asked before, for something was lost since."""
        if entry.deleted:
            self._owe_end(entry)
            return
        known = self._known_of(entry)
        if known is None:
            known = self._known[entry.name] = Known(entry.incarnation)
        if again or not known.asked:
            known.asked = True
            self._live.pop(entry.name, None)
            self._states[entry.key] = True

    @property
    def unsaid(self) -> int:
        return len(self._said)

    @property
    def burden(self) -> int:
        """How many documents are remembered for the peer's sake, whether we have them or not."""
        return max(len(self._states), len(self.rounds))

    @property
    def owes_diffs(self) -> bool:
        """Whether a diff is to be made."""
        return bool(self._owed_diffs)

    @property
    def is_owing(self) -> bool:
        """Whether there is anything to take, or a diff to make."""
        return bool(self._said or self._live or self._states or self.streams or self._owed_diffs)

    def tell(self, key: DocumentKey) -> None:
        """Tell it our state: it owes us the rest. Of a deleted document that is its tombstone."""
        self._states.setdefault(key, False)

    def owe_all(self, entry: Entry) -> None:
        """The peer has nothing of this document."""
        known = self._known_of(entry)
        if entry.deleted:
            self._owe_end(entry)
        elif known is None or known.failed:
            echoed = self._echoed[entry.name]
            self._known[entry.name] = Known(entry.incarnation, vector=EMPTY_STATE_VECTOR, round=echoed)
            self._owed_diffs[entry.name] = None

    def chase(self) -> None:
        """Asks about what has been owed since the last call: something was lost on the way, by a failure at its end."""
        owed = {name: known.due for name, known in self._known.items() if self.owes(name)}
        for name, due in owed.items():
            entry, known = self._table.get(name), self._known[name]
            if entry is not None and due == self._chased.get(name) and (known.is_in_step or known.asked):
                self.ask(entry, again=True)
        self._chased = owed

    # Diffs -----------------------------------------------------------------------------------------------------

    def next_diff(self) -> OwedDiff | None:
        """The next diff to make."""
        while self._owed_diffs:
            name = next(iter(self._owed_diffs))
            del self._owed_diffs[name]
            known = self._known.get(name)
            if known is None or known.vector is None or self._entry(name, known) is None:
                continue
            vector, known.vector, known.underway = known.vector, None, True
            return OwedDiff(DocumentKey(name, known.incarnation), vector, known)
        return None

    def diff_made(self, owed: OwedDiff, updates: Sequence[bytes]) -> None:
        """They bring the peer to our state of this very moment: nothing was merged since they were made."""
        entry = self._entry(owed.key.name, owed.known)
        if entry is not None:
            owed.known.sent = owed.known.due = entry.version
            outgoing = Outgoing(entry.name, entry.incarnation, entry.version, owed.known.round, deque(updates))
            self.streams.add(owed.known, outgoing)

    def diff_failed(self, owed: OwedDiff) -> None:
        """It could not be made: it stays owed, and the next change or comparison tries again."""
        owed.known.underway, owed.known.failed = False, True

    # What to send ----------------------------------------------------------------------------------------------

    def take(self) -> list[Message]:
        """The next batch: what there is to say, then live changes, then one piece of a large diff."""
        batch, self._said = list(self._said), deque()
        budget = PIECE_BYTES
        while self._live and budget > 0:
            name = next(iter(self._live))
            if (message := self._take_live(name, self._live.pop(name), budget)) is not None:
                budget -= size_bytes(message)
                batch.append(message)
        batch.extend(self._take_states())
        batch.extend(self.streams.take(self._entry, self.changed))
        return batch

    def knows(self, key: DocumentKey) -> bool:
        """Whether we know what the peer has of it, or have asked."""
        known = self._known_of(key)
        return known is not None and not known.failed

    def is_durable(self, key: DocumentKey, version: int) -> bool:
        """Whether the peer has said that it has this version, or one of a later incarnation, on its disk."""
        known = self._known.get(key.name)
        return known is not None and known.incarnation >= key.incarnation and known.durable >= version

    def debt(self) -> frozenset[DocumentName]:
        """The documents that the peer is not known to have in full, on its disk."""
        return frozenset(filter(self.owes, self._known))

    def owes(self, name: DocumentName) -> bool:
        """Whether the peer is not known to have all of the document on its disk."""
        entry, known = self._table.get(name), self._known.get(name)
        if entry is None or known is None or entry.incarnation != known.incarnation:
            return False
        is_unsent = name in self._live or self.lazy.has_left(name)
        return is_unsent or not known.is_in_step or known.durable < known.due

    def needs_changes_after(self, entry: Entry) -> int:
        """Changes of the entry up to this version are of no more use to this peer."""
        known = self._known.get(entry.name)
        return known.sent if known is not None and known.needs_changes else entry.version

    def _take_states(self) -> Iterator[Message]:
        for _ in range(min(len(self._states), _STATES_PER_BATCH)):
            key = next(iter(self._states))
            yield self._table.state(key, self.rounds[key.name], answer=self._states.pop(key))

    def _take_live(self, name: DocumentName, wanted: int, budget: int) -> Message | None:
        known = self._known[name]  # Invariant 1.
        entry = self._entry(name, known)
        if entry is None or wanted <= known.sent:
            return None
        changes = entry.changes_after(known.sent, wanted)
        if changes is None:
            self.ask(entry)
            return None
        left = self.lazy.leaves(entry, changes, self.device_id) if self.share.is_everywhere(name) else ()
        updates, through = fill(changes, budget, {self.device_id, *left}, wanted)
        before, known.sent = known.sent, through
        if through < wanted:
            self._live[name] = wanted
        if not updates and (changes or before >= entry.begun):
            return None  # it brought all of this itself, with its beginning, or others will
        known.due = through
        return Updates(name, entry.incarnation, through, known.round, updates, is_pushed=entry.is_pushed)

    def _known_of(self, key: DocumentKey | Entry) -> Known | None:
        known = self._known.get(key.name)
        return known if known is not None and known.incarnation == key.incarnation else None

    def _entry(self, name: DocumentName, known: Known) -> Entry | None:
        """The living entry, if this is still what we know of the peer's copy."""
        is_known = self._known.get(name) is known
        return self._table.alive(DocumentKey(name, known.incarnation)) if is_known else None

    def _owe_end(self, entry: Entry) -> None:
        self._known[entry.name] = Known(entry.incarnation, sent=entry.version, due=entry.version)
        self.tell(entry.key)
