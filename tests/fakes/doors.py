"""Every door of a live node by which an update can come, each as somebody who may use it does: the link of a peer, the
raw route, a client of y-websocket and one of Hocuspocus.

A door is opened for one document, and sends updates. It says nothing of what became of one: the node takes it, refuses
it or sets it aside. Who was sent away for it hears `SentAway` with the next.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio
import trio.lowlevel
import wsproto
from e2e.nodes import Node
from fakes.links import credentials, hello
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, Request

from peatd.clients import hocuspocus, protocol
from peatd.formation import parse_formation_secret
from peatd.lib0 import write_string
from peatd.names import Address
from peatd.transport import converse, initiate
from peatd.wire.messages import Message, Updates

PATIENCE = 60.0
ANSWERS = (200, 201, 409, 410, 413, 422, 503)

Send = Callable[[bytes], Awaitable[None]]
Door = Callable[[str], AbstractAsyncContextManager[Send]]


class SentAway(Exception):
    """The node has closed the connection."""


class Member:
    """The exchange of a member: says what it is told to, as fast as it is taken, and hears nothing."""

    def __init__(self) -> None:
        self._said, self._saying = trio.open_memory_channel[Message](0)

    async def say(self, message: Message) -> None:
        await self._said.send(message)

    async def received(self, message: Message) -> None:
        """Forgets it."""

    async def run(self) -> None:
        """Has nothing to do."""

    async def next_batch(self) -> Sequence[Message]:
        return [await self._saying.receive()]


@asynccontextmanager
async def member(node: Node, secret: str, name: str) -> AsyncIterator[Member]:
    """A real link to the node, over TLS and with the proof."""
    address = Address.parse(node.mesh)
    (decoded,) = parse_formation_secret(secret, "test")
    with trio.fail_after(PATIENCE):
        stream = await trio.open_tcp_stream(address.host, address.port)
        link = await initiate(stream, credentials(name, decoded), hello(name), address)
    exchange = Member()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(converse, link, exchange)
        yield exchange
        nursery.cancel_scope.cancel()


async def shout(address: str, junk: bytes) -> bool:
    """Says this to a port, without any manners; whether the port ended it."""
    to = Address.parse(address)
    stream = await trio.open_tcp_stream(to.host, to.port)
    async with stream:
        try:
            await stream.send_all(junk)
            await stream.send_eof()
            with trio.move_on_after(PATIENCE) as patience:
                while await stream.receive_some():
                    pass
        except trio.BrokenResourceError:
            return True
    return not patience.cancelled_caught


def peer(exchange: Member) -> Door:
    """The link of a member; it stays open, whatever came over it."""
    versions = itertools.count(1)

    @asynccontextmanager
    async def opened(document: str) -> AsyncIterator[Send]:
        async def send(update: bytes) -> None:
            with trio.fail_after(PATIENCE):
                await exchange.say(Updates(document, 1, next(versions), 0, [update]))

        yield send

    return opened


def raw_route(node: Node) -> Door:
    """`POST …/updates` on the unix socket."""

    @asynccontextmanager
    async def opened(document: str) -> AsyncIterator[Send]:
        with node.connection(PATIENCE) as connection:

            async def send(update: bytes) -> None:
                path = f"documents/{document}/updates?ack=applied"
                reply = await trio.to_thread.run_sync(connection.ask, "POST", path, update)
                assert reply.status in ANSWERS, reply

            yield send

    return opened


def y_websocket(node: Node) -> Door:
    """A stock client's connection, named in the URL."""

    @asynccontextmanager
    async def opened(document: str) -> AsyncIterator[Send]:
        async with _connected(node, f"/sync/{document}") as say:

            async def send(update: bytes) -> None:
                await say(protocol.update(update))

            yield send

    return opened


def hocuspocus_client(node: Node) -> Door:
    """A stock client's connection, on which the document is asked for."""

    @asynccontextmanager
    async def opened(document: str) -> AsyncIterator[Send]:
        async with _connected(node, "/hocuspocus") as say:
            prefix = hocuspocus.prefix(document)
            token = bytearray((hocuspocus.AUTH, 0))
            write_string(token, "")
            await say(prefix + token)

            async def send(update: bytes) -> None:
                await say(prefix + protocol.update(update))

            yield send

    return opened


@asynccontextmanager
async def _connected(node: Node, path: str) -> AsyncIterator[Send]:
    """A WebSocket. What is said is known to have been read before the next is."""
    address = Address.parse(node.stated()["clients"])
    with trio.fail_after(PATIENCE):
        stream = await trio.open_tcp_stream(address.host, address.port)
    async with stream:
        ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)

        async def hear(wanted: Callable[[object], bool]) -> None:
            """Until this is heard."""
            while True:
                received = await stream.receive_some()
                ws.receive_data(bytes(received) or None)
                for event in ws.events():
                    if isinstance(event, Ping):
                        await stream.send_all(ws.send(event.response()))
                    if isinstance(event, CloseConnection):
                        raise SentAway(event.reason)
                    if wanted(event):
                        return

        async def say(message: bytes) -> None:
            with trio.fail_after(PATIENCE):
                try:
                    await stream.send_all(ws.send(BytesMessage(message)) + ws.send(Ping()))
                    await hear(lambda event: isinstance(event, Pong))
                except trio.BrokenResourceError as exc:
                    raise SentAway("cut") from exc

        await stream.send_all(ws.send(Request(host=str(address), target=path)))
        with trio.fail_after(PATIENCE):
            await hear(lambda _: ws.state is not ConnectionState.CONNECTING)
        yield say
