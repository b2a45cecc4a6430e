"""Several attempts at one thing: each has a while for itself, then the next begins beside it; the first that succeeds
counts (what RFC 8305 does for addresses)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from peatd.errors import PeerError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """One of them. `head_start`: seconds that it has before the next one begins, unless it fails sooner."""

    run: Callable[[], Awaitable[T]]
    head_start: float


async def race(
    attempts: Sequence[Attempt[T]], discard: Callable[[T], Awaitable[None]]
) -> tuple[T | None, Sequence[PeerError]]:
    """The first success, if there is one, and the errors of those that failed before it, in their order.

    Args:
        discard: lets go of a success that came too late; must not fail.
    """
    won: list[T] = []
    errors: dict[int, PeerError] = {}
    try:
        async with trio.open_nursery() as nursery:

            async def run(number: int, over: trio.Event) -> None:
                try:
                    success = await attempts[number].run()
                except PeerError as exc:
                    errors[number] = exc
                    over.set()
                    return
                if won:
                    await discard(success)
                else:
                    won.append(success)
                    nursery.cancel_scope.cancel()

            for number, attempt in enumerate(attempts):
                over = trio.Event()
                nursery.start_soon(run, number, over)
                with trio.move_on_after(attempt.head_start):
                    await over.wait()
    except BaseException:
        for success in won:
            await discard(success)
        raise
    return (won[0] if won else None), [errors[number] for number in sorted(errors)]
