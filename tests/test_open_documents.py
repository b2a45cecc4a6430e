"""Which documents stay in an engine's memory, and which make room."""

from dataclasses import dataclass

from peatd.engine.protocol import Encoded, Merged
from peatd.names import DocumentKey, DocumentName
from peatd.open_documents import OpenDocuments
from peatd.worker_jobs import StoredUpdate, Task

LIMIT = 1000


@dataclass(frozen=True)
class Snapshot:
    """A log that was folded into one."""

    snapshot: bytes
    updates: tuple[StoredUpdate, ...] = ()


def key(number: int) -> DocumentKey:
    return DocumentKey(DocumentName(f"notes/{number}"), 1)


def opened(count: int, *, size_bytes: int = 10, limit_bytes: int = 10**9) -> OpenDocuments:
    documents = OpenDocuments(LIMIT, limit_bytes)
    for number in range(count):
        documents.add(key(number), Snapshot(bytes(size_bytes)), by_row=False)
    return documents


class Busy:
    """Documents that are being asked about, and how often that was looked up."""

    def __init__(self, *numbers: int) -> None:
        self.keys = {key(number) for number in numbers}
        self.looked_up = 0

    def __contains__(self, wanted: object) -> bool:
        self.looked_up += 1
        return wanted in self.keys


def overdue(documents: OpenDocuments, busy: Busy) -> list[DocumentKey]:
    return [forgotten for forgotten, _ in documents.overdue(busy)]


def edited(client: int, clock: int) -> Merged:
    return Merged(b"news", {client: clock - 1}, {client: clock}, {}, {})


def test_who_edits_a_document_is_known_when_it_is_opened_again() -> None:
    documents = opened(2)
    document = documents.get(key(0))
    assert document is not None
    assert documents.author(key(0)) == (0, 0)
    documents.answered(key(0), document, Task.EDIT, edited(7, 3))
    documents.answered(key(0), document, Task.APPLY, edited(8, 4))
    documents.answered(key(0), document, Task.EDIT, Merged(b"a deletion", {}, {}, {}, {7: [(0, 1)]}))
    documents.clear()
    assert documents.author(key(0)) == (7, 3)
    assert documents.author(key(1)) == (0, 0)
    documents.end(key(0))
    assert documents.author(key(0)) == (0, 0)


def test_a_document_that_was_folded_makes_no_others_leave() -> None:
    documents = opened(2, limit_bytes=1000)
    document = documents.get(key(1))
    assert document is not None
    for _ in range(300):
        documents.answered(key(1), document, Task.APPLY, edited(8, 4))
    assert document.size_bytes == 1210
    documents.answered(key(1), document, Task.SNAPSHOT, Encoded(bytes(20)))
    assert document.size_bytes == 20
    assert overdue(documents, Busy()) == []


def test_where_there_is_room_nobody_is_looked_at() -> None:
    busy = Busy()
    assert overdue(opened(LIMIT - 1), busy) == []
    assert busy.looked_up == 0


def test_the_one_asked_about_longest_ago_makes_room_and_no_other_is_looked_at() -> None:
    documents, busy = opened(LIMIT), Busy(1)
    documents.get(key(0))
    assert overdue(documents, busy) == [key(2)]
    assert busy.looked_up == 2
    assert overdue(documents, busy) == []


def test_as_many_make_room_as_their_bytes_need() -> None:
    assert overdue(opened(10, limit_bytes=75), Busy()) == [key(0), key(1), key(2)]


def test_those_that_are_busy_stay_even_beyond_the_limit() -> None:
    assert overdue(opened(3, limit_bytes=1), Busy(0, 1, 2)) == []
