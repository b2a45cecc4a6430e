"""A stream of bytes through a WebSocket (RFC 6455): binary messages, whatever their borders.

An empty message ends one direction, as a FIN does: WebSocket's own close ends both. No extension is spoken: what is
inside is encrypted, and does not get smaller.
"""

import contextlib

import trio
from wsproto import WSConnection
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import ProtocolError

Carrier = trio.abc.Stream

_MESSAGE_BYTES = 64 * 1024
"""Sent as one: an intermediary may hold a message until it is whole."""
_READ_BYTES = 128 * 1024
_CLOSE_DEADLINE = 0.5
_NORMAL = 1000
_ENDS = (_NORMAL, 1001, 1005)
"""Codes of an end in order (RFC 6455 §7.4.1): done, going away, none."""


class WebSocketStream(trio.abc.HalfCloseableStream):
    """Either end of it, after the handshake.

    Args:
        connection: wsproto's, open; what came right behind the handshake may be in it.
    """

    def __init__(self, carrier: Carrier, connection: WSConnection) -> None:
        self._carrier = carrier
        self._connection = connection
        self._received = bytearray()
        self._message_bytes = 0
        self._has_ended = False
        self._sending = trio.StrictFIFOLock()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """`b""` after the end of that direction."""
        await self._take_events()
        while not self._received and not self._has_ended:
            received = await self._carrier.receive_some(_READ_BYTES)
            if not received:
                self._has_ended = True
                break
            self._feed(received)
            await self._take_events()
        if max_bytes is None or max_bytes >= len(self._received):
            taken, self._received = bytes(self._received), bytearray()
        else:
            taken = bytes(self._received[:max_bytes])
            del self._received[:max_bytes]
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with memoryview(data) as view:
            for start in range(0, len(view), _MESSAGE_BYTES):
                await self._send(BytesMessage(bytes(view[start : start + _MESSAGE_BYTES])))

    async def send_eof(self) -> None:
        await self._send(BytesMessage(b""))

    async def wait_send_all_might_not_block(self) -> None:
        await self._carrier.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        try:
            with trio.move_on_after(_CLOSE_DEADLINE), contextlib.suppress(trio.BrokenResourceError):
                if not self._sending.locked():
                    await self._send(CloseConnection(_NORMAL))
        finally:
            await self._carrier.aclose()

    async def _send(self, event: Event) -> None:
        async with self._sending:
            try:
                encoded = self._connection.send(event)
            except ProtocolError as exc:  # it was closed, by whichever side
                raise trio.BrokenResourceError("the WebSocket is closed") from exc
            await self._carrier.send_all(encoded)

    def _feed(self, received: bytes | bytearray) -> None:
        try:
            self._connection.receive_data(bytes(received))
        except ProtocolError as exc:
            raise trio.BrokenResourceError("the WebSocket broke: it does not follow RFC 6455") from exc

    async def _take_events(self) -> None:
        try:
            events = list(self._connection.events())
        except ProtocolError as exc:
            raise trio.BrokenResourceError("the WebSocket broke: it does not follow RFC 6455") from exc
        for event in events:
            match event:
                case BytesMessage() if not self._has_ended:
                    self._take(event)
                case TextMessage():
                    raise trio.BrokenResourceError("the WebSocket broke: a message of text")
                case Ping():
                    await self._send(event.response())
                case CloseConnection(code=code) if code in _ENDS:
                    self._has_ended = True
                case CloseConnection():  # the other side's, or wsproto's own word for what it could not read
                    raise trio.BrokenResourceError(f"the WebSocket broke: {event.code} {event.reason or ''}".rstrip())
                case _:
                    pass

    def _take(self, message: BytesMessage) -> None:
        """A message may come in parts, of which the last may be empty."""
        self._received += message.data
        self._message_bytes += len(message.data)
        if message.message_finished:
            self._has_ended = not self._message_bytes
            self._message_bytes = 0
