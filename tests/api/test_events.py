"""`GET /events`: told in order, found again by id, honest about what is gone, and a burden to nobody."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing
from fakes.event_stream import EventStream, follow
from fakes.hostile import BOUNDED, held_when_settled, quick, unharmed, until_no_more_is_held_than
from fakes.mesh import PEER

from peatd.api import events
from peatd.api.connection import Limits
from peatd.api.events import MAX_READERS, peer_text
from peatd.entry import Entry
from peatd.events import EventLog, Move
from peatd.names import DeviceId, DocumentName, document_name
from peatd.reach import Reach

BOB = DeviceId("bb" * 16)
TODAY, TASK = DocumentName("notes/today"), DocumentName("tasks/a")


def entry(name: DocumentName, incarnation: int = 1) -> Entry:
    return Entry(name, incarnation, deleted=False, reach=Reach(), version=1, begun=1)


def begin(log: EventLog, name: DocumentName, origin: DeviceId | None = None) -> None:
    log.begun(entry(name), origin)


@asynccontextmanager
async def following(node, query: str = "", headers: Mapping[str, str] | None = None) -> AsyncIterator[EventStream]:
    """A reader that has heard where it stands."""
    client = await node.connect_privately()
    async with client.stream:
        stream = await follow(client, query, headers)
        assert stream.status == 200
        yield stream


async def test_a_stream_says_what_it_is_and_where_it_begins(node):
    async with following(node) as stream:
        first = await stream.next()
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    assert first.fields == (("retry", "1000"), ("", ""), ("id", f"{node.mesh.events.instance}-0"))


async def test_a_document_is_told_of_with_the_etag_of_its_route(node):
    async with following(node) as stream:
        await stream.next()
        await node.mesh.documents.put(TODAY, {"n": 1}, if_match=None)
        event = await stream.event()
        assert (event.kind, event["id"]) == ("document", f"{node.mesh.events.instance}-1")
        etag = (await node.ask("GET", "/documents/notes/today")).headers["etag"]
        assert event.data == {
            "type": "created",
            "collection": "notes",
            "id": "today",
            "incarnation": 1,
            "etag": etag,
            "origin": None,
        }
        await node.mesh.documents.delete(TODAY, if_match=None)
        gone = (await stream.event()).data
        assert (gone["type"], gone["etag"]) == ("deleted", None)


async def test_a_peers_change_names_the_peer(node):
    async with following(node) as stream:
        await stream.next()
        begin(node.mesh.events, TODAY, BOB)
        assert (await stream.event()).data["origin"] == BOB


async def test_a_peer_is_told_of_in_the_shape_of_its_route(node):
    async with following(node) as stream:
        await stream.next()
        node.mesh.events.peer_moved(Move.LINKED, PEER.id, peer_text(Move.LINKED, PEER))
        event = await stream.event()
    shown = (await node.ask("GET", f"/peers/{PEER.id}")).json
    assert (event.kind, event.data) == ("peer", {"type": "linked", "peer": shown})


@pytest.mark.parametrize("by", ["header", "query", "header before query"])
async def test_a_reader_that_comes_back_has_missed_nothing(node, by):
    log = node.mesh.events
    begin(log, TODAY)
    begin(log, TASK)
    first = f"{log.instance}-1"
    query = {"query": f"?last_event_id={first}", "header before query": "?last_event_id=of-a-former-life"}.get(by, "")
    headers = {} if by == "query" else {"Last-Event-ID": first}
    async with following(node, query, headers) as stream:
        assert (await stream.next())["id"] == f"{log.instance}-2"
        assert stream.headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize(
    ("since", "reason"), [("x", "unknown"), ("0000000000000000-7", "unknown"), ("aaaaaaaaaaaaaaaa-1", "restarted")]
)
async def test_an_id_that_leads_nowhere_is_answered_with_a_reset(node, since, reason):
    begin(node.mesh.events, TODAY)
    async with following(node, headers={"Last-Event-ID": since}) as stream:
        event = await stream.event()
        assert (event.kind, event.data, event["id"]) == ("reset", {"reason": reason}, f"{node.mesh.events.instance}-1")
        begin(node.mesh.events, TASK)
        assert (await stream.event()).data["collection"] == "tasks"
    assert node.mesh.events.resets == 1


async def test_an_empty_id_is_none(node):
    async with following(node, "?last_event_id=", {"Last-Event-ID": ""}) as stream:
        assert (await stream.next()).kind == "comment"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", ["notes", "tasks", "peer"]),
        ("?collection=notes", ["notes"]),
        ("?document=tasks/a", ["tasks"]),
        ("?kinds=document", ["notes", "tasks"]),
        ("?kinds=peer", ["peer"]),
        ("?kinds=document,peer&collection=notes", ["notes", "peer"]),
    ],
)
async def test_what_is_told_can_be_narrowed_down(node, query, told):
    async with following(node, query) as stream:
        await stream.next()
        begin(node.mesh.events, TODAY)
        begin(node.mesh.events, TASK)
        node.mesh.events.peer_moved(Move.LOST, PEER.id, peer_text(Move.LOST, PEER))
        node.mesh.events.close()
        heard = [event async for event in stream]
    assert [event.data.get("collection", event.kind) for event in heard] == told


@pytest.mark.parametrize(
    "query",
    [
        "?collection=a%20b",
        "?collection=",
        "?document=notes",
        "?collection=a&document=a/b",
        "?kinds=",
        "?kinds=documents",
        "?kinds=peer&collection=a",
        "?collection=a&collection=b",
        "?since=1",
    ],
)
async def test_a_wish_that_makes_no_sense_is_400(node, query):
    assert (await node.ask("GET", f"/events{query}")).status == 400


async def test_head_is_answered_and_methods_that_write_are_not(node):
    client = await node.connect_privately()
    async with client.stream:
        await client.say(b"HEAD /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await client.hear_all()).startswith(b"HTTP/1.1 200")
    assert node.mesh.events.reader_count == 0
    assert (await node.ask("POST", "/events")).status == 405


async def test_silence_is_broken_by_a_comment_that_says_where_we_are(node, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT", 0.02)
    async with following(node, "?document=tasks/b") as stream:
        await stream.next()
        begin(node.mesh.events, TODAY)
        for _ in range(3):
            beat = await stream.next()
        assert beat.fields == (("", ""), ("id", f"{node.mesh.events.instance}-1"))


async def test_changes_close_to_each_other_are_told_as_one(node):
    async with following(node) as stream:
        await stream.next()
        begin(node.mesh.events, TODAY)
        await stream.event()
        for _ in range(1000):
            node.mesh.events.changed(entry(TODAY), b"", None)
        begin(node.mesh.events, TASK)
        assert [(await stream.event()).data["type"] for _ in range(2)] == ["changed", "created"]


async def test_many_events_come_in_pieces(node):
    async with following(node) as stream:
        await stream.next()
        for number in range(1000):
            begin(node.mesh.events, document_name("notes", str(number)))
        assert [(await stream.event()).data["id"] for _ in range(1000)] == [str(number) for number in range(1000)]


async def test_a_stream_outlives_the_deadlines_of_other_answers(serve_with, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT", 0.08)
    async with serve_with(quick(idle=0.5, half_closed=0.01)) as node, following(node) as stream:
        for _ in range(10):
            await stream.next()
        begin(node.mesh.events, TODAY)
        assert (await stream.event()).kind == "document"


async def test_a_stream_makes_no_room_for_others(serve_with):
    async with serve_with(quick(connections=2, idle=600)) as node, following(node) as stream:
        await stream.next()
        silent = [await node.connect_privately() for _ in range(4)]
        for client in silent[:-2]:  # of those who say nothing there may be two, too
            assert await client.hear_all() == b""
        begin(node.mesh.events, TODAY)
        assert (await stream.event()).kind == "document"
        for client in silent:
            await client.stream.aclose()


async def test_readers_are_bounded(serve_with, monkeypatch):
    monkeypatch.setattr(events, "MAX_READERS", 1)
    assert Limits().connections == MAX_READERS * 2
    async with serve_with(quick(half_closed=0.01)) as node:
        async with following(node) as stream:
            await stream.next()
            refused = await node.ask("GET", "/events")
            assert (refused.status, refused.error["code"]) == (503, "too_many_readers")
        await _until_so_many_read(node, 0)
        async with following(node) as stream:
            await stream.next()


async def _until_so_many_read(node, count):
    with trio.fail_after(BOUNDED):
        while node.mesh.events.reader_count != count:
            await trio.testing.wait_all_tasks_blocked(0.001)


async def test_a_reader_that_left_is_forgotten(serve_with):
    async with serve_with(quick(half_closed=0.05)) as node, unharmed(node):
        async with following(node) as stream:
            await stream.next()
            assert node.mesh.events.reader_count == 1
        await _until_so_many_read(node, 0)


async def test_a_reader_that_stops_reading_is_cut_and_holds_nobody_up(serve_with):
    async with serve_with(quick(send=0.1, half_closed=0.01)) as node:
        before = await held_when_settled()
        async with following(node) as deaf, following(node, "?document=notes/today") as keen:
            await deaf.next()
            await keen.next()
            for number in range(4000):  # ten times what a socket holds
                begin(node.mesh.events, document_name("notes", f"{number}-{'x' * 200}"))
            begin(node.mesh.events, TODAY)
            assert (await keen.event()).data["id"] == "today"
            await _until_so_many_read(node, 1)
        await until_no_more_is_held_than(before)


async def test_the_end_of_the_node_ends_the_stream_in_order_and_at_once(serve_with):
    async with serve_with(quick(grace=60)) as node, following(node) as stream:
        await stream.next()
        begin(node.mesh.events, TODAY)
        node.mesh.events.close()
        node.serving.cancel()
        with trio.fail_after(BOUNDED):
            assert (await stream.event()).data["collection"] == "notes"
            with pytest.raises(EOFError):
                await stream.event()
            await node.stopped.wait()
    assert stream.has_ended


async def test_nobody_is_let_in_while_it_ends(node):
    node.mesh.events.close()
    assert (await node.ask("GET", "/events")).status == 503


async def test_a_stream_needs_the_token(node):
    client = await node.connect()
    async with client.stream:
        assert (await client.ask("GET", "/api/v1/events")).status == 401
        stream = await follow(client, headers={"Authorization": "Bearer the-token"})
        assert (stream.status, (await stream.next()).kind) == (200, "comment")


@pytest.mark.parametrize("move", list(Move))
def test_every_move_has_its_text(move):
    assert json.loads(peer_text(move, PEER)) == {"type": move.value, "peer": msgspec.to_builtins(PEER)}
