"""What a peer is owed: decided without any link."""

import y_py
from hypothesis import given
from hypothesis import strategies as st

from peatd.entry import Entry
from peatd.names import DeviceId, DocumentKey, DocumentName
from peatd.pieces import PIECE_BYTES, AllHeld, Assembly
from peatd.reach import EMPTY_STATE_VECTOR, Reach
from peatd.sync import PeerSync
from peatd.table import RECENT_UPDATES, DocumentTable
from peatd.update import check
from peatd.wire.messages import Piece, State, Tombstone, Updates

ALICE, BOB, CAROL = (DeviceId(letter * 32) for letter in "abc")
NOTES = DocumentName("notes/today")
KEY = DocumentKey(NOTES, 1)


class Writer:
    """A document in a real engine, whose news go into a table."""

    def __init__(self, table: DocumentTable, key: DocumentKey = KEY) -> None:
        self.table = table
        self.key = key
        self._document = y_py.YDoc(client_id=7)
        self._map = self._document.get_map("data")
        self._news: list[bytes] = []
        self._document.observe_after_transaction(lambda event: self._news.append(bytes(event.get_update())))

    def write(self, *syncs: PeerSync, origin: DeviceId | None = None) -> Entry:
        self._news.clear()
        with self._document.begin_transaction() as transaction:
            self._map.set(transaction, "n", float(self.table.clock))
        entry = self.table.alive(self.key) or self.table.begin(self.key)
        update = self._news[-1]
        self.table.changed(entry, update, check(update, subdocuments=False), origin)
        for sync in syncs:
            sync.changed(entry)
        return entry


def state(entry: Entry, *, counted: int = 0) -> State:
    """What a peer with the same content says."""
    return State(
        entry.name, entry.incarnation, entry.reach.state_vector(), entry.reach.digest(), 1, counted, answer=False
    )


def empty_state(counted: int = 0) -> State:
    return State(NOTES, 1, EMPTY_STATE_VECTOR, Reach().digest(), 1, counted, answer=False)


def test_a_document_that_began_after_the_link_is_owed_change_by_change() -> None:
    table = DocumentTable()
    bob, writer = PeerSync(BOB, table), Writer(table)
    first = writer.write(bob)
    (updates,) = bob.take()
    assert isinstance(updates, Updates)
    assert (updates.updates, updates.version) == ([c.update for c in first.recent], first.version)
    assert bob.take() == []


def test_rule_3_of_an_older_document_the_state_is_asked_first() -> None:
    table = DocumentTable()
    writer = Writer(table)
    writer.write()
    bob = PeerSync(BOB, table)
    entry = writer.write(bob)
    (asked,) = bob.take()
    assert isinstance(asked, State)
    assert asked.answer
    writer.write(bob)
    assert bob.take() == []
    bob.heard_state(entry, empty_state())
    assert bob.next_diff() is not None


def test_a_peer_with_the_same_is_in_step_at_once() -> None:
    table = DocumentTable()
    writer = Writer(table)
    entry = writer.write()
    bob = PeerSync(BOB, table)
    assert bob.heard_state(entry, state(entry))
    writer.write(bob)
    assert [type(message) for message in bob.take()] == [Updates, State]


def test_who_says_unasked_that_it_has_the_same_is_told_ours_once_and_confirms_it() -> None:
    table = DocumentTable()
    entry = Writer(table).write()
    bob = PeerSync(BOB, table)
    for told in (1, 0):
        assert bob.heard_state(entry, state(entry))
        assert len(bob.take()) == told
        assert bob.owes(NOTES)
    bob.heard_durable(KEY, entry.version)
    assert not bob.owes(NOTES)


def test_rule_1_what_a_peer_brought_is_not_sent_back_to_it() -> None:
    table = DocumentTable()
    bob, carol, writer = PeerSync(BOB, table), PeerSync(CAROL, table), Writer(table)
    writer.write(bob, carol)
    assert bob.take()
    assert carol.take()
    writer.write(bob, carol, origin=BOB)
    assert bob.take() == []
    assert [type(message) for message in carol.take()] == [Updates]


def test_no_more_bytes_of_changes_are_kept_than_there_is_memory_for() -> None:
    table = DocumentTable()
    table.most_recent_bytes = 100
    bob, writer = PeerSync(BOB, table), Writer(table)
    for _ in range(100):
        entry = writer.write(bob)
    assert 0 < sum(len(change.update) for change in entry.recent) <= 100


def test_a_peer_that_lags_beyond_the_kept_changes_is_owed_a_diff() -> None:
    table = DocumentTable()
    bob, writer = PeerSync(BOB, table), Writer(table)
    entry = writer.write(bob)
    for _ in range(RECENT_UPDATES + 1):
        writer.write(bob)
    (asked,) = bob.take()
    assert isinstance(asked, State)
    bob.heard_state(entry, empty_state())
    owed = bob.next_diff()
    assert owed is not None
    assert owed.vector == EMPTY_STATE_VECTOR
    bob.diff_made(owed, [b"all of it"])
    (diff,) = bob.take()
    assert isinstance(diff, Updates)
    assert (diff.updates, diff.version) == ([b"all of it"], entry.version)


def test_rule_4_later_changes_wait_behind_the_pieces_of_a_diff() -> None:
    table = DocumentTable()
    writer = Writer(table)
    entry = writer.write()
    bob = PeerSync(BOB, table)
    bob.heard_state(entry, empty_state())
    owed = bob.next_diff()
    assert owed is not None
    bob.diff_made(owed, [bytes(3 * PIECE_BYTES)])
    taken = bob.take()
    writer.write(bob)
    while batch := bob.take():
        taken += batch
    assert [type(message) for message in taken] == [Piece, Piece, Piece, Updates]


def test_a_diff_of_several_updates_leads_to_its_version_with_the_last() -> None:
    table = DocumentTable()
    entry = Writer(table).write()
    bob = PeerSync(BOB, table)
    bob.heard_state(entry, empty_state())
    owed = bob.next_diff()
    assert owed is not None
    bob.diff_made(owed, [bytes(2 * PIECE_BYTES), b"in the middle", b"and last"])
    taken: list[Updates | Piece] = []
    while batch := bob.take():
        taken += [message for message in batch if isinstance(message, Updates | Piece)]
    assert [(type(message), message.version) for message in taken] == [
        (Piece, 0),
        (Piece, 0),
        (Updates, 0),
        (Updates, entry.version),
    ]
    assert bob.streams.ready_bytes == 0


def test_pieces_of_two_documents_take_turns() -> None:
    table = DocumentTable()
    bob = PeerSync(BOB, table)
    for number in range(2):
        key = DocumentKey(DocumentName(f"notes/{number}"), 1)
        entry = Writer(table, key).write()
        bob.heard_state(entry, empty_state())
        owed = bob.next_diff()
        assert owed is not None
        bob.diff_made(owed, [bytes(2 * PIECE_BYTES)])
    names = []
    while batch := bob.take():
        names += [message.name for message in batch if isinstance(message, Piece)]
    assert names == ["notes/0", "notes/1"] * 2


def test_a_newer_state_voids_the_diff_that_is_underway() -> None:
    table = DocumentTable()
    writer = Writer(table)
    entry = writer.write()
    bob = PeerSync(BOB, table)
    bob.heard_state(entry, empty_state())
    owed = bob.next_diff()
    assert owed is not None
    bob.diff_made(owed, [bytes(3 * PIECE_BYTES)])
    bob.take()
    assert bob.heard_state(entry, state(entry))
    assert [type(message) for message in bob.take()] == [State]
    assert bob.streams.ready_bytes in (0, 2 * PIECE_BYTES)


def test_a_diff_that_could_not_be_made_stays_owed_and_the_next_change_asks_again() -> None:
    table = DocumentTable()
    writer = Writer(table)
    entry = writer.write()
    bob = PeerSync(BOB, table)
    bob.ask(entry)
    bob.take()
    bob.heard_state(entry, empty_state())
    owed = bob.next_diff()
    assert owed is not None
    bob.diff_failed(owed)
    assert (bob.take(), len(bob.debt())) == ([], 1)
    for _ in range(2):  # asked once, whatever else changes meanwhile
        writer.write(bob)
    (asked,) = bob.take()
    assert isinstance(asked, State)
    assert asked.answer
    bob.heard_state(entry, empty_state(1))
    assert bob.next_diff() is not None


def test_a_deleted_document_is_owed_as_its_tombstone_and_nothing_else() -> None:
    table = DocumentTable()
    bob, writer = PeerSync(BOB, table), Writer(table)
    writer.write(bob)
    entry = table.end(KEY)
    bob.ended(entry, origin=None)
    assert bob.take() == [Tombstone(NOTES, 1, entry.version, sorted(entry.reach.former))]


def test_a_tombstone_is_owed_until_the_peer_has_it_on_its_disk() -> None:
    table = DocumentTable()
    bob, writer = PeerSync(BOB, table), Writer(table)
    writer.write(bob)
    entry = table.end(KEY)
    bob.ended(entry, origin=None)
    assert len(bob.debt()) == 1
    assert not bob.is_durable(KEY, entry.version)
    bob.take()
    bob.chase()
    bob.chase()
    assert bob.take() == [Tombstone(NOTES, 1, entry.version, sorted(entry.reach.former))], (
        "the first one was lost by a failure at its end"
    )
    bob.heard_durable(KEY, entry.version)
    assert bob.is_durable(KEY, entry.version)
    assert len(bob.debt()) == 0


def test_who_was_not_told_of_a_tombstone_can_be_asked_whether_it_is_on_its_disk() -> None:
    table = DocumentTable()
    Writer(table).write()
    entry = table.end(KEY)
    bob = PeerSync(BOB, table)
    assert not bob.knows(KEY)
    bob.ask(entry)
    assert bob.take() == [Tombstone(NOTES, 1, entry.version, sorted(entry.reach.former))]
    bob.heard_durable(KEY, entry.version)
    assert bob.is_durable(KEY, entry.version)


def test_a_later_incarnation_on_its_disk_says_that_the_earlier_one_is_over_there() -> None:
    table = DocumentTable()
    bob, writer = PeerSync(BOB, table), Writer(table)
    writer.write(bob)
    ended = table.end(KEY)
    bob.ended(ended, origin=None)
    begun = table.begin(DocumentKey(NOTES, 2))
    bob.changed(begun)
    bob.take()
    bob.heard_durable(KEY, ended.version)
    assert not bob.is_durable(KEY, ended.version), "that was about what is over"
    bob.heard_durable(begun.key, begun.version)
    assert bob.is_durable(KEY, ended.version)


def test_what_was_loaded_is_on_no_peers_disk_until_it_says_so() -> None:
    table = DocumentTable()
    table.load(NOTES, 1, deleted=False, reach=Reach())
    entry = table.alive(KEY)
    assert entry is not None
    bob = PeerSync(BOB, table)
    bob.ask(entry)
    assert not bob.is_durable(KEY, entry.version)


def test_who_brought_the_tombstone_is_not_told() -> None:
    table = DocumentTable()
    bob, writer = PeerSync(BOB, table), Writer(table)
    writer.write(bob)
    bob.ended(table.end(KEY), origin=BOB)
    assert bob.take() == []


def test_invariant_2_a_peer_cannot_confirm_more_than_it_was_sent() -> None:
    table = DocumentTable()
    bob, writer = PeerSync(BOB, table), Writer(table)
    entry = writer.write(bob)
    bob.heard_durable(KEY, 10**6)
    assert not bob.is_durable(KEY, entry.version)
    assert len(bob.debt()) == 1
    bob.take()
    bob.heard_durable(KEY, entry.version)
    assert bob.is_durable(KEY, entry.version)
    assert len(bob.debt()) == 0


def test_after_a_failure_updates_echo_an_older_round_until_the_next_state() -> None:
    table = DocumentTable()
    writer = Writer(table)
    entry = writer.write()
    bob, alice = PeerSync(BOB, table), PeerSync(ALICE, table)
    bob.heard_state(entry, state(entry))
    bob.take()
    writer.write(bob)
    alice.rounds[NOTES] += 1
    (sent,) = bob.take()
    assert isinstance(sent, Updates)
    assert sent.round != alice.rounds[NOTES]
    bob.heard_state(entry, empty_state(alice.rounds[NOTES]))
    owed = bob.next_diff()
    assert owed is not None
    bob.diff_made(owed, [b"again"])
    (sent,) = bob.take()
    assert isinstance(sent, Updates)
    assert sent.round == alice.rounds[NOTES]


def test_the_next_life_of_a_document_goes_on_with_the_round() -> None:
    table = DocumentTable()
    entry = Writer(table).write()
    bob = PeerSync(BOB, table)
    bob.heard_state(entry, empty_state(counted=3))
    bob.ended(table.end(KEY), None)
    bob.take()
    Writer(table, DocumentKey(NOTES, 2)).write(bob)
    (sent,) = bob.take()
    assert isinstance(sent, Updates)
    assert sent.round == 3


@given(st.binary(max_size=4 * PIECE_BYTES // 1000), st.integers(1, 5))
def test_pieces_are_put_together_again(seed: bytes, factor: int) -> None:
    update = (seed or b"x") * factor * 500
    table = DocumentTable()
    entry = Writer(table).write()
    bob, assembly = PeerSync(BOB, table), Assembly(AllHeld())
    bob.heard_state(entry, empty_state())
    owed = bob.next_diff()
    assert owed is not None
    bob.diff_made(owed, [update])
    whole = None
    while batch := bob.take():
        (message,) = batch
        assert whole is None
        whole = assembly.add(message) if isinstance(message, Piece) else message
    assert isinstance(whole, Updates)
    assert whole.updates == [update]
