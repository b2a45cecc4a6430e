"""Bytes of memory that many use together: who finds none left waits for a while, in order, and is then refused."""

from collections import deque

import trio

from peatd.errors import Unavailable
from peatd.limits import Limit, LimitHits

PATIENCE = 5.0
"""Seconds to wait for room: longer than a burst lasts, shorter than callers wait for an answer."""


class ByteBudget:
    """A bound of bytes in use.

    Invariants:
        1. Never more is in use than there is: what is larger than all of it waits until it is alone.
        2. Nobody overtakes: a large one is not kept out by small ones.

    Attributes:
        size_bytes: of all.
        used_bytes: of what was taken and not given back.
    """

    def __init__(self, size_bytes: int, limit: Limit, hits: LimitHits) -> None:
        self.size_bytes = size_bytes
        self.used_bytes = 0
        self._limit = limit
        self._hits = hits
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    async def take(self, size_bytes: int) -> int:
        """Waits for room; what is to be given back.

        Raises:
            Unavailable: if there is none in time.
        """
        wanted = min(size_bytes, self.size_bytes)  # Invariant 1.
        if not self._waiting and self.used_bytes + wanted <= self.size_bytes:
            self.used_bytes += wanted
            return wanted
        self._hits.hit(self._limit, f"{self.used_bytes} bytes of {self.size_bytes} are in use: others wait, then fail")
        place = (wanted, trio.Event())
        self._waiting.append(place)
        try:
            with trio.move_on_after(PATIENCE):
                await place[1].wait()
        finally:
            if not place[1].is_set():
                self._waiting.remove(place)
                self._admit()  # the next may be smaller
        if not place[1].is_set():
            raise Unavailable("too much is being done at once for this node's memory: try again later")
        return wanted

    def give_back(self, size_bytes: int) -> None:
        self.used_bytes -= size_bytes
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.used_bytes + self._waiting[0][0] <= self.size_bytes:  # Invariant 2.
            wanted, admitted = self._waiting.popleft()
            self.used_bytes += wanted
            admitted.set()


class Holding:
    """What one user has taken of a budget.

    Invariants:
        1. What was taken is given back once: by `release`, whatever else happens.
    """

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._held_bytes = 0

    async def take(self, size_bytes: int) -> None:
        """Raises: Unavailable."""
        self._held_bytes += await self._budget.take(size_bytes)

    def release(self) -> None:
        held, self._held_bytes = self._held_bytes, 0
        if held:
            self._budget.give_back(held)
