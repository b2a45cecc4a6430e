"""Framing: the same messages come out however the stream was cut up, and nothing is kept that was not checked."""

import itertools
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd.errors import WireError
from peatd.wire.connection import Connection, frame
from peatd.wire.messages import MAX_FRAME_BYTES, Goaway, Message, Piece, Ping, Pong, Tombstone, Updates, encode

CONVERSATION: list[Message] = [
    Ping(1),
    Updates("notes/a", 1, 2, 3, [b"x" * 300, b"", b"y"]),
    Tombstone("notes/b", 4),
    Pong(1),
]


def test_a_frame_is_a_length_and_a_message() -> None:
    assert frame([Ping(7)]).hex() == "00000003" + "920207"


def test_many_messages_are_one_send() -> None:
    assert frame(CONVERSATION) == b"".join(frame([message]) for message in CONVERSATION)
    assert frame([]) == b""


def test_whole() -> None:
    assert Connection().receive(frame(CONVERSATION)) == CONVERSATION


def test_byte_by_byte() -> None:
    connection = Connection()
    messages = [message for byte in frame(CONVERSATION) for message in connection.receive(bytes([byte]))]
    assert messages == CONVERSATION


@given(st.lists(st.integers(0, 400)))
def test_cut_up_anyhow(cuts: list[int]) -> None:
    frames, connection = frame(CONVERSATION), Connection()
    bounds = [0, *sorted(min(cut, len(frames)) for cut in cuts), len(frames)]
    messages: list[Message] = []
    for start, end in itertools.pairwise(bounds):
        messages += connection.receive(frames[start:end])
    assert messages == CONVERSATION


def test_a_message_of_the_largest_size_arrives() -> None:
    overhead = len(encode(Piece("notes/a", 1, 2, 3, 4, 5, b"x" * 70_000))) - 70_000
    largest = Piece("notes/a", 1, 2, 3, 4, 5, b"x" * (MAX_FRAME_BYTES - overhead))
    assert len(frame([largest])) == MAX_FRAME_BYTES + 4
    assert Connection().receive(frame([largest])) == [largest]


def test_a_larger_one_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="Piece"):
        frame([Ping(1), Piece("notes/a", 1, 2, 3, 4, 5, b"x" * MAX_FRAME_BYTES)])


@pytest.mark.parametrize("declared", [MAX_FRAME_BYTES + 1, 2**31, 2**32 - 1])
def test_a_declared_length_is_checked_before_its_bytes_come(declared: int) -> None:
    tracemalloc.start()
    with pytest.raises(WireError, match=str(declared)):
        Connection().receive(declared.to_bytes(4, "big"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < MAX_FRAME_BYTES


def test_a_length_that_comes_in_parts_is_checked_too() -> None:
    connection = Connection()
    assert connection.receive(b"\xff\xff") == []
    with pytest.raises(WireError):
        connection.receive(b"\xff\xff")


@pytest.mark.parametrize("junk", [b"\x00\x00\x00\x00", b"\x00\x00\x00\x01\xc0", b"GET / HTTP/1.1\r\n\r\n"])
def test_junk_behind_a_message_is_a_wire_error(junk: bytes) -> None:
    with pytest.raises(WireError):
        Connection().receive(frame([Ping(1)]) + junk)


def test_a_broken_connection_stays_broken() -> None:
    connection = Connection()
    with pytest.raises(WireError):
        connection.receive(b"\x00\x00\x00\x01\xc0")
    with pytest.raises(WireError):
        connection.receive(frame([Ping(1)]))


@given(st.binary(max_size=200), st.integers(1, 50))
def test_whatever_the_bytes_nothing_but_a_wire_error(junk: bytes, step: int) -> None:
    connection = Connection()
    try:
        for start in range(0, len(junk), step):
            connection.receive(junk[start : start + step])
    except WireError:
        return


def test_a_message_that_comes_in_small_parts_costs_linear_time() -> None:
    def seconds(size_bytes: int) -> float:
        frames = bytes(frame([Piece("notes/a", 1, 2, 3, 4, 5, b"x" * size_bytes)]))
        connection, began = Connection(), time.process_time()
        for start in range(0, len(frames), 10):
            connection.receive(frames[start : start + 10])
        return time.process_time() - began

    # Ten times as much: ten times as long, and not a hundred.
    assert seconds(1_000_000) < 40 * min(seconds(100_000) for _ in range(3))


def test_received_messages_keep_nothing_of_the_buffer() -> None:
    buffer = frame([Goaway("shutdown", "bye"), Updates("notes/a", 1, 2, 3, [b"kept"])])
    messages = Connection().receive(buffer)
    buffer[:] = bytes(len(buffer))
    assert messages == [Goaway("shutdown", "bye"), Updates("notes/a", 1, 2, 3, [b"kept"])]
