"""Yjs clients that do what a test tells them, and a node for them, in one process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import wsproto
from fakes.replicas import Replica
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
)

from peatd.clients import frames, protocol
from peatd.clients.door import Door
from peatd.clients.listener import Reception, serve_clients
from peatd.clients.rooms import Rooms
from peatd.names import Address

API_TOKEN = "the-api-token"
KEY = bytes(range(32))


class FakeLine:
    """A line whose kernel takes what `capacity_bytes` allows; the rest waits. Implements `seat.Line`."""

    def __init__(self, capacity_bytes: int = 2**40) -> None:
        self.capacity_bytes = capacity_bytes
        self.waiting = bytearray()
        self._sent = bytearray()
        self.low_bytes, self.high_bytes = 64 * 1024, 1024 * 1024

    @property
    def has_room(self) -> bool:
        return len(self.waiting) < self.low_bytes

    @property
    def is_full(self) -> bool:
        return len(self.waiting) > self.high_bytes

    def send(self, data: bytes) -> None:
        self.send_parts(data)

    def send_parts(self, *parts: bytes) -> None:
        for part in parts:
            self.waiting += part
        self.flush()

    def flush(self) -> None:
        """Sends what the kernel takes now."""
        taken = self.waiting[: self.capacity_bytes]
        self.capacity_bytes -= len(taken)
        self._sent += taken
        del self.waiting[: len(taken)]

    def messages(self) -> list[bytes]:
        """What came through since the last call."""
        found = []
        position = 0
        while position < len(self._sent):
            length, start = self._sent[position + 1], position + 2
            if length == 126:
                length, start = int.from_bytes(self._sent[start : start + 2]), start + 2
            elif length == 127:
                length, start = int.from_bytes(self._sent[start : start + 8]), start + 8
            if start + length > len(self._sent):
                break
            assert self._sent[position:start] == frames.head(length)
            found.append(bytes(self._sent[start : start + length]))
            position = start + length
        del self._sent[:position]
        return found

    def said(self) -> list[protocol.Message]:
        return [protocol.decode(message) for message in self.messages()]


@dataclass
class Reply:
    """How a handshake was refused."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class WsClient:
    """A WebSocket client; `reply` if it was not let in."""

    stream: trio.SocketStream
    ws: wsproto.WSConnection
    reply: Reply | None = None
    subprotocol: str | None = None
    extensions: Sequence[object] = ()
    closed: tuple[int, str] | None = None
    pings: int = 0
    _messages: list[bytes] = field(default_factory=list)
    _part: bytearray = field(default_factory=bytearray)

    async def send(self, message: bytes) -> None:
        await self.stream.send_all(self.ws.send(BytesMessage(message)))

    async def send_event(self, event: Event) -> None:
        await self.stream.send_all(self.ws.send(event))

    async def receive(self) -> bytes:
        """The next message; fails when the connection is closed instead."""
        while not self._messages:
            assert self.closed is None, self.closed
            await self._hear()
        return self._messages.pop(0)

    async def said(self) -> protocol.Message:
        return protocol.decode(await self.receive())

    async def close_code(self) -> tuple[int, str]:
        """How the node closes the connection; messages before it are passed over."""
        while self.closed is None:
            await self._hear()
        return self.closed

    async def _hear(self) -> None:
        try:
            data = await self.stream.receive_some(65536)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            self.closed = self.closed or (1006, "")
            return
        self.ws.receive_data(bytes(data))
        for event in self.ws.events():
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case BytesMessage():
                self._part += event.data
                if event.message_finished:
                    self._messages.append(bytes(self._part))
                    self._part.clear()
            case CloseConnection():
                self.closed = (event.code, event.reason or "")
            case Ping():
                self.pings += 1
            case AcceptConnection():
                self.subprotocol, self.extensions = event.subprotocol, event.extensions
            case RejectConnection():
                headers = {name.decode().lower(): value.decode() for name, value in event.headers}
                self.reply = Reply(event.status_code, headers, "")
            case RejectData():
                assert self.reply is not None
                self.reply.text += bytes(event.data).decode()
            case Pong():
                pass


@dataclass
class Port:
    """A node's port for clients."""

    address: Address
    replica: Replica
    reception: Reception
    keys: list[bytes]

    @asynccontextmanager
    async def visit(
        self,
        path: str = "/sync/notes/a",
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        host: str | None = None,
        subprotocols: Sequence[str] = (),
        extensions: Sequence[wsproto.extensions.Extension] = (),
    ) -> AsyncIterator[WsClient]:
        """A client that has done its handshake, or was refused."""
        stream = await trio.open_tcp_stream(self.address.host, self.address.port)
        async with stream:
            client = WsClient(stream, wsproto.WSConnection(wsproto.ConnectionType.CLIENT))
            request = Request(
                host=host or str(self.address),
                target=path,
                extra_headers=list(headers),
                subprotocols=list(subprotocols),
                extensions=list(extensions),
            )
            await client.send_event(request)
            while client.ws.state is wsproto.connection.ConnectionState.CONNECTING:
                await client._hear()
            yield client


@asynccontextmanager
async def port(replica: Replica, *, loopback: bool = True, origins: Sequence[str] = ()) -> AsyncIterator[Port]:
    """Serves clients of a running replica, on a free port of 127.0.0.1."""
    reception = Reception(Rooms(replica.replication, replica.awareness), replica.drain)
    keys = [KEY]

    def door(_host: str) -> Door:
        return Door(API_TOKEN, lambda: keys, origins, loopback=loopback)

    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(serve_clients, Address("127.0.0.1", 0), reception, door)
        yield Port(addresses[0], replica, reception, keys)
        nursery.cancel_scope.cancel()
