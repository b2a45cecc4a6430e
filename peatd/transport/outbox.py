"""What a link's writer sends next: at most one ping, pong, batch and GOAWAY each, so it is bounded by its shape."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from peatd.wire.connection import frame
from peatd.wire.messages import Goaway, Message, Ping, Pong


@dataclass(frozen=True, slots=True)
class _Batch:
    frames: bytearray
    count: int
    sent: trio.Event = field(default_factory=trio.Event)


class Outbox:
    """Filled by a link's other tasks, emptied by its writer.

    A peer that pings faster than we can answer gets the last ping's answer only.

    Attributes:
        is_final: GOAWAY was taken; nothing may follow it.
    """

    def __init__(self) -> None:
        self.is_final = False
        self._ping: Ping | None = None
        self._pong: Pong | None = None
        self._batch: _Batch | None = None
        self._taken: _Batch | None = None
        self._goaway: Goaway | None = None
        self._filled = trio.Event()
        self._pings = 0
        self._pinged_at: float | None = None

    def put_ping(self) -> None:
        if self._ping is None:
            self._pings += 1
            self._ping = Ping(self._pings)
            self._filled.set()

    def put_pong(self, ping: Ping) -> None:
        self._pong = Pong(ping.token)
        self._filled.set()

    def put_goaway(self, goaway: Goaway) -> None:
        self._goaway = goaway
        self._filled.set()

    async def put_batch(self, batch: Sequence[Message]) -> None:
        """Waits until the batch was sent; for one task only.

        Raises:
            ValueError: if one of the messages is longer than a frame may be.
        """
        # Framed here and not by the writer, so that the writer outlives a batch that cannot be framed.
        self._batch = framed = _Batch(frame(batch), len(batch))
        self._filled.set()
        await framed.sent.wait()

    async def take(self) -> tuple[bytearray, int]:
        """The frames to send, and how many messages they are. Pongs and pings go first: they measure a latency."""
        await self._filled.wait()
        self._filled = trio.Event()
        small: list[Message] = []
        if self._pong is not None:
            small.append(self._pong)
        if self._ping is not None:
            small.append(self._ping)
            self._pinged_at = trio.current_time()
        self._ping = self._pong = None
        frames, count = frame(small), len(small)
        self._taken, self._batch = self._batch, None
        if self._taken is not None:
            frames, count = _joined(frames, self._taken.frames), count + self._taken.count
        if self._goaway is not None:
            self.is_final = True
            frames, count = _joined(frames, frame([self._goaway])), count + 1
        return frames, count

    def was_sent(self) -> None:
        """What `take` gave is in the socket's hands."""
        if self._taken is not None:
            self._taken.sent.set()

    def round_trip(self, pong: Pong, now: float) -> float | None:
        """Seconds since the ping that this answers; None if it answers none, or a ping that was overtaken."""
        if self._pinged_at is None or pong.token != self._pings:
            return None
        round_trip, self._pinged_at = now - self._pinged_at, None
        return round_trip


def _joined(frames: bytearray, more: bytearray) -> bytearray:
    if not frames:
        return more
    frames += more
    return frames
