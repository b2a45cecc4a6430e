"""What is on one disk alone is counted until a peer has it, never too little."""

from peatd.names import DocumentKey, DocumentName
from peatd.unreplicated import Unreplicated

A = DocumentKey(DocumentName("notes/a"), 1)
B = DocumentKey(DocumentName("notes/b"), 1)


def test_counts_what_was_made_until_it_is_confirmed():
    found = Unreplicated()
    found.made(A, 2, 10, now=0.0)
    found.made(B, 3, 5, now=0.0)
    assert found.size_bytes == 15
    found.confirmed(A, 2, now=0.5)
    assert found.size_bytes == 5
    found.confirmed(B, 3, now=0.5)
    assert found.size_bytes == 0
    assert found.delays.sum == 1.0
    assert sum(found.delays.counts) == 2


def test_a_confirmation_covers_what_came_before_it_and_nothing_else():
    found = Unreplicated()
    found.made(A, 2, 10, now=0.0)
    found.made(A, 3, 20, now=1.0)
    found.confirmed(A, 1, now=2.0)
    assert found.size_bytes == 30
    found.confirmed(A, 2, now=2.0)
    assert found.size_bytes == 20
    found.made(A, 4, 40, now=3.0)
    found.confirmed(A, 3, now=4.0)
    assert found.size_bytes == 40
    found.confirmed(A, 4, now=5.0)
    assert found.size_bytes == 0
    assert found.delays.sum == 2.0 + 3.0 + 2.0


def test_errs_to_the_safe_side_in_the_middle_of_what_came_later():
    found = Unreplicated()
    for version, size in ((2, 10), (3, 20), (4, 40)):
        found.made(A, version, size, now=0.0)
    found.confirmed(A, 3, now=1.0)
    assert found.size_bytes == 60
    found.confirmed(A, 4, now=1.0)
    assert found.size_bytes == 0


def test_what_is_deleted_needs_no_other_disk_and_the_next_life_begins_at_nothing():
    found = Unreplicated()
    found.made(A, 2, 10, now=0.0)
    found.made(A, 3, 20, now=0.0)
    found.ended(A.name)
    assert found.size_bytes == 0
    second = DocumentKey(A.name, 2)
    found.made(second, 5, 7, now=1.0)
    found.confirmed(A, 9, now=2.0)
    assert found.size_bytes == 7
    found.confirmed(second, 5, now=2.0)
    assert found.size_bytes == 0
