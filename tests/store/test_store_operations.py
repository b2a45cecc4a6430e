"""What is pending, and what a log becomes by it: decided without a disk."""

from peatd.names import DocumentKey, DocumentName
from peatd.store.operations import Append, ChangeLife, Fold, Operation, Pending, SetAside, replay
from peatd.store.records import LogRow, RowKind, document_checksum, parse_row, reach_checksum, row_checksum

KEY = DocumentKey(DocumentName("notes/today"), 1)
NEXT = DocumentKey(KEY.name, 2)


def row(seq: int, payload: bytes, kind: RowKind = RowKind.UPDATE, through: int = 0) -> LogRow:
    return LogRow(seq, KEY, kind, through, payload)


def test_the_checksums_on_disk_are_frozen() -> None:
    assert row_checksum(7, KEY, RowKind.UPDATE, 0, b"update").hex() == "30a3abd3fd0b7242"
    assert document_checksum(KEY, deleted=False).hex() == "932415dbb99fd299"
    assert reach_checksum(KEY, 7, b"reach").hex() == "76443909a5aeceac"


def test_a_row_is_itself_again_after_the_disk() -> None:
    columns = (7, KEY.name, 1, 0, 0, row_checksum(7, KEY, RowKind.UPDATE, 0, b"update"), b"update")
    assert parse_row(KEY.name, columns) == row(7, b"update")


def test_what_failed_is_written_again_before_what_came_later() -> None:
    pending, operations = Pending(), [Append(seq, KEY, b"%d" % seq) for seq in range(1, 5)]
    pending.add(operations[0])
    assert pending.take() == operations[:1]
    pending.add(operations[1])
    pending.add(operations[2])
    assert pending.take() == operations[:3]
    pending.add(operations[3])
    assert pending.of(KEY.name) == operations
    pending.forget_taken()
    assert pending.of(KEY.name) == operations[3:]
    assert pending.take() == operations[3:]
    pending.forget_taken()
    assert not pending
    assert pending.size_bytes == 0


def test_pending_operations_are_replayed_onto_rows_read_before_or_after_they_were_written() -> None:
    operations: list[Operation] = [Append(2, KEY, b"two"), Fold(3, KEY, b"snapshot", 2, b""), Append(4, KEY, b"four")]
    before = [row(1, b"one")]
    after = [row(3, b"snapshot", RowKind.SNAPSHOT, 2), row(4, b"four")]
    assert replay(KEY, before, operations) == replay(KEY, after, operations) == replay(KEY, after, [])


def test_a_life_that_is_over_has_no_rows_and_the_next_one_only_its_own() -> None:
    operations: list[Operation] = [ChangeLife(2, NEXT, deleted=False), Append(3, NEXT, b"second life")]
    assert replay(KEY, [row(1, b"one")], operations).updates == ()
    assert [stored.update for stored in replay(NEXT, [], operations).updates] == [b"second life"]


def test_what_is_set_aside_is_replayed_no_more() -> None:
    aside = SetAside(1, KEY, b"one", origin="peer", reason="it hung", time=0.0)
    assert [stored.seq for stored in replay(KEY, [row(1, b"one"), row(2, b"two")], [aside]).updates] == [2]
    snapshot = row(1, b"snapshot", RowKind.SNAPSHOT, 1)
    assert replay(KEY, [snapshot], [aside]).snapshot is None
