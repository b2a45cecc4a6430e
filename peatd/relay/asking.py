"""What a node asks of a relay, and what comes of it."""

from dataclasses import dataclass, field

import trio

from peatd.errors import RelayError, WireError
from peatd.relay.connecting import NOT_A_RELAY, TIMEOUT, Outward, connect
from peatd.relay.protocol import (
    ACCEPT,
    DIAL,
    MAX_FRAME_BYTES,
    REGISTER,
    Accepted,
    Challenge,
    Frames,
    Message,
    Op,
    Refused,
    Signer,
    frame,
)
from peatd.relay_url import RelayUrl

ASK_DEADLINE = 15.0
"""Seconds for challenge and answer. Of a dial this covers the other node's way to the relay, which has ten."""


@dataclass(slots=True)
class Conversation:
    """A connection to a relay that has been asked for something. `frames`: where its framing stands."""

    url: RelayUrl
    stream: trio.abc.HalfCloseableStream
    frames: Frames = field(default_factory=Frames)

    async def next(self) -> Message:
        """The relay's next message.

        Raises:
            RelayError: if there is none, or it is none.
        """
        try:
            while (message := self.frames.next()) is None:
                received = await self.stream.receive_some(MAX_FRAME_BYTES)
                if not received:
                    raise RelayError(f"{self.url}: it closed the connection", NOT_A_RELAY)
                self.frames.receive(bytes(received))
        except trio.BrokenResourceError as exc:
            raise RelayError(f"{self.url}: the connection was cut", NOT_A_RELAY) from exc
        except WireError as exc:
            raise RelayError(f"{self.url}: {exc}", NOT_A_RELAY) from exc
        if isinstance(message, Refused):
            raise RelayError(f"{self.url}: {message.message}", message.code)
        return message


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks in this node's name."""

    signer: Signer
    outward: Outward

    async def register(self, url: RelayUrl) -> Conversation:
        """A control connection.

        Raises:
            RelayError: with a code of `connecting.py` or of the relay's.
        """
        return await self._ask(url, REGISTER, self.signer.keypair.device_id)

    async def dial(self, url: RelayUrl, device_id: str) -> trio.abc.Stream:
        """A stream to whoever is registered under that id there: what it is worth, TLS has to show.

        Raises:
            RelayError: likewise.
        """
        return _circuit(await self._ask(url, DIAL, device_id))

    async def accept(self, url: RelayUrl, token: str) -> trio.abc.Stream:
        """The stream of somebody who has dialled us.

        Raises:
            RelayError: likewise.
        """
        return _circuit(await self._ask(url, ACCEPT, token))

    async def _ask(self, url: RelayUrl, op: Op, target: str) -> Conversation:
        stream = await connect(url, self.outward)
        conversation = Conversation(url, stream)
        has_accepted = False
        try:
            with trio.move_on_after(ASK_DEADLINE):
                challenge = await conversation.next()
                if not isinstance(challenge, Challenge):
                    raise RelayError(f"{url}: it does not begin as a relay does", NOT_A_RELAY)
                await _send(conversation, self.signer.request(op, target, str(url.address), challenge.nonce))
                has_accepted = isinstance(await conversation.next(), Accepted)
                if not has_accepted:
                    raise RelayError(f"{url}: it does not answer as a relay does", NOT_A_RELAY)
        finally:
            if not has_accepted:
                await trio.aclose_forcefully(stream)
        if not has_accepted:
            raise RelayError(f"{url}: no answer within {ASK_DEADLINE:.0f} s", TIMEOUT)
        return conversation


async def _send(conversation: Conversation, message: Message) -> None:
    try:
        await conversation.stream.send_all(frame(message))
    except trio.BrokenResourceError:
        # The relay has closed, and may have said why: what we read next tells.
        return


def _circuit(conversation: Conversation) -> trio.abc.Stream:
    early = conversation.frames.rest()
    return Begun(conversation.stream, early) if early else conversation.stream


class Begun(trio.abc.HalfCloseableStream):
    """A stream of which the first bytes were read already."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, early: bytes) -> None:
        self._stream = stream
        self._early = early

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._early:
            return await self._stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        cut = len(self._early) if max_bytes is None else max_bytes
        taken, self._early = self._early[:cut], self._early[cut:]
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
