"""`peat docs`: documents as JSON."""

import json
import re

import pytest
from fakes.node_api import Document, FakeNode
from run_peat import Peat


def test_a_document_is_made_changed_read_and_deleted(peat: Peat, node: FakeNode) -> None:
    made = peat("docs", "put", "notes/a", '{"title": "x", "n": 1}')
    assert (made.code, made.out) == (0, "created notes/a, incarnation 1, durable\n")
    changed = peat("docs", "patch", "notes/a", '{"n": null}')
    assert (changed.code, changed.out) == (0, "changed notes/a, incarnation 1, durable\n")
    read = peat("docs", "get", "notes/a")
    assert (read.code, read.out) == (0, '{\n  "title": "x"\n}\n')
    gone = peat("docs", "delete", "notes/a")
    assert (gone.code, gone.out) == (0, "deleted notes/a\n")
    assert node.documents == {}


@pytest.mark.parametrize("verb", ["put", "patch"])
def test_a_dash_reads_stdin(peat: Peat, node: FakeNode, verb: str) -> None:
    assert peat("docs", verb, "notes/a", "-", stdin=b'\n{"caf\xc3\xa9": [1, 2]}\n').code == 0
    assert node.documents["notes/a"].value == {"café": [1, 2]}


def test_numbers_and_strings_stay_as_they_were_written(peat: Peat, node: FakeNode) -> None:
    precise = b'{"document":{"big":12345678901234567890123,"tiny":1e-400,"one":1.0,"s":"\\ud83d\\ude00"}}'
    node.canned["/api/v1/documents/notes/a"] = (200, precise)
    out = peat("docs", "get", "notes/a").out
    for kept in ("12345678901234567890123", "1e-400", "1.0", "\\ud83d\\ude00"):
        assert kept in out


@pytest.mark.parametrize("value", ["\x9b31m", "\x7f", "\u202eevil", "\U000e0001tag"])
def test_a_document_cannot_steer_the_terminal(peat: Peat, node: FakeNode, value: str) -> None:
    node.documents["notes/a"] = Document(1, 1, {"title": value, "é": "ü"})
    body = json.dumps({"document": {"title": value}}, ensure_ascii=False).encode()
    node.canned["/api/v1/documents/notes/a"] = (200, body)
    out = peat("docs", "get", "notes/a").out
    assert value not in out
    assert json.loads(out) == {"title": value}


def test_other_roots_are_mentioned_and_json_has_all(peat: Peat, node: FakeNode) -> None:
    node.documents["notes/a"] = Document(1, 1, {}, {"content": "hello", "tags": ["x"]})
    text = peat("docs", "get", "notes/a")
    assert text.out == "{}\n"
    assert "content, tags; --json" in text.err
    assert json.loads(peat("docs", "get", "notes/a", "--json").out)["roots"] == {"content": "hello", "tags": ["x"]}


def test_the_version_that_get_tells_guards_a_change(peat: Peat, node: FakeNode) -> None:
    node.documents["notes/a"] = Document(1, 1, {"n": 1})
    told = re.search(r'version ("\S+");', peat("docs", "get", "notes/a", "--etag").err)
    assert told is not None
    assert peat("docs", "put", "notes/a", '{"n": 2}', "--if-match", told[1]).code == 0
    late = peat("docs", "put", "notes/a", '{"n": 3}', "--if-match", told[1])
    assert late.code == 1
    assert "another version; someone changed it: `peat docs get --etag`" in late.err
    assert node.documents["notes/a"].value == {"n": 2}


@pytest.mark.parametrize(("given", "sent"), [("v1", '"v1"'), ('"v1"', '"v1"'), ("*", "*")])
def test_a_version_gets_its_quotes_back(peat: Peat, node: FakeNode, given: str, sent: str) -> None:
    node.documents["notes/a"] = Document(1, 1, {})
    assert peat("docs", "delete", "notes/a", "--if-match", given).code == 0
    assert node.requests[-1].headers["If-Match"] == sent


def test_an_acknowledgement_is_asked_for(peat: Peat, node: FakeNode) -> None:
    ended = peat("docs", "put", "notes/a", "{}", "--ack", "replicated:1", "--timeout", "2.5")
    assert ended.out == "created notes/a, incarnation 1, replicated:1\n"
    assert node.requests[-1].path == "/api/v1/documents/notes/a?ack=replicated%3A1&timeout=2.500000"


def test_a_rung_that_is_not_reached_is_4_and_says_which_was(peat: Peat, node: FakeNode) -> None:
    ended = peat("docs", "put", "notes/a", "{}", "--ack", "replicated:3", "--timeout", "1")
    assert (ended.code, ended.out) == (4, "")
    assert "replicated:3 was not reached" in ended.err
    assert "reached: durable" in ended.err
    assert "wait longer with --timeout, or for less with --ack" in ended.err
    assert "notes/a" in node.documents


@pytest.mark.parametrize("verb", ["get", "delete"])
def test_a_document_that_is_not_there_is_1(peat: Peat, node: FakeNode, verb: str) -> None:
    assert node.documents == {}
    ended = peat("docs", verb, "notes/a")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "peat: there is no document notes/a; `peat docs list` shows what is there\n"


def test_the_list_has_every_page(peat: Peat, node: FakeNode) -> None:
    names = [f"notes/{number:04}" for number in range(2500)]
    node.documents = dict.fromkeys(names, Document(1, 1, {}))
    lines = peat("docs", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "INCARNATION"]
    assert [line.split()[0] for line in lines[1:]] == names
    assert lines[1].split() == ["notes/0000", "1.23", "kB", "1"]
    pages = [json.loads(line) for line in peat("docs", "list", "--json").out.splitlines()]
    assert [len(page["documents"]) for page in pages] == [1000, 1000, 500]
    assert peat("docs", "list", "--after", "notes/2498").out.splitlines()[1].split()[0] == "notes/2499"


def test_the_list_of_one_collection(peat: Peat, node: FakeNode) -> None:
    node.documents = {"notes/a": Document(1, 1, {}), "tasks/b": Document(2, 1, {})}
    assert "tasks" not in peat("docs", "list", "notes").out
    assert peat("docs", "list", "none").out == "no documents\n"


@pytest.mark.parametrize("value", ["title: x", "[1]", "", "{'a': 1}", "{} {}", '{"n": NaN}', "\udcff"])
def test_what_is_not_a_json_object_is_2_before_anything_is_sent(peat: Peat, node: FakeNode, value: str) -> None:
    ended = peat("docs", "put", "notes/a", value)
    assert (ended.code, ended.out) == (2, "")
    assert "quote it for the shell" in ended.err
    assert node.requests == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "notes"),
        ("get", "notes/a/b"),
        ("get", "notes/"),
        ("get", "notes/ä"),
        ("put", "notes/a"),
        ("put", "notes/a", "{}", "--ack", "soon"),
        ("put", "notes/a", "{}", "--ack", "replicated:0"),
        ("put", "notes/a", "{}", "--timeout", "-1"),
        ("put", "notes/a", "{}", "--timeout", "nan"),
        ("put", "notes/a", "{}", "--timeout", "inf"),
        ("put", "notes/a", "{}", "--if-match", "a\nb"),
        ("put", "notes/a", "{}", "--if-match", ""),
        (),
    ],
)
def test_wrong_usage_is_2_before_anything_is_sent(peat: Peat, node: FakeNode, arguments: tuple[str, ...]) -> None:
    ended = peat("docs", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err
    assert node.requests == []
