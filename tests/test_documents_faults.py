"""Documents when the engine dies, hangs, panics or is stopped: the innocent are answered, the culprit is set aside."""

import os
import signal
import sys
from pathlib import Path

import pytest
import trio
import y_py
from fakes import fragile_engine
from fakes.fragile_engine import ABORT, BOAST, GARBLE, LOOP, PANIC, POISON, REPEAT, UNREADABLE
from fakes.log import MemoryLog

from peatd.documents import Documents, Put
from peatd.errors import Barred, Quarantined, Unavailable
from peatd.names import DocumentKey
from peatd.update import Reach

NOTE = DocumentKey("notes/a", 1)
OTHER = DocumentKey("notes/b", 1)
FRAGILE = (sys.executable, fragile_engine.__file__)


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def shrunk():
    return {}


@pytest.fixture
async def documents(log, shrunk, nursery):
    documents = Documents(log, command=FRAGILE, deadline=0.2, shrunk=shrunk.__setitem__)
    await nursery.start(documents.run)
    return documents


def saying(*words: bytes, client: int = 1) -> list[bytes]:
    """One update for each word, as a Yjs program would send it."""
    doc, updates = y_py.YDoc(client), []
    subscription = doc.observe_after_transaction(lambda event: updates.append(bytes(event.get_update())))
    text = doc.get_text("text")
    for word in words:
        with doc.begin_transaction() as transaction:
            text.insert(transaction, 0, word.decode())
    del subscription
    return [update for update in updates if update != b"\x00\x00"]


def recording(log, key):
    def then(news):
        if news.update:
            log.record(key, news.update)
        return news

    return then


async def apply(documents, log, key, update):
    return await documents.apply(key, update, origin="bob", then=recording(log, key))


async def text_of(documents, key):
    view = await documents.read(key, lambda view: view)
    return view.roots.get("text", "")


@pytest.mark.parametrize("word", [PANIC, ABORT, LOOP, GARBLE, BOAST, REPEAT])
async def test_culprit_is_set_aside_and_the_innocent_are_answered(documents, log, word):
    await apply(documents, log, NOTE, *saying(b"before"))
    (culprit,) = saying(word, client=2)
    outcomes = []

    for update in saying(b"1", b"2", b"3", client=3):
        documents.submit(NOTE, update, origin="eve", then=recording(log, NOTE), failed=outcomes.append)
        await documents.room(NOTE.name)
    documents.submit(NOTE, culprit, origin="eve", then=outcomes.append, failed=outcomes.append)
    await documents.room(NOTE.name)
    for update in saying(b"4", b"5", b"6", client=4):
        documents.submit(OTHER, update, origin="eve", then=recording(log, OTHER), failed=outcomes.append)
        await documents.room(OTHER.name)

    assert await text_of(documents, OTHER) == "654"
    assert sorted(await text_of(documents, NOTE)) == sorted("before321")
    assert [type(outcome) for outcome in outcomes] == [Quarantined]
    (set_aside,) = log.quarantined
    assert (set_aside.key, set_aside.update, set_aside.origin, set_aside.seq) == (NOTE, culprit, "eve", None)
    assert set_aside.reason
    assert documents.status().ready
    assert documents.status().quarantined == 1


async def test_known_culprit_does_not_kill_again(documents, log):
    (culprit,) = saying(ABORT)
    with pytest.raises(Quarantined):
        await apply(documents, log, NOTE, culprit)
    restarts = documents.status().restarts

    with pytest.raises(Quarantined):
        await apply(documents, log, NOTE, culprit)

    assert documents.status().restarts == restarts
    assert len(log.quarantined) == 2


@pytest.mark.parametrize("word", [PANIC, ABORT, LOOP])
async def test_row_of_the_log_that_kills_is_found_and_the_rest_loads(documents, log, shrunk, word):
    for update in [*saying(b"1", b"2"), *saying(word, client=2), *saying(b"3", client=3)]:
        log.record(NOTE, update)

    assert sorted(await text_of(documents, NOTE)) == sorted("213")
    assert [(culprit.origin, culprit.seq) for culprit in log.quarantined] == [("log", 3)]
    assert Reach.decode(shrunk[NOTE]).state_vector() == bytes.fromhex("0201020301")


async def test_poison_that_only_shows_in_the_snapshot_is_found_and_set_aside(documents, log, shrunk):
    for update in [*saying(b"1", b"2"), *saying(POISON, client=2), *saying(b"3", client=3)]:
        await apply(documents, log, NOTE, update)

    snapshot = await documents.snapshot(NOTE, bytes)

    assert POISON not in snapshot
    assert sorted(await text_of(documents, NOTE)) == sorted("213")
    assert [(culprit.origin, culprit.seq) for culprit in log.quarantined] == [("log", 3)]
    assert NOTE in shrunk


async def test_snapshot_that_kills_makes_one_document_unavailable(documents, log):
    log.snapshots[NOTE] = saying(ABORT)[0]

    for _ in range(2):
        with pytest.raises(Unavailable):
            await text_of(documents, NOTE)
    restarts = documents.status().restarts
    await apply(documents, log, OTHER, *saying(b"x"))

    assert await text_of(documents, OTHER) == "x"
    assert documents.status().restarts == restarts
    assert not log.quarantined


async def test_reading_that_hangs_blames_no_update_and_is_not_tried_again(documents, log):
    await apply(documents, log, NOTE, *saying(UNREADABLE))

    with pytest.raises(Barred, match="not tried again until the document has changed"):
        await text_of(documents, NOTE)
    assert documents.status().restarts == 1
    with pytest.raises(Barred, match="not tried again until the document has changed"):
        await text_of(documents, NOTE)

    assert documents.status().restarts == 1
    assert not log.quarantined


async def test_what_cannot_be_read_is_tried_again_when_it_has_changed_and_less_and_less_often(documents, log):
    await apply(documents, log, NOTE, *saying(UNREADABLE))
    changes = saying(*(b"%d" % n for n in range(6)), client=2)
    restarts = []

    for change in [None, *changes]:
        if change:
            await apply(documents, log, NOTE, change)
        with pytest.raises(Barred):
            await text_of(documents, NOTE)
        restarts.append(documents.status().restarts)

    assert restarts == [1, 2, 2, 3, 3, 3, 3]


async def test_an_update_that_hangs_costs_its_deadline_once(documents, log):
    await apply(documents, log, NOTE, *saying(b"before"))

    with pytest.raises(Quarantined):
        await apply(documents, log, NOTE, *saying(LOOP, client=2))

    assert documents.status().restarts == 1
    assert await text_of(documents, NOTE) == "before"


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=lambda sign: sign.name)
async def test_end_from_outside_is_nobodys_fault(documents, log, sign):
    outcomes, done = [], trio.Event()

    def then(news):
        log.record(NOTE, news.update)
        outcomes.append(news)
        if len(outcomes) == 500:
            done.set()

    updates = saying(*[b"x"] * 500)
    for number, update in enumerate(updates):
        documents.submit(NOTE, update, origin="bob", then=then, failed=outcomes.append)
        await documents.room(NOTE.name)
        if number == 250:
            os.kill(documents.pids()[0], sign)
    await done.wait()

    assert await text_of(documents, NOTE) == "x" * 500
    assert not log.quarantined
    assert documents.status().restarts >= 1


async def test_a_process_that_was_stopped_is_replaced_long_before_its_deadline(log, nursery):
    documents = Documents(log, deadline=600.0)
    await nursery.start(documents.run)
    await apply(documents, log, NOTE, *saying(b"x"))
    os.kill(documents.pids()[0], signal.SIGSTOP)

    with trio.fail_after(30):
        assert await text_of(documents, NOTE) == "x"

    assert documents.status().restarts == 1
    assert not log.quarantined


async def test_edit_that_kills_is_set_aside(documents, log):
    await apply(documents, log, NOTE, *saying(UNREADABLE))

    with pytest.raises(Quarantined):
        await documents.edit(NOTE, Put({"a": 1}), origin="api", then=recording(log, NOTE))

    assert log.quarantined[0].update == b'{"a":1}'


async def test_no_process_is_left_behind(log):
    documents = Documents(log, workers=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(documents.run)
        pids = documents.pids()
        assert len(pids) == 2
        nursery.cancel_scope.cancel()

    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(Unavailable):
        await text_of(documents, NOTE)


async def test_worker_dies_with_its_node(tmp_path):
    script = tmp_path / "node.py"
    script.write_text(
        "import os, signal, sys, trio\n"
        "from fakes.log import MemoryLog\n"
        "from peatd.documents import Documents\n"
        "async def main():\n"
        "    documents = Documents(MemoryLog())\n"
        "    async with trio.open_nursery() as nursery:\n"
        "        await nursery.start(documents.run)\n"
        "        os.kill(documents.pids()[0], signal.SIGSTOP)\n"
        "        print(documents.pids()[0], flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "trio.run(main)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    node = await trio.run_process([sys.executable, script], capture_stdout=True, check=False, env=environment)
    pid = int(node.stdout)

    with trio.fail_after(30):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            await trio.lowlevel.wait_readable(fd)
        finally:
            os.close(fd)


async def test_worker_that_has_grown_too_large_is_replaced(log, nursery):
    documents = Documents(log, memory_bytes=32 * 1024 * 1024, deadline=0.2)
    await nursery.start(documents.run)
    await documents.edit(NOTE, Put({"a": 1}), origin="api", then=recording(log, NOTE))
    large = os.pidfd_open(documents.pids()[0])

    with trio.fail_after(30):
        await trio.lowlevel.wait_readable(large)
    os.close(large)

    assert (await documents.read(NOTE, lambda view: view)).document == {"a": 1}
    assert not log.quarantined
