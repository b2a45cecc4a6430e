"""At the relay: the control connection of a registered node, until it ends."""

import trio

from peatd.errors import WireError
from peatd.relay.protocol import MAX_FRAME_BYTES, Accepted, Frames, Message, Ping, Pong, frame
from peatd.relay.switchboard import Seat

PING_INTERVAL = 20.0
"""Seconds: below what NATs and proxies let a silent connection live (RFC 5382 asks for hours, and 60 s are met)."""
SILENCE = 60.0
"""Seconds without an answer after which a registered node is taken for gone."""


async def attend(seat: Seat, stream: trio.abc.HalfCloseableStream) -> None:
    """Returns when the node has gone, is silent, or speaks nonsense: in each case there is nobody to tell."""
    try:
        await stream.send_all(frame(Accepted()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell, seat, stream)
            await _listen(stream)
            nursery.cancel_scope.cancel()
    except* (trio.BrokenResourceError, WireError):
        pass


async def _tell(seat: Seat, stream: trio.abc.HalfCloseableStream) -> None:
    """The one that sends on a control connection. Who is called all the time is pinged, too: only that is answered."""
    ping_at = trio.current_time()
    while True:
        told: list[Message] = [*seat.take()]
        if trio.current_time() >= ping_at:
            told.append(Ping())
            ping_at = trio.current_time() + PING_INTERVAL
        await stream.send_all(b"".join(map(frame, told)))
        with trio.move_on_at(ping_at):
            await seat.has_calls.wait()


async def _listen(stream: trio.abc.HalfCloseableStream) -> None:
    """Returns when the node has gone, or is silent."""
    frames = Frames()
    while True:
        with trio.move_on_after(SILENCE):
            received = await stream.receive_some(MAX_FRAME_BYTES)
            frames.receive(bytes(received))
            while (message := frames.next()) is not None:
                if not isinstance(message, Pong):
                    raise WireError(f"a {type(message).__name__} on a control connection")
            if received:
                continue
        return
