"""`peat docs watch` and `peat peers --watch`: what is said on which stream, and how it goes on and ends."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes.node_api import Document, FakeNode, peer
from run_peat import PROGRAM, TIME_LIMIT, Peat, PeatProcess

BOB = "dd8bee9a97c7384d26559b05dd8bb87e"


def event(number: int, kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\nid: 00ff00ff-{number}\ndata: {json.dumps(data)}\n\n".encode()


def document(number: int, change: str, name: str, origin: str | None = None, incarnation: int = 1) -> bytes:
    collection, _, document_id = name.partition("/")
    data = {"type": change, "collection": collection, "id": document_id, "incarnation": incarnation}
    return event(number, "document", data | {"etag": None if change == "deleted" else '"v1"', "origin": origin})


def reset(number: int, reason: str) -> bytes:
    return event(number, "reset", {"reason": reason})


class Watching:
    """A `peat` that runs until it is told to stop."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def lines(self, count: int) -> list[str]:
        """The next lines on stdout."""
        assert self.process.stdout is not None
        return [self.process.stdout.readline().rstrip("\n") for _ in range(count)]

    def notes(self, count: int) -> list[str]:
        """The next lines on stderr."""
        assert self.process.stderr is not None
        return [self.process.stderr.readline().rstrip("\n") for _ in range(count)]

    def interrupt(self) -> tuple[int, str, str]:
        """As Ctrl-C does; its exit code, and what else it said."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=TIME_LIMIT)
        return self.process.returncode, out, err


@contextmanager
def watching(environ: dict[str, str], *arguments: str) -> Iterator[Watching]:
    pipe = subprocess.PIPE
    with subprocess.Popen((*PROGRAM, *arguments), env=environ, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Watching(process)
        finally:
            process.kill()


def test_a_line_per_event_and_a_quiet_end(node: FakeNode, environ: dict[str, str]) -> None:
    node.peers = [peer("peat-mesh-1")]
    node.streams = [
        document(2, "created", "notes/a")
        + document(3, "changed", "notes/a", BOB)
        + document(4, "deleted", "notes/a", "ee" * 16, incarnation=2)
    ]
    with watching(environ, "docs", "watch") as it:
        assert it.lines(3) == [
            "created notes/a, incarnation 1, here",
            "changed notes/a, incarnation 1, from peat-mesh-1",
            f"deleted notes/a, incarnation 2, from {'ee' * 16}",
        ]
        assert it.interrupt() == (130, "", "")
    assert node.requests[0].path == "/api/v1/events?kinds=document"


@pytest.mark.parametrize(("what", "query"), [("notes", "collection=notes"), ("notes/a", "document=notes%2Fa")])
def test_what_is_named_is_asked_for(node: FakeNode, environ: dict[str, str], what: str, query: str) -> None:
    node.documents["notes/a"] = Document(1, 1, {})
    node.streams = [document(2, "changed", "notes/a")]
    with watching(environ, "docs", "watch", what) as it:
        it.lines(1)
        assert it.interrupt()[0] == 130
    assert node.requests[0].path == f"/api/v1/events?{query}"


def test_as_json_each_line_is_an_event_and_says_where_to_go_on(node: FakeNode, environ: dict[str, str]) -> None:
    node.streams = [document(2, "created", "notes/a") + reset(3, "behind")]
    with watching(environ, "docs", "watch", "--json", "--since", "00ff00ff-1") as it:
        created, gone = map(json.loads, it.lines(2))
        assert (created["event"], created["id"], created["data"]["type"]) == ("document", "00ff00ff-2", "created")
        assert gone == {"event": "reset", "id": "00ff00ff-3", "data": {"reason": "behind"}}
        assert "too much has changed" in it.notes(1)[0]
    assert node.requests[0].headers["Last-Event-ID"] == "00ff00ff-1"


def test_of_one_document_all_is_shown_whenever_it_is_another(node: FakeNode, environ: dict[str, str]) -> None:
    node.documents["notes/a"] = Document(1, 1, {"n": 1})
    node.streams = [document(2, "changed", "notes/a")]
    with watching(environ, "docs", "watch", "notes/a") as it:
        assert "".join(it.lines(3)) == '{  "n": 1}'
        assert it.notes(1) == ["peat: changed notes/a, incarnation 1, here"]
        code, out, _ = it.interrupt()
        assert (code, out) == (130, ""), "what is the same is not shown again"


def test_of_one_document_other_roots_are_shown_too(node: FakeNode, environ: dict[str, str]) -> None:
    node.documents["notes/a"] = Document(1, 1, {}, {"content": "hello"})
    with watching(environ, "docs", "watch", "notes/a") as it:
        assert json.loads("".join(it.lines(6))) == {"document": {}, "roots": {"content": "hello"}}


def test_a_document_that_is_not_there_is_waited_for(node: FakeNode, environ: dict[str, str]) -> None:
    with watching(environ, "docs", "watch", "notes/a") as it:
        assert it.notes(1) == ["peat: there is no document notes/a now; waiting for it"]
        assert it.interrupt()[:2] == (130, "")


def test_a_document_that_cannot_be_read_for_now_is_waited_for(node: FakeNode, environ: dict[str, str]) -> None:
    node.documents["notes/a"] = Document(1, 1, {"n": 1})
    node.streams = [document(2, "changed", "notes/a")]
    node.released.clear()
    unreadable = b'{"error": {"code": "barred", "message": "the engine cannot read it", "hint": "h"}}'
    node.canned["/api/v1/documents/notes/a"] = (503, unreadable)
    with watching(environ, "docs", "watch", "notes/a") as it:
        assert it.notes(1)[0].startswith("peat: the engine cannot read it; ")
        del node.canned["/api/v1/documents/notes/a"]
        node.released.set()
        assert "".join(it.lines(3)) == '{  "n": 1}'
        assert it.interrupt()[0] == 130


def test_it_goes_on_where_it_was_and_says_what_is_missing(node: FakeNode, environ: dict[str, str]) -> None:
    node.streams = [
        document(7, "created", "notes/a"),
        reset(9, "restarted") + document(10, "created", "notes/b"),
        document(11, "changed", "notes/b"),
    ]
    with watching(environ, "docs", "watch") as it:
        assert it.lines(3) == [
            "created notes/a, incarnation 1, here",
            "created notes/b, incarnation 1, here",
            "changed notes/b, incarnation 1, here",
        ]
        assert it.notes(5) == [
            "peat: the daemon went away; trying again",
            "peat: the daemon answers again",
            "peat: reset: the daemon was restarted, and what changed meanwhile is not known; "
            "look again at what matters",
            "peat: the daemon went away; trying again",
            "peat: the daemon answers again",
        ]
    asked = [request.headers.get("Last-Event-ID") for request in node.requests if "events" in request.path]
    assert asked == [None, "00ff00ff-7", "00ff00ff-10"]


@pytest.mark.parametrize("verb", [("docs", "watch"), ("peers", "--watch")])
def test_nobody_there_at_first_is_3(peat: Peat, environ: dict[str, str], verb: tuple[str, ...]) -> None:
    ended = peat(*verb, "--api", "unix:/nonexistent")
    assert (ended.code, ended.out) == (3, "")


@pytest.mark.parametrize("verb", [("docs", "watch"), ("peers", "--watch")])
@pytest.mark.parametrize(("status", "code"), [(401, 1), (400, 1), (503, 4)])
def test_a_refusal_ends_it(peat: Peat, node: FakeNode, verb: tuple[str, ...], status: int, code: int) -> None:
    node.canned["/api/v1/events"] = (status, b'{"error": {"code": "c", "message": "m", "hint": "h"}}')
    ended = peat(*verb)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("peat: m; ")


def test_what_is_no_stream_of_events_ends_it(peat: Peat, node: FakeNode) -> None:
    node.canned["/api/v1/events"] = (200, b"x" * 5_000_000)
    assert peat("docs", "watch").code == 4


@pytest.mark.parametrize("arguments", [("no name",), ("a/b/c",), ("a/ä",), ("--since", "x y"), ("a", "b")])
def test_wrong_usage_is_2(peat_process: PeatProcess, node: FakeNode, arguments: tuple[str, ...]) -> None:
    ended = peat_process("docs", "watch", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert node.requests == []


@pytest.mark.parametrize("verb", [("docs", "watch"), ("peers", "--watch")])
def test_it_ends_when_its_reader_leaves_although_nothing_happens(
    node: FakeNode, environ: dict[str, str], verb: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    asked = node.expect_requests(1)
    with subprocess.Popen((*PROGRAM, *verb), env=environ, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        assert asked.wait(TIME_LIMIT)
        os.close(reader)
        _, err = process.communicate(timeout=TIME_LIMIT)
    assert (process.returncode, err) == (141, b"")


def test_peers_are_printed_again_when_something_happens(node: FakeNode, environ: dict[str, str]) -> None:
    node.peers = [peer("peat-mesh-1")]
    node.streams = [event(2, "peer", {"type": "found", "peer": peer("peat-mesh-2")})]
    node.released.clear()
    with watching(environ, "peers", "--watch") as it:
        heading, row = it.lines(2)
        assert (heading[:3], row.split()[0]) == ("ID ", "peat-mesh-1")
        node.peers.append(peer("peat-mesh-2"))
        node.released.set()
        empty, heading, *rows = it.lines(4)
        assert (empty, heading[:3], [row.split()[0] for row in rows]) == ("", "ID ", ["peat-mesh-1", "peat-mesh-2"])
        assert it.interrupt() == (130, "", "")


def test_peers_are_followed_through_a_restart(node: FakeNode, environ: dict[str, str]) -> None:
    node.peers = [peer("peat-mesh-1")]
    node.streams = [b":\n\n", reset(2, "restarted")]
    with watching(environ, "peers", "--watch") as it:
        notes = it.notes(3)
        assert notes[:2] == ["peat: the daemon went away; trying again", "peat: the daemon answers again"]
        assert notes[2].startswith("peat: reset: the daemon was restarted")
        assert it.lines(2)[1].split()[0] == "peat-mesh-1"


def test_peers_as_json_are_one_body_per_line(node: FakeNode, environ: dict[str, str]) -> None:
    node.peers = [peer("peat-mesh-1", future="field")]
    with watching(environ, "peers", "--watch", "--json") as it:
        assert json.loads(it.lines(1)[0]) == {"peers": node.peers, "count": 1}
        assert it.interrupt() == (130, "", "")


class Terminal:
    """A `peat` on a terminal of its own."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        self._end, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (10, 150))
        self.process = subprocess.Popen((*PROGRAM, *arguments), env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._heard = b""

    @property
    def seen(self) -> str:
        return self._heard.decode(errors="replace")  # the last character may be half there

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            self._heard += os.read(self._end, 65536)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self._end, (rows, columns))
        self.process.send_signal(signal.SIGWINCH)

    def end(self, number: signal.Signals) -> int:
        """Its exit code; all that it has written is in `seen`."""
        self.process.send_signal(number)
        with contextlib.suppress(OSError):  # EIO: nobody is left at the other end
            while octets := os.read(self._end, 65536):
                self._heard += octets
        os.close(self._end)
        return self.process.wait(TIME_LIMIT)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_on_a_terminal_the_table_is_replaced_and_the_terminal_given_back(
    node: FakeNode, environ: dict[str, str], number: signal.Signals, code: int
) -> None:
    node.peers = [peer("peat-mesh-1")]
    node.streams = [event(2, "peer", {"type": "found", "peer": peer("peat-mesh-2")})]
    node.released.clear()
    terminal = Terminal(environ, "peers", "--watch")
    terminal.read_until("peat-mesh-1")
    node.peers.append(peer("peat-mesh-2"))
    node.released.set()
    terminal.read_until("peat-mesh-2")
    terminal.resize(6, 40)
    terminal.read_until("more lines: make the window higher")
    assert terminal.end(number) == code
    enter, leave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
    before, shown, after = terminal.seen.partition(enter)[0], *terminal.seen.partition(enter)[2].split(leave)
    assert before == ""
    assert "\x1b[2J" not in shown, "it does not flicker"
    assert shown.count("\x1b[H") >= 3
    assert "peat-mesh-2" in after, "what was shown last stays"
    assert "Traceback" not in terminal.seen
