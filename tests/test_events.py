"""The history of what happened: in order, bounded, and honest about what it no longer has."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.entry import Entry
from peatd.events import MAX_TAKEN, Change, DocumentEvent, Event, EventLog, Move, PeerEvent, Reader, Reset, Wanted
from peatd.names import DeviceId, DocumentName, document_name
from peatd.reach import Reach

BOB, CAROL = DeviceId("bb" * 16), DeviceId("cc" * 16)
TODAY, TOMORROW, TASK = (DocumentName(name) for name in ("notes/today", "notes/tomorrow", "tasks/a"))
EVERYTHING = Wanted()


def entry(name: DocumentName, incarnation: int = 1) -> Entry:
    return Entry(name, incarnation, deleted=False, reach=Reach(), version=1, begun=1)


class Scene:
    """A log, what happens to it, and readers that count how often they are woken."""

    def __init__(self, limit: int = 100) -> None:
        self.log = EventLog("ab" * 8, limit)
        self.readers = ExitStack()
        self.woken: list[Reader | None] = []

    def reader(self, since: str | None = None, wanted: Wanted = EVERYTHING) -> Reader:
        made: list[Reader] = []
        wake = lambda: self.woken.append(made[0] if made else None)  # noqa: E731
        made.append(self.readers.enter_context(self.log.reading(since, wanted, wake)))
        return made[0]

    def begin(self, name: DocumentName, origin: DeviceId | None = None, incarnation: int = 1) -> None:
        self.log.begun(entry(name, incarnation), origin)

    def change(self, name: DocumentName, origin: DeviceId | None = None, incarnation: int = 1) -> None:
        self.log.changed(entry(name, incarnation), b"", origin)

    def end(self, name: DocumentName, origin: DeviceId | None = None, incarnation: int = 1) -> None:
        self.log.ended(entry(name, incarnation), origin)


@pytest.fixture
def it() -> Scene:
    return Scene()


def told(event: Event) -> tuple[str, str]:
    return (event.type.value, event.key.name if isinstance(event, DocumentEvent) else event.peer)


def take(reader: Reader) -> list[tuple[str, str]]:
    """What a reader is told that has missed nothing."""
    taken = reader.take()
    assert taken.reset is None
    return [told(event) for event in taken.events]


def test_a_reader_hears_what_happens_after_it_came(it: Scene) -> None:
    it.begin(TODAY)
    reader = it.reader()
    assert take(reader) == []
    it.begin(TASK)
    it.end(TODAY, BOB)
    it.log.peer_moved(Move.LINKED, "bob", b"{}")
    assert take(reader) == [("created", TASK), ("deleted", TODAY), ("linked", "bob")]
    assert take(reader) == []


def test_a_reader_that_comes_back_goes_on_after_the_event_that_it_names(it: Scene) -> None:
    reader = it.reader()
    it.begin(TODAY)
    it.begin(TOMORROW)
    first, second = reader.take().events
    assert take(it.reader(it.log.id_of(first))) == [("created", TOMORROW)]
    assert take(it.reader(it.log.id_of(second))) == []
    assert take(it.reader(reader.take().position)) == []


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ("abababababababab-2", Reset.UNKNOWN),
        ("cdcdcdcdcdcdcdcd-1", Reset.RESTARTED),
        ("", Reset.UNKNOWN),
        ("abababababababab--1", Reset.UNKNOWN),
        ("abababababababab-1\n", Reset.UNKNOWN),
        ("abababababababab-" + "9" * 5000, Reset.UNKNOWN),
        ("abababababababab-\u0661", Reset.UNKNOWN),
        ("x" * 100_000, Reset.UNKNOWN),
    ],
)
def test_an_id_that_is_not_ours_resets_and_goes_on_from_now(it: Scene, since: str, reason: Reset) -> None:
    it.begin(TODAY)
    reader = it.reader(since)
    taken = reader.take()
    assert (taken.reset, taken.events, taken.position) == (reason, [], "abababababababab-1")
    it.begin(TASK)
    assert take(reader) == [("created", TASK)]
    assert it.log.resets == 1


def test_a_reader_that_falls_out_of_the_history_is_told_so() -> None:
    it = Scene(limit=3)
    slow, quick = it.reader(), it.reader()
    names = [document_name("notes", str(number)) for number in range(5)]
    for name in names[:4]:
        it.begin(name)
        assert take(quick) == [("created", name)]
    taken = slow.take()
    assert (taken.reset, taken.events) == (Reset.BEHIND, [])
    it.begin(names[4])
    assert take(slow) == take(quick) == [("created", names[4])]
    assert it.log.resets == 1


def test_a_reader_that_has_seen_all_that_is_gone_has_missed_nothing() -> None:
    it = Scene(limit=2)
    reader = it.reader()
    it.begin(TODAY)
    reader.take()
    it.begin(TOMORROW)
    it.begin(TASK)
    assert take(reader) == [("created", TOMORROW), ("created", TASK)]


def test_a_change_that_nobody_was_told_of_stands_for_those_after_it(it: Scene) -> None:
    reader = it.reader()
    it.begin(TODAY)
    it.change(TODAY, BOB)
    assert take(reader) == [("created", TODAY)]
    it.change(TODAY)
    it.change(TASK)
    it.change(TODAY, CAROL)
    (today, task) = reader.take().events
    assert isinstance(today, DocumentEvent)
    assert (told(today), today.origin, told(task)) == (("changed", TODAY), CAROL, ("changed", TASK))


def test_what_somebody_was_told_of_stands_for_nothing_later(it: Scene) -> None:
    reader = it.reader()
    it.begin(TODAY)
    reader.take()
    it.change(TODAY)
    assert take(reader) == [("changed", TODAY)]
    it.change(TODAY)
    newcomer = it.reader()
    it.change(TODAY)
    assert take(newcomer) == take(reader) == [("changed", TODAY)]


def test_a_change_of_a_new_life_is_not_that_of_the_old_one(it: Scene) -> None:
    reader = it.reader()
    it.begin(TODAY)
    it.end(TODAY)
    it.begin(TODAY, incarnation=2)
    it.change(TODAY, incarnation=2)
    taken = reader.take().events
    assert [(event.type, event.key.incarnation) for event in taken if isinstance(event, DocumentEvent)] == [
        (Change.DELETED, 1),
        (Change.CREATED, 2),
    ]


def test_who_reads_late_hears_what_became_of_a_document_and_not_how_often_it_changed(it: Scene) -> None:
    slow, quick = it.reader(), it.reader()
    it.begin(TODAY)
    quick.take()
    for _ in range(1000):
        it.change(TODAY)
        it.change(TASK)
        assert take(quick) == [("changed", TODAY), ("changed", TASK)]
    assert take(slow) == [("created", TODAY), ("changed", TODAY), ("changed", TASK)]


def test_the_latest_of_a_peer_is_kept_too(it: Scene) -> None:
    reader = it.reader()
    for _ in range(1000):
        it.log.peer_moved(Move.LINKED, "bob", b"1")
        it.log.peer_moved(Move.UNLINKED, "bob", b"2")
    assert take(reader) == [("linked", "bob"), ("unlinked", "bob")]


def test_readers_are_told_what_they_want_and_woken_for_nothing_else(it: Scene) -> None:
    notes = it.reader(wanted=Wanted(peers=False, collection="notes"))
    today = it.reader(wanted=Wanted(peers=False, document=TODAY))
    peers = it.reader(wanted=Wanted(documents=False))
    it.begin(document_name("notes2", "a"))
    assert it.woken == []
    it.begin(TODAY)
    it.begin(TOMORROW)
    it.log.peer_moved(Move.FOUND, "bob", b"{}")
    assert sorted(map(id, it.woken)) == sorted(map(id, [notes, today, notes, peers]))
    assert take(notes) == [("created", TODAY), ("created", TOMORROW)]
    assert take(today) == [("created", TODAY)]
    assert take(peers) == [("found", "bob")]


def test_a_reader_whose_documents_rest_does_not_fall_behind() -> None:
    it = Scene(limit=2)
    reader = it.reader(wanted=Wanted(document=TODAY))
    for number in range(10):
        it.begin(document_name("tasks", str(number)))
        assert take(reader) == []
    assert it.reader(reader.take().position).take().reset is None


def test_much_is_taken_in_pieces() -> None:
    it = Scene(limit=10 * MAX_TAKEN)
    reader = it.reader()
    names = [document_name("notes", str(number)) for number in range(2 * MAX_TAKEN + 1)]
    for name in names:
        it.begin(name)
    pieces = [take(reader) for _ in range(4)]
    assert [len(piece) for piece in pieces] == [MAX_TAKEN, MAX_TAKEN, 1, 0]
    assert [name for piece in pieces for _, name in piece] == names


def test_closing_wakes_all(it: Scene) -> None:
    readers = [it.reader(), it.reader(wanted=Wanted(peers=False))]
    assert it.log.reader_count == 2
    it.log.close()
    assert it.log.is_closed
    assert set(map(id, it.woken)) == set(map(id, readers))
    it.readers.close()
    assert it.log.reader_count == 0


NAMES = [document_name("notes", letter) for letter in "abc"]
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("read"), st.integers(0, 2)),
)


class World:
    """Documents that come, change and go; readers that keep what they are told."""

    def __init__(self, limit: int) -> None:
        self.scene = Scene(limit)
        self.lives: dict[DocumentName, tuple[int, bool]] = {}
        self.versions: dict[DocumentName, int] = {}
        self.readers = [self.scene.reader() for _ in range(3)]
        self.copies: list[dict[DocumentName, int]] = [{} for _ in self.readers]

    def write(self, name: DocumentName) -> None:
        incarnation, living = self.lives.get(name, (0, False))
        if not living:
            incarnation += 1
            self.lives[name] = (incarnation, True)
            self.scene.begin(name, incarnation=incarnation)
        self.versions[name] = self.versions.get(name, 0) + 1
        self.scene.change(name, incarnation=incarnation)

    def delete(self, name: DocumentName) -> None:
        incarnation, living = self.lives.get(name, (0, False))
        if living:
            self.lives[name] = (incarnation, False)
            self.scene.end(name, incarnation=incarnation)

    def read(self, number: int) -> None:
        """Takes all there is, and looks at each document that it is told of, as clients do."""
        copy, taken = self.copies[number], self.readers[number].take()
        if taken.reset is not None:
            copy.clear()
            copy.update(self.living())
        for event in taken.events:
            assert isinstance(event, DocumentEvent)
            name = event.key.name
            if name in self.living():
                copy[name] = self.versions[name]
            else:
                copy.pop(name, None)

    def living(self) -> dict[DocumentName, int]:
        return {name: self.versions[name] for name, (_, living) in self.lives.items() if living}


@given(st.lists(STEPS, max_size=60), st.sampled_from([1, 2, 5, 1000]))
def test_who_does_what_it_is_told_has_what_is_there(steps: list[tuple[str, DocumentName | int]], limit: int) -> None:
    world = World(limit)
    for step, argument in steps:
        getattr(world, step)(argument)
        assert len(world.scene.log._events) == len(world.scene.log._latest) <= limit
    for number in range(len(world.readers)):
        world.read(number)
    assert world.copies == [world.living()] * len(world.readers)


def numbers(events: Iterator[Event]) -> list[int]:
    return [event.number for event in events]


@given(st.lists(STEPS, max_size=60))
def test_a_reader_is_told_in_order_and_of_nothing_twice(steps: list[tuple[str, DocumentName | int]]) -> None:
    world = World(1000)
    heard: list[int] = []
    for step, argument in steps:
        if step == "read":
            heard += numbers(iter(world.readers[0].take().events))
        else:
            getattr(world, step)(argument)
    assert heard == sorted(set(heard))


def test_peers_have_their_own_subjects(it: Scene) -> None:
    reader = it.reader()
    it.log.peer_moved(Move.FOUND, TODAY, b"{}")
    it.begin(TODAY)
    document = reader.take().events[1]
    assert isinstance(document, DocumentEvent)
    assert isinstance(it.log._events[1], PeerEvent)
