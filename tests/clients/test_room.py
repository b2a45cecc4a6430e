"""A room: who has what, who is sent what, and that nobody waits for the slow."""

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pycrdt
import pytest
import trio
import y_py
from fakes.clients import FakeLine
from fakes.replicas import Replica, linked
from trio.testing import MockClock

from peatd.awareness import Told
from peatd.clients import closes, protocol, states
from peatd.clients.attendance import Attendance
from peatd.clients.protocol import Presence, QueryAwareness, Step1, Update
from peatd.clients.room import PIECE_BYTES
from peatd.clients.rooms import Rooms
from peatd.clients.shelf import DEADLINE, Shelf
from peatd.interest import Copies
from peatd.names import DocumentName
from peatd.reach import encode_state_vector

NOTES = DocumentName("notes/a")


class Guest:
    """A client without a socket: a Yjs document, and what came over its line."""

    def __init__(self, rooms: Rooms, *, may_write: bool = True, client: int = 0) -> None:
        self.doc = y_py.YDoc(client or random.getrandbits(31))
        self.line = FakeLine()
        self.left: tuple[int, str] | None = None
        self.unsettled = 0
        self.confirmed: list[tuple[bool, int]] = []
        self.attendance = Attendance(
            rooms,
            NOTES,
            self.line,
            self,
            may_write=may_write,
            origin="client 192.0.2.7:5000",
            leave=self._leave,  # type: ignore[arg-type]
        )

    def submitted(self) -> None:
        self.unsettled += 1

    def settled(self, count: int, *, is_news: bool) -> None:
        self.unsettled -= count

    def _leave(self, code: int, reason: str) -> None:
        self.left = (code, reason)
        self.attendance.left()

    def step_1(self) -> None:
        self.attendance.hear(Step1(bytes(y_py.encode_state_vector(self.doc))))

    def write(self, text: str) -> bytes:
        before = y_py.encode_state_vector(self.doc)
        with self.doc.begin_transaction() as transaction:
            self.doc.get_text("t").insert(transaction, 0, text)
        update = bytes(y_py.encode_state_as_update(self.doc, before))
        self.send(update)
        return update

    def send(self, *updates: bytes) -> None:
        """What comes with one read."""
        for update in updates:
            self.attendance.hear(Update(update, is_step_2=False))
        self.attendance.submit()

    def hear(self) -> list[Update]:
        """Takes in what came; the updates."""
        updates = [said for said in self.line.said() if isinstance(said, Update)]
        for said in updates:
            y_py.apply_update(self.doc, said.update)
        return updates

    @property
    def text(self) -> str:
        self.hear()
        return str(self.doc.get_text("t"))


@pytest.fixture
async def rooms(replica: Replica) -> AsyncIterator[Rooms]:
    made = Rooms(replica.replication, replica.awareness)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield made
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], Any]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110  # whatever makes it true; the clock jumps
            await trio.sleep(0.01)


async def test_a_client_is_asked_what_we_lack_and_sent_what_it_lacks(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    writer = Guest(rooms)
    writer.step_1()
    assert writer.line.messages() == [protocol.step_1(b"\x00"), bytes.fromhex("0001020000")]
    writer.write("hello")
    await until(lambda: replica.library.count())
    reader = Guest(rooms)
    reader.step_1()
    await until(lambda: reader.text == "hello")


async def test_looking_creates_nothing_and_the_first_content_does(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    looker = Guest(rooms)
    looker.step_1()
    looker.attendance.hear(Update(protocol.NOTHING, is_step_2=True))
    await trio.sleep(1)
    assert replica.library.count() == 0
    looker.write("x")
    await until(lambda: replica.library.count() == 1)


async def test_news_goes_to_all_in_step_but_its_writer_in_one_frame(rooms: Rooms, autojump_clock: MockClock) -> None:
    alice, bob, carol = Guest(rooms), Guest(rooms), Guest(rooms)
    for guest in (alice, bob, carol):
        guest.step_1()
        guest.line.messages()
    update = alice.write("hello")
    await until(lambda: not alice.unsettled)
    await trio.sleep(0.1)
    assert bob.line.messages() == carol.line.messages() == [protocol.update(update)]
    assert alice.line.messages() == []


async def test_what_comes_with_one_read_is_merged_stored_and_told_as_one(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    writer, reader, scribe = Guest(rooms), Guest(rooms), Guest(rooms)
    for guest in (writer, reader):
        guest.step_1()
        guest.line.messages()
    updates = []
    scribe.send = lambda *sent: updates.extend(sent)  # type: ignore[method-assign]
    for n in range(50):
        scribe.write(f"{n} ")
    writer.send(*updates)
    assert writer.unsettled == 50
    await until(lambda: not writer.unsettled)
    assert replica.documents.applied == 1
    assert replica.store.tail_rows(NOTES) == 1
    await until(lambda: reader.text == scribe.text)
    writer.send(*updates)  # again: that is not news
    await until(lambda: not writer.unsettled)
    assert replica.store.tail_rows(NOTES) == 1


async def test_who_was_not_asked_what_it_has_is_sent_no_news(rooms: Rooms, autojump_clock: MockClock) -> None:
    alice, silent = Guest(rooms), Guest(rooms)
    alice.step_1()
    silent.line.messages()
    alice.write("hello")
    await trio.sleep(1)
    assert silent.line.messages() == []
    silent.step_1()
    await until(lambda: silent.text == "hello")


async def test_a_change_by_the_api_reaches_clients(replica: Replica, rooms: Rooms, autojump_clock: MockClock) -> None:
    alice = Guest(rooms)
    alice.step_1()
    await replica.library.put(NOTES, {"n": 1}, if_match=None)
    await until(lambda: alice.text == "" and json.loads(alice.doc.get_map("data").to_json()) == {"n": 1})


async def test_a_slow_client_holds_nobody_up_and_catches_up_in_one_diff(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice, slow, quick = Guest(rooms), Guest(rooms), Guest(rooms)
    for guest in (alice, slow, quick):
        guest.step_1()
    await until(lambda: not slow.line.waiting)
    slow.hear()
    slow.line.capacity_bytes = 0
    slow.line.high_bytes = slow.line.low_bytes = 2000
    for n in range(200):
        alice.write(f"{n} " + "x" * 20)
        await trio.sleep(0.005)
    await until(lambda: quick.text == alice.text)
    assert len(slow.line.waiting) < 4000
    assert rooms.owed() == 1
    diffs = replica.documents.diffs
    slow.line.capacity_bytes = 2**40
    slow.line.flush()
    before = len(slow.hear())
    rooms.room(NOTES).has_room(slow.attendance.seat)
    await until(lambda: slow.text == alice.text)
    assert replica.documents.diffs == diffs + 1
    assert before < 100
    assert rooms.owed() == 0
    alice.write("and on")
    await until(lambda: slow.text == alice.text)


async def test_what_slow_clients_are_sent_has_a_bound_and_who_stands_in_the_way_has_to_go(
    replica: Replica, autojump_clock: MockClock
) -> None:
    shelf = Shelf(1_000_000)
    rooms = Rooms(replica.replication, replica.awareness, shelf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rooms.run)
        alice, slow, other = Guest(rooms), Guest(rooms), Guest(rooms)
        alice.step_1()
        for n in range(20):
            alice.write(f"{n} " + "x" * 40_000)
            await until(lambda: alice.unsettled == 0)
        slow.line.capacity_bytes = 0
        slow.line.low_bytes = 1
        slow.step_1()
        await until(lambda: slow.attendance.seat.diff is not None)
        # Whoever has something of its own lacks something else: its diff is not the slow one's.
        other.attendance.hear(Step1(encode_state_vector({7: 1})))
        await trio.sleep(1)
        assert "x" not in other.text
        shelf.tick(trio.current_time() + DEADLINE)
        assert slow.left == closes.TOO_SLOW
        await until(lambda: other.text == alice.text)
        assert alice.left is other.left is None
        await until(lambda: not shelf._places)
        nursery.cancel_scope.cancel()


async def test_a_client_that_fell_behind_when_nothing_followed_is_owed_nothing(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice, slow = Guest(rooms), Guest(rooms)
    alice.step_1()
    slow.step_1()
    slow.line.capacity_bytes = 0
    slow.line.high_bytes = 10
    alice.write("the last for now")
    await until(lambda: rooms.owed() == 1)
    diffs = replica.documents.diffs
    slow.line.capacity_bytes = 2**40
    slow.line.flush()
    rooms.room(NOTES).has_room(slow.attendance.seat)
    assert (rooms.owed(), replica.documents.diffs) == (0, diffs)
    assert slow.text == alice.text


async def test_a_large_document_comes_in_pieces_of_which_the_last_says_synced(
    rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice = Guest(rooms)
    alice.step_1()
    for n in range(40):
        alice.write(f"{n} " + "x" * 40_000)
        await until(lambda: alice.unsettled == 0)
    slow = Guest(rooms)
    slow.hear()
    slow.line.capacity_bytes = PIECE_BYTES + 1000
    slow.step_1()
    await until(lambda: slow.line.waiting)
    first = slow.hear()
    assert [said.is_step_2 for said in first] == [False]
    alice.write("meanwhile")
    await until(lambda: alice.unsettled == 0)
    slow.line.capacity_bytes = 2**40
    slow.line.flush()
    rooms.room(NOTES).has_room(slow.attendance.seat)
    rest = slow.hear()
    assert [said.is_step_2 for said in rest][:-1].count(True) <= 1
    assert any(said.is_step_2 for said in rest)
    assert max(len(said.update) for said in rest) < 1.2 * PIECE_BYTES
    await until(lambda: slow.text == alice.text)
    assert rooms.owed() == 0


async def test_all_who_join_at_once_share_one_diff(replica: Replica, rooms: Rooms, autojump_clock: MockClock) -> None:
    alice = Guest(rooms)
    alice.step_1()
    for _ in range(30):
        alice.write("x" * 40_000)
    await until(lambda: alice.unsettled == 0)
    diffs = replica.documents.diffs
    guests = [Guest(rooms) for _ in range(20)]
    for guest in guests:
        guest.line.capacity_bytes = PIECE_BYTES
        guest.step_1()
    await until(lambda: all(guest.line.waiting for guest in guests))
    late = Guest(rooms)
    late.step_1()  # while they are still being sent it
    for guest in guests:
        guest.line.capacity_bytes = 2**40
        guest.line.flush()
        rooms.room(NOTES).has_room(guest.attendance.seat)
    await until(lambda: all(guest.text == alice.text for guest in (*guests, late)))
    assert replica.documents.diffs == diffs + 1


async def test_who_asks_again_and_again_has_one_diff_made_at_a_time(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice, hasty = Guest(rooms), Guest(rooms)
    alice.step_1()
    alice.write("hello")
    await until(lambda: not alice.unsettled)
    diffs = replica.documents.diffs
    for clock in range(1, 100):
        hasty.attendance.hear(Step1(bytes((1, 5, clock))))
    hasty.step_1()
    await until(lambda: hasty.text == alice.text)
    assert replica.documents.diffs == diffs + 2
    await until(lambda: rooms.owed() == 0)
    alice.write("and on")
    await until(lambda: hasty.text == alice.text)


async def test_who_asks_who_is_there_and_does_not_read_is_told_once_when_it_does(
    rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice, deaf = Guest(rooms), Guest(rooms)
    alice.attendance.hear(Presence(states.encode([Told(7, 1, b'"%s"' % (b"x" * 1000))])))
    deaf.line.capacity_bytes = 0
    deaf.line.high_bytes = 10_000
    for _ in range(100):
        deaf.attendance.hear(QueryAwareness())
    assert len(deaf.line.waiting) < 12_000
    deaf.line.capacity_bytes = 2**40
    deaf.line.flush()
    deaf.line.messages()
    rooms.room(NOTES).has_room(deaf.attendance.seat)
    assert [type(said) for said in deaf.line.said()] == [Presence]


async def test_who_is_not_told_yet_who_is_there_hears_of_moves_at_once(rooms: Rooms, autojump_clock: MockClock) -> None:
    alice, bob, silent = Guest(rooms), Guest(rooms), Guest(rooms)
    await trio.sleep(1)
    bob.step_1()
    alice.attendance.hear(Presence(states.encode([Told(7, 1, b'"a"')])))
    await trio.sleep(0.01)
    told = [said for said in bob.line.said() if isinstance(said, Presence)]
    assert [states.decode(said.states) for said in told] == [[Told(7, 1, b'"a"')]]
    bob.attendance.hear(told[0])  # as stock clients do
    await trio.sleep(1)
    told = [said for said in bob.line.said() if isinstance(said, Presence)]
    assert [states.decode(said.states) for said in told] == [[Told(7, 2, b'"a"')]]
    assert [type(said) for said in silent.line.said()] == [Step1]
    alice.attendance.left()
    assert rooms.awareness.count() == 0  # bob's echo was no claim


async def test_a_node_knows_how_many_clients_are_at_a_document(replica: Replica, rooms: Rooms) -> None:
    alice, bob = Guest(rooms), Guest(rooms)
    assert replica.replication.audience == {NOTES: 2}
    alice.attendance.left()
    assert replica.replication.audience == {NOTES: 1}
    bob.attendance.left()
    assert replica.replication.audience == {}


async def test_an_update_that_builds_on_what_we_lack_makes_us_ask_and_nothing_is_lost(
    rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice = Guest(rooms)
    alice.step_1()
    before = y_py.encode_state_vector(alice.doc)
    with alice.doc.begin_transaction() as transaction:
        alice.doc.get_text("t").insert(transaction, 0, "never sent ")
    alice.line.messages()
    alice.write("early ")
    await until(lambda: not alice.unsettled)
    assert alice.line.said() == [Step1(bytes(before))]
    alice.attendance.hear(Update(bytes(y_py.encode_state_as_update(alice.doc)), is_step_2=True))
    bob = Guest(rooms)
    bob.step_1()
    await until(lambda: bob.text == "early never sent ")


async def test_what_a_client_cannot_place_itself_is_left_out_and_asked_for_again(
    rooms: Rooms, autojump_clock: MockClock
) -> None:
    carol, updates = y_py.YDoc(3), []
    for word in ("one ", "two ", "three "):
        before = y_py.encode_state_vector(carol)
        with carol.begin_transaction() as transaction:
            carol.get_text("t").insert(transaction, 0, word)
        updates.append(bytes(y_py.encode_state_as_update(carol, before)))
    alice = Guest(rooms)
    alice.step_1()
    mine = y_py.YDoc(4)
    with mine.begin_transaction() as transaction:
        mine.get_text("t").insert(transaction, 0, "mine ")
    # As a Yjs tells it that has the first and the third.
    told = pycrdt.merge_updates(bytes(y_py.encode_state_as_update(mine)), updates[0], updates[2])
    alice.line.messages()
    alice.attendance.hear(Update(bytes(told), is_step_2=True))
    await until(lambda: Step1 in map(type, alice.line.said()))
    bob = Guest(rooms)
    bob.step_1()
    await until(lambda: sorted(bob.text.split()) == ["mine", "one"])
    assert alice.left is None
    alice.attendance.hear(Update(bytes(y_py.encode_state_as_update(carol)), is_step_2=True))
    await until(lambda: sorted(bob.text.split()) == ["mine", "one", "three", "two"])


async def test_malformed_and_unheld_updates_end_it_with_a_reason(rooms: Rooms, autojump_clock: MockClock) -> None:
    mallory = Guest(rooms)
    mallory.step_1()
    mallory.send(b"\x01\x02\x03")
    await until(lambda: mallory.left)
    assert mallory.left is not None
    assert mallory.left[0] == closes.MALFORMED
    assert "more than it holds" in mallory.left[1]


async def test_updates_that_are_too_much_together_are_refused_though_none_is_alone(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica.documents, "max_document_bytes", 1000)
    mallory = Guest(rooms)
    mallory.step_1()
    for _ in range(4):
        mallory.write("x" * 300)
    assert mallory.left is not None
    assert mallory.left[0] == closes.TOO_LARGE
    bob = Guest(rooms)
    bob.step_1()
    await until(lambda: bob.text == "x" * 900)
    assert replica.store.size_bytes(NOTES) <= 1000
    bob.write("y")
    await until(lambda: replica.store.size_bytes(NOTES) > 930)
    assert bob.left is None


async def test_a_reader_may_not_write_is_told_and_reads_on(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice, reader = Guest(rooms), Guest(rooms, may_write=False)
    alice.step_1()
    reader.step_1()
    alice.write("a")
    await until(lambda: reader.text == "a")
    reader.attendance.hear(Update(bytes(y_py.encode_state_as_update(reader.doc)), is_step_2=True))
    assert reader.line.messages() == []  # it has nothing that we lack
    reader.write("b")
    assert reader.line.messages()[0][:2] == b"\x02\x00"
    assert reader.left is None
    alice.write("c")
    await until(lambda: "c" in reader.text)
    assert (await replica.library.read(NOTES)).roots == {"t": "ca"}


async def test_a_deleted_document_ends_its_clients_and_they_cannot_bring_it_back(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice = Guest(rooms)
    alice.step_1()
    alice.write("old")
    await until(lambda: not alice.unsettled)
    await replica.library.delete(NOTES, if_match=None)
    assert alice.left == closes.DELETED
    ghost = Guest(rooms)
    ghost.doc = alice.doc
    ghost.step_1()
    assert ghost.left == closes.DELETED
    late = Guest(rooms)  # its content appears only after it has said that it has none
    late.step_1()
    late.send(bytes(y_py.encode_state_as_update(alice.doc)))
    await until(lambda: late.left)
    assert late.left == closes.DELETED
    assert replica.library.count() == 0
    fresh = Guest(rooms)
    fresh.step_1()
    fresh.write("new")
    await until(lambda: replica.library.count() == 1)
    again = Guest(rooms)
    again.doc = alice.doc
    again.step_1()
    assert again.left == closes.DELETED
    assert (await replica.library.read(NOTES)).roots == {"t": "new"}


async def test_who_brings_what_was_deleted_again_and_again_is_sent_away_ever_more_slowly(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice = Guest(rooms)
    alice.step_1()
    alice.write("old")
    await until(lambda: not alice.unsettled)
    await replica.library.delete(NOTES, if_match=None)

    def ghost() -> Guest:
        made = Guest(rooms)
        made.doc = alice.doc
        made.step_1()
        made.attendance.hear(Update(bytes(y_py.encode_state_as_update(alice.doc)), is_step_2=True))
        return made

    begun = trio.current_time()
    for _ in range(100):  # as fast as it is let go
        one = ghost()
        await until(lambda one=one: one.left)  # type: ignore[misc]
        assert one.left == closes.DELETED
    assert 150 < trio.current_time() - begun < 500
    assert not rooms._rooms


async def test_what_a_failing_disk_refused_is_asked_for_when_it_works(
    replica: Replica, rooms: Rooms, autojump_clock: MockClock
) -> None:
    alice = Guest(rooms)
    alice.step_1()
    alice.write("before ")
    await until(lambda: not alice.unsettled)
    alice.line.messages()
    with replica.store.failing():
        alice.write("meanwhile ")
        alice.write("again ")
        await trio.sleep(5)
        denied, *more = alice.line.messages()
        assert denied[:2] == b"\x02\x00"
        assert b"asked for them again" in denied
        assert more == []
        assert (await replica.library.read(NOTES)).roots == {"t": "before "}
    await until(lambda: Step1 in {type(said) for said in alice.line.said()})
    alice.attendance.hear(Update(bytes(y_py.encode_state_as_update(alice.doc)), is_step_2=True))
    await until(lambda: not alice.unsettled)
    assert (await replica.library.read(NOTES)).roots == {"t": "again meanwhile before "}


async def test_nothing_is_left_of_a_room_without_clients(rooms: Rooms, autojump_clock: MockClock) -> None:
    alice = Guest(rooms)
    alice.step_1()
    alice.write("x")
    alice.attendance.left()  # while its update is under way
    await trio.sleep(1)
    assert rooms._rooms == {}


async def test_who_opens_what_is_elsewhere_waits_for_all_and_writes_meanwhile(autojump_clock: MockClock) -> None:
    copies = {"notes": Copies(None)}
    seed = random.Random(7)
    async with (
        Replica("alice", seed, copies=copies).running() as alice,
        Replica("bob", seed, copies=copies).running() as bob,
        linked(alice, bob),
    ):
        update = text_update("before")
        await alice.library.apply(NOTES, update)
        await trio.sleep(5)
        assert bob.replication.table.get(NOTES).is_name  # type: ignore[union-attr]
        rooms = Rooms(bob.replication, bob.awareness)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rooms.run)
            guest = Guest(rooms)
            guest.step_1()
            answers = [said for said in guest.line.said() if isinstance(said, Update)]
            assert answers == []  # not even an empty one
            guest.write("mine")
            await trio.sleep(5)
            assert guest.left is None
            assert guest.text in ("beforemine", "minebefore")
            nursery.cancel_scope.cancel()
        assert (await alice.library.read(NOTES)).roots["t"] in ("beforemine", "minebefore")


def text_update(text: str) -> bytes:
    doc = y_py.YDoc(1)
    with doc.begin_transaction() as transaction:
        doc.get_text("t").insert(transaction, 0, text)
    return bytes(y_py.encode_state_as_update(doc))
