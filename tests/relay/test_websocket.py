"""Bytes through a WebSocket, whatever frames an intermediary makes of them."""

import pytest
import trio
from trio.testing import memory_stream_pair
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Pong, Request, TextMessage

from peatd.relay.websocket import WebSocketStream


def opened() -> tuple[WSConnection, WSConnection]:
    client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.send(Request(host="h", target="/")))
    list(server.events())
    client.receive_data(server.send(AcceptConnection()))
    list(client.events())
    return client, server


class Wire:
    """A stream, and the other end of it as a script speaks it."""

    def __init__(self) -> None:
        carrier, self.raw = memory_stream_pair()
        self.script, connection = opened()
        self.stream = WebSocketStream(carrier, connection)

    async def say(self, *events: Event) -> None:
        await self.raw.send_all(b"".join(self.script.send(event) for event in events))

    async def hear(self) -> list[Event]:
        self.script.receive_data(bytes(await self.raw.receive_some()))
        return list(self.script.events())


async def test_a_message_may_come_in_parts_of_which_the_last_is_empty() -> None:
    wire = Wire()
    await wire.say(BytesMessage(b"ab", message_finished=False), BytesMessage(b"c", message_finished=False))
    await wire.say(BytesMessage(b"", message_finished=True), BytesMessage(b"d"))
    assert await wire.stream.receive_some() == b"abcd"


async def test_an_empty_message_is_the_end_of_that_direction() -> None:
    wire = Wire()
    await wire.say(BytesMessage(b"last"), BytesMessage(b""))
    assert await wire.stream.receive_some() == b"last"
    assert await wire.stream.receive_some() == b""
    await wire.stream.send_all(b"still here")
    assert await wire.hear() == [BytesMessage(b"still here")]
    await wire.stream.send_eof()
    assert await wire.hear() == [BytesMessage(b"")]


async def test_a_close_is_the_end_and_after_it_nothing_can_be_sent() -> None:
    wire = Wire()
    await wire.say(CloseConnection(1000))
    assert await wire.stream.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await wire.stream.send_all(b"x")


async def test_pings_are_answered_while_somebody_reads() -> None:
    wire = Wire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.stream.receive_some)
        await wire.say(Ping(b"p"))
        assert await wire.hear() == [Pong(b"p")]
        nursery.cancel_scope.cancel()


async def test_no_more_is_given_than_was_asked_for() -> None:
    wire = Wire()
    await wire.say(BytesMessage(b"abc"))
    assert await wire.stream.receive_some(2) == b"ab"
    assert await wire.stream.receive_some(2) == b"c"


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff", b"\x82\x05hello"], ids=["junk", "unmasked"])
async def test_nonsense_breaks_it(nonsense: bytes) -> None:
    wire = Wire()
    await wire.raw.send_all(nonsense)
    with pytest.raises(trio.BrokenResourceError):
        await wire.stream.receive_some()


async def test_text_breaks_it() -> None:
    wire = Wire()
    await wire.say(TextMessage("hello"))
    with pytest.raises(trio.BrokenResourceError):
        await wire.stream.receive_some()
