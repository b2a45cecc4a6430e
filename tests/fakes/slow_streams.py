"""A line that takes its time: what is sent arrives later, in order."""

import math

import trio


class SlowStream(trio.abc.Stream):
    """One end.

    Attributes:
        sent_bytes: from here.
    """

    def __init__(self, latency: float) -> None:
        self.sent_bytes = 0
        self._latency = latency
        self._send, self._other_ends = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        self._peer: SlowStream | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.sent_bytes += len(data)
        self._send.send_nowait((trio.current_time() + self._latency, bytes(data)))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        assert self._peer is not None
        try:
            arrives_at, data = await self._peer._other_ends.receive()
        except trio.EndOfChannel:
            return b""
        await trio.sleep_until(arrives_at)
        return data

    async def aclose(self) -> None:
        await self._send.aclose()


def slow_stream_pair(latency: float) -> tuple[SlowStream, SlowStream]:
    """Two ends; `latency` seconds one way."""
    ours, theirs = SlowStream(latency), SlowStream(latency)
    ours._peer, theirs._peer = theirs, ours
    return ours, theirs
