"""One circuit at the relay: two streams, joined. What is in them it cannot read, and does not keep.

Rules:
1. Of each direction at most `CHUNK_BYTES` are here: the next are read when those are in the kernel's hands. So whoever
   reads slowly slows down whoever sends to it, and nobody else.
2. An end of one direction is passed on, and the other direction goes on.
3. A circuit on which nothing moves for `IDLE` is over: links ping every ten seconds.
"""

from collections.abc import Awaitable, Callable

import trio

CHUNK_BYTES = 256 * 1024
IDLE = 90.0
"""Seconds: three times what a link lets pass before it takes its peer for dead."""
_IDLE_PRECISION = 1.0
"""Seconds. To move a deadline with every chunk would be a sixteenth of a relay's work."""

Pay = Callable[[int], Awaitable[None]]
"""Is told of bytes before they are passed on, and may take its time."""


async def splice(
    one: trio.abc.HalfCloseableStream, other: trio.abc.HalfCloseableStream, pay_one: Pay, pay_other: Pay
) -> None:
    """Passes bytes on in both directions until both have ended, one broke, or nothing moves any more. Closes neither.

    Args:
        pay_one: for what `one` sends.
        pay_other: for what `other` sends.
    """
    with trio.CancelScope() as life:

        def renew() -> None:
            until = trio.current_time() + IDLE
            if until - life.deadline > _IDLE_PRECISION:
                life.deadline = until

        async def pass_on(source: trio.abc.HalfCloseableStream, sink: trio.abc.HalfCloseableStream, pay: Pay) -> None:
            try:
                while chunk := await source.receive_some(CHUNK_BYTES):
                    renew()
                    await pay(len(chunk))
                    await sink.send_all(chunk)
                    renew()
                await sink.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                life.cancel()

        life.deadline = trio.current_time() + IDLE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_on, one, other, pay_one)
            nursery.start_soon(pass_on, other, one, pay_other)
