"""Several attempts at one thing, of which the first that succeeds counts: "happy eyeballs" (RFC 8305, 5).

The next attempt begins when the last one has failed, or has made no progress for a moment. One that is connected holds
the others back for longer: a handshake takes a few round trips, and a peer is to be shaken hands with once. But not for
ever: whoever takes a connection and then says nothing must not hide an address that is good.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from peatd.errors import PeerError

T = TypeVar("T")

CONNECTION_DELAY = 0.25
"""Seconds without a connection, after which the next attempt begins beside it (RFC 8305, 5: 250 ms)."""

HANDSHAKE_DELAY = 2.0
"""Seconds without a link behind a connection: five round trips around the world, to a node that is busy."""


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """One of them.

    Attributes:
        run: sets the event when it is connected, if it ever is. Raises PeerError if it fails; is cancelled when
            another has succeeded.
        head_start: seconds that it has before the next one begins, unless it is connected or fails sooner.
    """

    run: Callable[[trio.Event], Awaitable[T]]
    head_start: float = CONNECTION_DELAY


class _Progress:
    def __init__(self) -> None:
        self.connected, self._failed = trio.Event(), trio.Event()

    def fail(self) -> None:
        self.connected.set()
        self._failed.set()

    async def holds_back(self, head_start: float) -> None:
        """Waits until the next attempt may begin."""
        with trio.move_on_after(head_start):
            await self.connected.wait()
        if self.connected.is_set():
            with trio.move_on_after(HANDSHAKE_DELAY):
                await self._failed.wait()


async def race(
    attempts: Sequence[Attempt[T]], discard: Callable[[T], Awaitable[None]]
) -> tuple[T | None, Sequence[PeerError]]:
    """The first success, if there is one, and the errors of those that failed before it, in the order of attempts.

    Args:
        discard: lets go of what succeeded in the same moment as another, or as the whole race was cancelled.
    """
    won: list[T] = []
    errors: dict[int, PeerError] = {}

    async def run(number: int, progress: _Progress) -> None:
        try:
            success = await attempts[number].run(progress.connected)
        except PeerError as exc:
            errors[number] = exc
            progress.fail()
            return
        won.append(success)
        nursery.cancel_scope.cancel()

    first: T | None = None
    try:
        async with trio.open_nursery() as nursery:
            for number, attempt in enumerate(attempts):
                progress = _Progress()
                nursery.start_soon(run, number, progress)
                await progress.holds_back(attempt.head_start)
        first = won.pop(0) if won else None
    finally:
        with trio.CancelScope(shield=True):
            for late in won:
                await discard(late)
    return first, [errors[number] for number in sorted(errors)]
