"""Server-Sent Events: whole, byte by byte, and with junk between."""

import pytest

from cli.event_stream import MAX_BYTES, Happened, Parser

STREAM = (
    b"retry: 1000\n:\nid: ab-1\n\n"
    b'event: document\nid: ab-2\ndata: {"type":"created"}\n\n'
    b":\nid: ab-9\n\n"
    b"event: reset\nid: cd-0\ndata: {}\n\n"
)
EVENTS = [Happened("document", "ab-2", b'{"type":"created"}'), Happened("reset", "cd-0", b"{}")]


def test_whole() -> None:
    parser = Parser()
    assert parser.feed(STREAM) == EVENTS
    assert parser.position == "cd-0"


def test_byte_by_byte() -> None:
    parser = Parser("ab-0")
    heard, positions = [], []
    for octet in STREAM:
        heard += parser.feed(bytes([octet]))
        positions.append(parser.position)
    assert heard == EVENTS
    assert list(dict.fromkeys(positions)) == ["ab-0", "ab-1", "ab-2", "ab-9", "cd-0"]


@pytest.mark.parametrize(
    "junk", [b"\n\n", b"what is this\n\n", b"future: field\n\n", b": words\n\n", b"\xff\xfe: \n\n"]
)
def test_what_it_does_not_know_it_passes_over(junk: bytes) -> None:
    assert Parser().feed(junk + STREAM + junk) == EVENTS


def test_without_an_end_it_gives_up() -> None:
    parser = Parser()
    parser.feed(b"x" * MAX_BYTES)
    with pytest.raises(ValueError, match="more than"):
        parser.feed(b"x")
