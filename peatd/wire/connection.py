"""Framing: bytes of a stream to messages and back. Sans-IO.

A frame is the length of what follows, 4 bytes big-endian, and one message (`messages.py`). The length is checked
before anything is kept for it.
"""

from collections.abc import Iterable

from peatd.errors import WireError
from peatd.wire.messages import MAX_FRAME_BYTES, Message, decode, encode_into

LENGTH_BYTES = 4


class Connection:
    """The receiving half of one link's stream.

    Invariants:
        1. `_partial` holds at most one frame that is not complete, hence at most `MAX_FRAME_BYTES` and its length.
        2. Each byte is copied once at most before it is decoded, however the stream is cut up.
        3. After a `WireError` the stream's frame boundaries are unknown: every later call raises it too.
    """

    def __init__(self) -> None:
        self._partial = bytearray()
        self._broken: WireError | None = None

    def receive(self, received: bytes | bytearray | memoryview) -> list[Message]:
        """Takes the next bytes of the stream; returns the messages that they complete, in order.

        Raises:
            WireError: if they are not our protocol. Complete messages before the fault are lost with it: the link ends.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return self._receive(memoryview(received))
        except WireError as exc:
            self._broken = exc
            raise

    def _receive(self, received: memoryview) -> list[Message]:
        messages: list[Message] = []
        if self._partial:
            received = received[self._top_up(received, LENGTH_BYTES) :]
            if len(self._partial) < LENGTH_BYTES:
                return messages
            end = LENGTH_BYTES + _declared_length(self._partial)
            received = received[self._top_up(received, end) :]
            if len(self._partial) < end:
                return messages
            # Invariant 2: it is decoded from here, and the rest from `received` itself.
            with memoryview(self._partial) as frame:
                messages.append(decode(frame[LENGTH_BYTES:]))
            self._partial = bytearray()
        at = 0
        while len(received) - at >= LENGTH_BYTES:
            start = at + LENGTH_BYTES
            end = start + _declared_length(received[at:start])
            if end > len(received):
                break
            messages.append(decode(received[start:end]))
            at = end
        self._partial += received[at:]
        return messages

    def _top_up(self, received: memoryview, wanted: int) -> int:
        """Moves bytes into `_partial` until it has `wanted`; returns how many."""
        taken = min(max(wanted - len(self._partial), 0), len(received))
        self._partial += received[:taken]
        return taken


def frame(messages: Iterable[Message]) -> bytearray:
    """The frames of the messages, one behind the other: what one `send_all` takes.

    Raises:
        ValueError: if a message is longer than a frame may be: its maker did not cut it up.
    """
    frames = bytearray()
    for message in messages:
        start = len(frames)
        frames += bytes(LENGTH_BYTES)
        encode_into(message, frames)
        length = len(frames) - start - LENGTH_BYTES
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a {type(message).__name__} of {length} bytes: a frame has {MAX_FRAME_BYTES} at most")
        frames[start : start + LENGTH_BYTES] = length.to_bytes(LENGTH_BYTES, "big")
    return frames


def _declared_length(frames: bytearray | memoryview) -> int:
    length = int.from_bytes(frames[:LENGTH_BYTES], "big")
    if length > MAX_FRAME_BYTES:
        raise WireError(f"a frame that says it has {length} bytes: at most {MAX_FRAME_BYTES} are allowed")
    return length
