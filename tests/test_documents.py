"""Documents through real engine processes: what is asked is answered, in order, whatever the engine suffers."""

import pycrdt
import pytest
import trio
from fakes.log import MemoryLog

from peatd.documents import Documents, Patch, Put
from peatd.engine.protocol import Frames
from peatd.errors import InvalidEdit, MalformedUpdate, MissingUpdates, Unavailable
from peatd.names import DocumentKey
from peatd.update import Reach, check
from peatd.worker_process import WorkerProcess

NOTE = DocumentKey("notes/a", 1)
OTHER = DocumentKey("notes/b", 1)


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture(params=["y-py", "pycrdt"])
async def documents(request, log, nursery):
    documents = Documents(log, engine=request.param)
    await nursery.start(documents.run)
    return documents


def recording(log, key):
    def then(news):
        if news.update:
            log.record(key, news.update)
        return news

    return then


async def test_edit_then_read(documents, log):
    news = await documents.edit(NOTE, Put({"a": {"b": 1}}), origin="test", then=recording(log, NOTE))

    assert not news.content.is_empty
    assert (await documents.read(NOTE, lambda json: json)).document == {"a": {"b": 1}}


async def test_update_reaches_another_document(documents, log):
    news = await documents.edit(NOTE, Put({"a": 1}), origin="test", then=recording(log, NOTE))

    assert await documents.apply(OTHER, news.update, origin="test", then=recording(log, OTHER)) == news
    assert (await documents.apply(OTHER, news.update, origin="test", then=recording(log, OTHER))).update == b""
    assert (await documents.read(OTHER, lambda json: json)).document == {"a": 1}


async def test_snapshot_and_diff_load_again(documents, log):
    await documents.edit(NOTE, Put({"a": 1}), origin="test", then=recording(log, NOTE))
    await documents.edit(NOTE, Patch({"a": 2}), origin="test", then=recording(log, NOTE))

    snapshot = await documents.snapshot(NOTE, bytes)
    await documents.apply(OTHER, snapshot, origin="test", then=recording(log, OTHER))

    assert (await documents.read(OTHER, lambda json: json)).document == {"a": 2}


async def test_document_loads_from_its_log(documents, log):
    await documents.edit(NOTE, Put({"a": 1}), origin="test", then=recording(log, NOTE))
    log.rows[OTHER] = log.rows[NOTE]

    assert (await documents.read(OTHER, lambda json: json)).document == {"a": 1}


async def test_refusals(documents, log):
    first = await documents.edit(NOTE, Put({"a": 1}), origin="test", then=recording(log, NOTE))
    second = await documents.edit(NOTE, Patch({"a": 2}), origin="test", then=recording(log, NOTE))

    with pytest.raises(MalformedUpdate):
        await documents.apply(NOTE, b"\x01", origin="test", then=recording(log, NOTE))
    with pytest.raises(MalformedUpdate):
        await documents.diff(NOTE, b"\x01", bytes)
    with pytest.raises(MissingUpdates) as missing:
        await documents.apply(OTHER, second.update, origin="test", then=recording(log, OTHER))
    assert missing.value.state_vector == b"\x00"
    for value in ({"s": "\ud800"}, {"n": float("nan")}):
        with pytest.raises(InvalidEdit):
            await documents.edit(NOTE, Put(value), origin="test", then=recording(log, NOTE))
    for value in ({"n": 2**60}, {"n": 2**70}, {"n": [-(2**70)]}):
        with pytest.raises(InvalidEdit, match=r"integer .*beyond 2\^53 - 1: write it as a string"):
            await documents.edit(NOTE, Put(value), origin="test", then=recording(log, NOTE))
    assert await documents.diff(NOTE, b"\x00", bytes) != first.update


async def test_not_running_is_unavailable(log):
    with pytest.raises(Unavailable):
        await Documents(log).read(NOTE, lambda json: json)


async def test_what_is_typed_is_sent_to_an_idle_engine_at_once_and_all_else_in_one_piece(documents, log, monkeypatch):
    sent, answered = [], []
    send_at_once = WorkerProcess.send_at_once

    def noted(process, data):
        sent.append(len(list(Frames().receive(bytes(data)))))
        return send_at_once(process, data)

    async def all_answered(count):
        while len(answered) < count:
            await trio.lowlevel.checkpoint()

    def submit(update):
        documents.submit(OTHER, update, origin="test", then=answered.append, failed=answered.append)

    typed = [pycrdt_update(client, "a") for client in (7, 8, 9)]
    pasted = [pycrdt_update(client, "a" * 3000) for client in (10, 11)]
    await documents.read(OTHER, lambda _: None)
    monkeypatch.setattr(WorkerProcess, "send_at_once", noted)
    for update in typed:
        submit(update)
    assert sent == [1], "before the loop has turned"
    await all_answered(3)
    assert sent[1] == 2
    sent.clear()
    for update in pasted:
        submit(update)
    assert sent == []
    await all_answered(5)
    assert sent[0] == 2
    assert not any(isinstance(one, Exception) for one in answered)


def pycrdt_update(client, text):
    doc = pycrdt.Doc({"t": pycrdt.Text()}, client_id=client)
    doc["t"] += text
    return doc.get_update()


async def test_submitted_updates_are_answered_in_order(documents, log):
    updates = [
        (await documents.edit(NOTE, Put({"n": n}), origin="test", then=recording(log, NOTE))).update for n in range(50)
    ]
    answered, failures, done = [], [], trio.Event()

    def then(news):
        answered.append(news.update)
        if len(answered) == len(updates):
            done.set()

    for update in updates:
        documents.submit(OTHER, update, origin="test", then=then, failed=failures.append)
        await documents.room(OTHER.name)
    await done.wait()

    assert answered == updates
    assert not failures


async def test_behind_the_answers_that_come_together_there_is_a_turn_and_before_it_nothing_else(documents, log):
    happened, watched = [], trio.Event()

    def turned():
        happened.append("turned")
        watched.set()

    documents.watch_turns(turned)
    for number in range(3):
        update = (await documents.edit(NOTE, Put({"n": number}), origin="test", then=recording(log, NOTE))).update
        happened.clear()
        documents.submit(OTHER, update, origin="test", then=lambda _: happened.append("merged"), failed=happened.append)
        while "merged" not in happened:
            watched = trio.Event()
            await watched.wait()
        assert happened[-2:] == ["merged", "turned"]


async def test_all_of_a_closed_document_in_one_piece_is_told_in_pieces_too(documents, log):
    news = await documents.edit(NOTE, Put({"a": 1}), origin="test", then=recording(log, NOTE))
    log.record(OTHER, news.update)
    told, done = [], trio.Event()

    def then(pieces):
        told.extend(pieces)
        done.set()

    documents.submit_diff(OTHER, b"\x00", piece_bytes=1000, origin="bob", then=then, failed=print)
    await done.wait()

    assert told == [news.update]


def pasted(size_bytes: int, words: int) -> bytes:
    """An update in which each word stands before the one that was written before it."""
    doc = pycrdt.Doc(client_id=7)
    doc["t"] = text = pycrdt.Text()
    with doc.transaction():
        for n in range(words):
            text.insert(0, f"{n} ".ljust(size_bytes // words))
    return bytes(doc.get_update())


async def test_a_large_update_comes_as_several_each_of_which_builds_on_those_before(documents, log):
    update = pasted(100_000, 1000)
    answered, done = [], trio.Event()

    def then(news):
        answered.append(news)
        done.set()

    documents.submit(NOTE, update, origin="test", then=then, failed=print, piece_bytes=10_000)
    await done.wait()

    (news,) = answered
    pieces = [news, *news.rest]
    assert len(pieces) > 5
    assert max(len(piece.update) for piece in pieces) < 15_000
    for piece in pieces:
        log.record(OTHER, piece.update)
    whole = await documents.diff(NOTE, b"\x00", bytes)
    assert await documents.diff(OTHER, b"\x00", bytes) == whole


async def test_a_large_update_is_merged_whole_or_not_at_all(documents, log):
    update, done, failures = pasted(100_000, 1000), trio.Event(), []
    bad = bytearray(update)
    bad[-2_000] ^= 0xFF  # no UTF-8 any more, in its last piece

    def failed(error):
        failures.append(error)
        done.set()

    documents.submit(NOTE, bytes(bad), origin="test", then=print, failed=failed, piece_bytes=10_000)
    await done.wait()

    assert isinstance(failures[0], MalformedUpdate)
    assert (await documents.read(NOTE, lambda json: json)).roots == {}


async def test_a_document_of_more_than_an_engine_takes_at_once_is_opened_and_folded(documents, log):
    update = pasted(40 * 2**20, 20_000)
    log.record(NOTE, update)

    snapshot = await documents.snapshot(NOTE, bytes)

    assert reached(snapshot).equals(reached(update))
    assert documents.status().restarts == 0


def reached(update):
    reach = Reach()
    reach.absorb(check(update, subdocuments=False))
    return reach
