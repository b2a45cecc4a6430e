"""Bytes through a WebSocket, whatever frames an intermediary makes of them. At the other end is another library."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Pong, Request

from peatd.relay.protocol import SUBPROTOCOL
from peatd.relay.upgrade import answer_websocket, ask_for_websocket
from peatd.relay.websocket import MAX_SIZES, WebSocketStream
from peatd.relay_url import RelayUrl

URL = RelayUrl.parse("http://relay.example.org")
RELAY, NODE = "relay", "node"


@dataclass(frozen=True)
class Wire:
    """A stream, and the other end of it as a script speaks it."""

    stream: WebSocketStream
    raw: trio.abc.Stream
    script: WSConnection

    async def say(self, *events: Event) -> None:
        await self.raw.send_all(b"".join(self.script.send(event) for event in events))

    async def hear(self) -> list[Event]:
        self.script.receive_data(bytes(await self.raw.receive_some()))
        return list(self.script.events())


async def opened(end: str) -> Wire:
    """The stream that a relay has, or a node."""
    return await (at_a_relay() if end == RELAY else at_a_node())


async def at_a_relay() -> Wire:
    carrier, raw = memory_stream_pair()
    script = WSConnection(ConnectionType.CLIENT)
    asked = script.send(Request(host="relay.example.org", target="/relay", subprotocols=[SUBPROTOCOL]))
    stream = await answer_websocket(carrier, asked)
    assert stream is not None
    script.receive_data(bytes(await raw.receive_some()))
    (accepted,) = script.events()
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == SUBPROTOCOL
    return Wire(stream, raw, script)


async def at_a_node(*early: Event) -> Wire:
    carrier, raw = memory_stream_pair()
    script = WSConnection(ConnectionType.SERVER)
    streams = []

    async def ask() -> None:
        streams.append(await ask_for_websocket(carrier, URL))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        script.receive_data(bytes(await raw.receive_some()))
        (asked,) = script.events()
        assert isinstance(asked, Request)
        assert (asked.host, asked.target, asked.subprotocols) == ("relay.example.org", "/relay", [SUBPROTOCOL])
        accepted = script.send(AcceptConnection(subprotocol=SUBPROTOCOL))
        await raw.send_all(accepted + b"".join(script.send(event) for event in early))
    return Wire(streams[0], raw, script)


both_ends = pytest.mark.parametrize("end", [RELAY, NODE])


@both_ends
async def test_a_message_may_come_in_parts_of_which_the_last_is_empty(end: str) -> None:
    wire = await opened(end)
    await wire.say(BytesMessage(b"ab", message_finished=False), Ping(), BytesMessage(b"c", message_finished=False))
    await wire.say(BytesMessage(b"", message_finished=True), BytesMessage(b"d"))
    assert await wire.stream.receive_some() == b"abcd"


@both_ends
async def test_an_empty_message_is_the_end_of_that_direction(end: str) -> None:
    wire = await opened(end)
    await wire.say(BytesMessage(b"last"), BytesMessage(b""), BytesMessage(b"ghost"))
    assert await wire.stream.receive_some() == b"last"
    assert await wire.stream.receive_some() == b""
    await wire.stream.send_all(b"still here")
    assert await wire.hear() == [BytesMessage(b"still here")]
    await wire.stream.send_eof()
    assert await wire.hear() == [BytesMessage(b"")]


@both_ends
async def test_a_close_is_the_end_and_is_answered_and_after_it_nothing_can_be_sent(end: str) -> None:
    wire = await opened(end)
    await wire.say(BytesMessage(b"last"), CloseConnection(1001, "bye"))
    assert await wire.stream.receive_some() == b"last"
    assert await wire.stream.receive_some() == b""
    assert await wire.hear() == [CloseConnection(1001, "bye")]
    with pytest.raises(trio.BrokenResourceError):
        await wire.stream.send_all(b"x")


@both_ends
async def test_a_close_that_names_a_fault_breaks_it(end: str) -> None:
    wire = await opened(end)
    await wire.say(CloseConnection(1011, "out of order"))
    with pytest.raises(trio.BrokenResourceError, match="1011 out of order"):
        await wire.stream.receive_some()


@both_ends
async def test_ours_says_that_it_closes(end: str) -> None:
    wire = await opened(end)
    await wire.stream.aclose()
    assert await wire.hear() == [CloseConnection(1000, "")]


@both_ends
async def test_pings_are_answered_while_somebody_reads(end: str) -> None:
    wire = await opened(end)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.stream.receive_some)
        await wire.say(Ping(b"p"))
        assert await wire.hear() == [Pong(b"p")]
        nursery.cancel_scope.cancel()


@both_ends
async def test_no_more_is_given_than_was_asked_for(end: str) -> None:
    wire = await opened(end)
    await wire.say(BytesMessage(b"ab"), BytesMessage(b"c"))
    assert await wire.stream.receive_some(2) == b"ab"
    assert await wire.stream.receive_some(2) == b"c"


async def test_what_a_relay_says_right_behind_the_handshake_is_read() -> None:
    wire = await at_a_node(BytesMessage(b"challenge"))
    assert await wire.stream.receive_some() == b"challenge"


def raw_frame(first: int, payload: bytes, *, is_masked: bool, size_bytes: int | None = None) -> bytes:
    """A frame whatever is wrong with it, and whatever length it gives itself; the mask is of noughts."""
    size = len(payload) if size_bytes is None else size_bytes
    mask_bit, mask = (0x80, bytes(4)) if is_masked else (0, b"")
    if size < 126:
        return bytes((first, mask_bit | size)) + mask + payload
    if size < 1 << 16:
        return bytes((first, mask_bit | 126)) + size.to_bytes(2, "big") + mask + payload
    return bytes((first, mask_bit | 127)) + size.to_bytes(8, "big") + mask + payload


FAULTS = {
    "reserved bits": ([(0xC2, b"x", None)], 1002),
    "no such opcode": ([(0x83, b"x", None)], 1002),
    "a part without a beginning": ([(0x80, b"x", None)], 1002),
    "a message within another": ([(0x02, b"x", None), (0x82, b"x", None)], 1002),
    "a long ping": ([(0x89, bytes(126), None)], 1002),
    "half a ping": ([(0x09, b"x", None)], 1002),
    "half a close code": ([(0x88, b"x", None)], 1002),
    "text": ([(0x81, b"x", None)], 1003),
    "longer than is taken": ([(0x82, b"", MAX_SIZES[1] + 1)], 1009),
    "as long as can be said": ([(0x82, b"", (1 << 63) - 1)], 1009),
}


@both_ends
@pytest.mark.parametrize("fault", FAULTS)
async def test_nonsense_breaks_it_and_is_told_by_its_code(end: str, fault: str) -> None:
    frames, code = FAULTS[fault]
    raw = b"".join(raw_frame(first, data, is_masked=end == RELAY, size_bytes=size) for first, data, size in frames)
    await breaks(end, raw, code)


@both_ends
async def test_only_what_a_client_sends_is_masked(end: str) -> None:
    await breaks(end, raw_frame(0x82, b"hello", is_masked=end == NODE), 1002)


async def breaks(end: str, raw: bytes, code: int) -> None:
    wire = await opened(end)
    await wire.raw.send_all(raw)
    with pytest.raises(trio.BrokenResourceError):
        await wire.stream.receive_some()
    await wire.stream.aclose()
    (close,) = await wire.hear()
    assert isinstance(close, CloseConnection)
    assert close.code == code


@given(
    messages=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=4).filter(any), max_size=6),
    pieces=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    end=st.sampled_from([RELAY, NODE]),
)
def test_an_intermediary_may_split_and_join_what_it_likes(
    messages: list[list[bytes]], pieces: list[int], end: str
) -> None:
    async def run() -> None:
        wire = await opened(end)
        sent = bytearray()
        for parts in messages:
            for number, part in enumerate(parts, start=1):
                sent += wire.script.send(BytesMessage(part, message_finished=number == len(parts)))
        sent += wire.script.send(BytesMessage(b""))
        received = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_pieces, wire.raw, bytes(sent), pieces)
            while taken := await wire.stream.receive_some(64):
                received += taken
        assert received == b"".join(part for parts in messages for part in parts)

    trio.run(run)


async def in_pieces(raw: trio.abc.Stream, sent: bytes, pieces: Sequence[int]) -> None:
    """Each piece arrives alone."""
    start = 0
    for size in itertools.cycle(pieces):
        if start >= len(sent):
            return
        await raw.send_all(sent[start : start + size])
        await trio.testing.wait_all_tasks_blocked()
        start += size


@given(junk=st.binary(max_size=600), end=st.sampled_from([RELAY, NODE]))
def test_whatever_comes_is_bytes_an_end_or_a_fault(junk: bytes, end: str) -> None:
    async def run() -> None:
        wire = await opened(end)
        await wire.raw.send_all(junk)
        await wire.raw.aclose()
        try:
            while await wire.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        await wire.stream.aclose()

    trio.run(run)


@both_ends
async def test_much_goes_through_in_messages_of_a_moderate_size(end: str) -> None:
    """None is larger than other releases take, or than an intermediary may be asked to hold."""
    wire = await opened(end)
    data = random.Random(1).randbytes(2_000_000)
    sizes = []
    heard = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.stream.send_all, data)
        while len(heard) < len(data):
            for event in await wire.hear():
                assert isinstance(event, BytesMessage)
                heard += event.data
                sizes.append(len(event.data))
    assert heard == data
    assert max(sizes) <= MAX_SIZES[1] // 2


REQUEST = "GET /relay HTTP/1.1\r\nHost: h\r\n"
UPGRADE = f"{REQUEST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEYED = f"{UPGRADE}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
OURS = f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (f"{REQUEST}\r\n", b"426"),
        (f"{UPGRADE}{OURS}\r\n", b"400"),
        (f"{KEYED}\r\n", b"400"),
        (f"{KEYED}Sec-WebSocket-Protocol: chat\r\n\r\n", b"400"),
        (f"{KEYED}{OURS}X: {'x' * 9000}\r\n\r\n", b"431"),
    ],
    ids=["no upgrade", "no key", "no subprotocol", "another's subprotocol", "a long header"],
)
async def test_who_asks_for_something_else_is_told(request_head: str, status: bytes) -> None:
    carrier, raw = memory_stream_pair()
    assert await answer_websocket(carrier, request_head.encode()) is None
    assert (await raw.receive_some()).split()[1] == status


@pytest.mark.parametrize(
    "frame", [b"\xff\xff\xff", raw_frame(0x88, b"", is_masked=True), raw_frame(0x89, b"", is_masked=True)]
)
@pytest.mark.parametrize("head", [f"{KEYED}{OURS}\r\n", f"{REQUEST}\r\n"], ids=["ours", "no upgrade"])
async def test_who_speaks_on_before_it_is_answered_is_not_listened_to(head: str, frame: bytes) -> None:
    carrier, _raw = memory_stream_pair()
    assert await answer_websocket(carrier, head.encode() + frame) is None


async def test_a_request_without_end_is_given_up() -> None:
    carrier, raw = memory_stream_pair()
    await raw.send_all(b"X: y\r\n" * 10_000)
    assert await answer_websocket(carrier, b"GET / HTTP/1.1\r\n") is None
