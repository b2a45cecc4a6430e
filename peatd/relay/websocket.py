"""A stream of bytes through a WebSocket (RFC 6455): binary messages, whatever their borders.

An empty message ends one direction, as a FIN does: WebSocket's own close ends both. No extension is spoken: what is
inside is encrypted, and does not get smaller.
"""

import contextlib

import trio
from websockets.exceptions import InvalidState
from websockets.frames import OK_CLOSE_CODES, CloseCode, Frame, Opcode
from websockets.protocol import Protocol
from websockets.typing import BytesLike

Carrier = trio.abc.Stream

_MESSAGE_BYTES = 129 * 1024
"""Sent as one: an intermediary may hold a message until it is whole. What a TLS stream encrypts at once makes two, with
the headers of its records. Half of it costs a tenth of the throughput, twice as much gains none."""
_READ_BYTES = 128 * 1024
"""At once: as tiny frames, which nobody sends who means well, it takes a tenth of a second."""
MAX_SIZES = (None, 2 * _MESSAGE_BYTES)
"""Bytes of a message, of which none is kept, and of a frame, which is kept until it is whole: other releases may send
more, and an intermediary may join what it finds split."""
_CLOSE_DEADLINE = 0.5

# glibc gives memory back to the system, and takes it anew page by page, for each block that is larger than the largest
# that was ever freed: that took longer than all else that is done here with the bytes (mallopt(3), M_MMAP_THRESHOLD).
bytearray(1024 * 1024)


class WebSocketStream(trio.abc.HalfCloseableStream):
    """Either end of it, after the handshake.

    Args:
        protocol: open; what came right behind the handshake may be in it.

    Invariants:
        1. Of what has come, no more is here than one frame and what was read at once.
    """

    def __init__(self, carrier: Carrier, protocol: Protocol) -> None:
        self._carrier = carrier
        self._protocol = protocol
        self._received = b""
        self._message_bytes = 0
        self._has_ended = False
        self._sending = trio.StrictFIFOLock()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """`b""` after the end of that direction."""
        if self._received:
            await trio.lowlevel.checkpoint()
        else:
            await self._take_frames()
        while not self._received and not self._has_ended:
            received = await self._carrier.receive_some(_READ_BYTES)
            if not received:
                self._has_ended = True
                break
            self._protocol.receive_data(received)
            await self._take_frames()
        cut = len(self._received) if max_bytes is None else max_bytes
        taken, self._received = self._received[:cut], self._received[cut:]
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with memoryview(data) as view:
            for start in range(0, len(view), _MESSAGE_BYTES):
                await self._send(view[start : start + _MESSAGE_BYTES])

    async def send_eof(self) -> None:
        await self._send(b"")

    async def wait_send_all_might_not_block(self) -> None:
        await self._carrier.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        try:
            with trio.move_on_after(_CLOSE_DEADLINE), contextlib.suppress(trio.BrokenResourceError):
                if not self._sending.locked():
                    with contextlib.suppress(InvalidState):  # it is closing already, by whichever side
                        self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
                    await self._send_owed()
        finally:
            await self._carrier.aclose()

    async def _send(self, message: bytes | memoryview) -> None:
        async with self._sending:
            try:
                self._protocol.send_binary(message)
            except InvalidState as exc:
                raise trio.BrokenResourceError("the WebSocket is closed") from exc
            await self._pass_on()

    async def _send_owed(self) -> None:
        async with self._sending:
            await self._pass_on()

    async def _pass_on(self) -> None:
        encoded = b"".join(self._protocol.data_to_send())
        if encoded:
            await self._carrier.send_all(encoded)

    async def _take_frames(self) -> None:
        """What the library has decoded; it has answered pings and a close, and may have found a fault."""
        payloads: list[BytesLike] = []
        is_answered = False
        for frame in self._protocol.events_received():
            match frame:
                case Frame(opcode=Opcode.BINARY | Opcode.CONT) if not self._has_ended:
                    payloads.append(frame.data)
                    self._count(frame)
                case Frame(opcode=Opcode.TEXT):
                    self._protocol.fail(CloseCode.UNSUPPORTED_DATA)
                    raise trio.BrokenResourceError("the WebSocket broke: a message of text")
                case Frame(opcode=Opcode.PING | Opcode.CLOSE):
                    is_answered = True
        self._received = b"".join(payloads)
        if is_answered:
            await self._send_owed()
        self._look_for_the_end()

    def _count(self, frame: Frame) -> None:
        """A message may come in parts, of which the last may be empty."""
        self._message_bytes += len(frame.data)
        if frame.fin:
            self._has_ended = not self._message_bytes
            self._message_bytes = 0

    def _look_for_the_end(self) -> None:
        if fault := self._protocol.parser_exc:
            raise trio.BrokenResourceError("the WebSocket broke: it does not follow RFC 6455") from fault
        close = self._protocol.close_rcvd
        if close is None:
            return
        if close.code not in OK_CLOSE_CODES:
            raise trio.BrokenResourceError(f"the WebSocket broke: {close.code} {close.reason}".rstrip())
        self._has_ended = True
