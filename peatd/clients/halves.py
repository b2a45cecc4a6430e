"""Messages that are half here: how much memory all clients' together may take.

A client that was away for long sends all that it made meanwhile as one message, as large as a document. So one may be
that large; but not everybody's at once. Past the budget a message waits where it is, in the client's own memory, until
one that was begun before it is whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio

from peatd.limits import Limit, LimitHits

BUDGET_BYTES = 128 * 1024 * 1024
"""Two of the largest messages."""
_SMALL_BYTES = 64 * 1024
"""Of a message, that it may have in any case: an update while somebody types has a hundred."""
DEADLINE = 60.0
"""Seconds in which a message becomes whole when others wait for it: the largest at 1 MB/s."""


@dataclass(slots=True, eq=False)
class Half:
    """A message that is not whole yet.

    Attributes:
        give_up: ends the connection that it comes from.
    """

    since: float
    give_up: Callable[[], None]
    size_bytes: int = 0


class Halves:
    """All of them that are not small, those that were begun first standing first.

    Invariants:
        1. `_total_bytes` is what they have together.
        2. The first may always go on; so all become whole, or are given up.
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES, hits: LimitHits | None = None) -> None:
        self._budget_bytes = budget_bytes
        self._hits = hits or LimitHits()
        self._halves: dict[Half, None] = {}
        self._total_bytes = 0
        self._waiting = 0
        self._has_changed = trio.Event()

    def grew(self, half: Half, size_bytes: int) -> None:
        """More of it is here: `size_bytes` in all."""
        if size_bytes > _SMALL_BYTES:
            self._halves[half] = None
            self._total_bytes += size_bytes - half.size_bytes
            half.size_bytes = size_bytes

    def ended(self, half: Half | None) -> None:
        """It is whole, or never will be."""
        if half is not None and half in self._halves:
            del self._halves[half]
            self._total_bytes -= half.size_bytes
            self._has_changed.set()
            self._has_changed = trio.Event()

    async def room(self, half: Half) -> None:
        """Returns when more of it may come."""
        while half in self._halves and self._total_bytes > self._budget_bytes and half is not self._first():
            self._waiting += 1
            self._hits.hit(
                Limit.CLIENT_MESSAGES, f"messages of {self._total_bytes} bytes are half here: more has to wait"
            )
            try:
                await self._has_changed.wait()
            finally:
                self._waiting -= 1

    def tick(self, now: float) -> None:
        """Once a second or so: gives up the first if it takes too long and others wait."""
        if self._waiting and now - self._first().since > DEADLINE:
            self._first().give_up()

    def _first(self) -> Half:
        return next(iter(self._halves))
