"""Several attempts at one thing, of which the first that succeeds counts: "happy eyeballs" (RFC 8305, 5).

The next attempt begins when the last one has failed, or has made no progress for a moment. One that is connected holds
the others back for longer: a handshake takes a few round trips, and a peer is to be shaken hands with once. But not for
ever: whoever takes a connection and then says nothing must not hide an address that is good.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import trio

Target = TypeVar("Target")
Won = TypeVar("Won")

CONNECTION_DELAY = 0.25
"""Seconds without a connection, after which the next attempt begins beside it (RFC 8305, 5: 250 ms)."""

HANDSHAKE_DELAY = 2.0
"""Seconds without a link behind a connection: five round trips around the world, to a node that is busy."""


class Attempt(Generic[Target]):
    """One of them. Whoever makes it sets `connected` when it is."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.connected = trio.Event()
        self.failed = trio.Event()

    async def holds_back(self) -> None:
        """Waits until the next attempt may begin."""
        with trio.move_on_after(CONNECTION_DELAY):
            await self.connected.wait()
        if self.connected.is_set():
            with trio.move_on_after(HANDSHAKE_DELAY):
                await self.failed.wait()


async def race(
    targets: Sequence[Target],
    attempt: Callable[[Attempt[Target]], Awaitable[Won | None]],
    surplus: Callable[[Won], Awaitable[None]],
) -> Won | None:
    """What the first attempt to succeed gave, or None if none did.

    Args:
        attempt: gives None if it fails. It is cancelled when another has succeeded.
        surplus: takes what an attempt gives that succeeded in the same moment as another.
    """
    won: list[Won] = []

    async def run(one: Attempt[Target]) -> None:
        result = await attempt(one)
        if result is None:
            one.connected.set()
            one.failed.set()
        elif won:
            with trio.CancelScope(shield=True):
                await surplus(result)
        else:
            won.append(result)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for target in targets:
            one = Attempt(target)
            nursery.start_soon(run, one)
            await one.holds_back()
    return won[0] if won else None
