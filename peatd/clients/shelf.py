"""Diffs on their way to clients: how much memory all of them may take together.

One is as large as a document, and stays as long as the slowest client needs that is sent it. Past the budget, who needs
another one waits; and whoever takes too long then has to go.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio

from peatd.limits import Limit, LimitHits

BUDGET_BYTES = 128 * 1024 * 1024
"""Unless less was said: two of the largest."""
DEADLINE = 60.0
"""Seconds for which one may stay when others wait: the largest at 1 MB/s."""


@dataclass(slots=True, eq=False)
class Place:
    """Of one diff.

    Attributes:
        since: when it was taken.
        give_up: sends away who is sent the diff.
    """

    size_bytes: int
    since: float
    give_up: Callable[[], object] = lambda: None


class Shelf:
    """The places that were taken, the oldest first, and who waits for one.

    Invariants:
        1. `_used_bytes` is what the places have together: no more than the budget, unless there is only one.
        2. Nobody overtakes: a large one is not kept out by small ones.
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES, hits: LimitHits | None = None) -> None:
        self._budget_bytes = budget_bytes
        self._hits = hits or LimitHits()
        self._places: dict[Place, None] = {}
        self._used_bytes = 0
        self._waiting: deque[tuple[int, Callable[[Place], object]]] = deque()
        self._has_room = trio.Event()

    def take(self, size_bytes: int, taken: Callable[[Place], object]) -> None:
        """Calls `taken`, at once where there is room; the place is then to be given back."""
        self._waiting.append((size_bytes, taken))
        if len(self._waiting) == 1:
            self._serve()
        if self._waiting:
            why = f"diffs of {self._used_bytes} bytes are on their way to clients: others wait for theirs"
            self._hits.hit(Limit.CLIENT_DIFFS, why)

    def give_back(self, place: Place) -> None:
        """May be called from anywhere, a finalizer too: who waits is served by `run`."""
        del self._places[place]
        self._used_bytes -= place.size_bytes
        self._has_room.set()

    async def run(self) -> None:
        while True:
            await self._has_room.wait()
            self._has_room = trio.Event()
            self._serve()

    def tick(self, now: float) -> None:
        """Once a second or so: ends the oldest if it takes too long and others wait."""
        oldest = next(iter(self._places), None)
        if self._waiting and oldest is not None and now - oldest.since > DEADLINE:
            oldest.give_up()

    def _serve(self) -> None:
        while self._waiting:
            size_bytes, taken = self._waiting[0]
            if self._places and self._used_bytes + size_bytes > self._budget_bytes:  # Invariant 1
                return
            self._waiting.popleft()
            place = Place(size_bytes, trio.current_time())
            self._places[place] = None
            self._used_bytes += size_bytes
            taken(place)
