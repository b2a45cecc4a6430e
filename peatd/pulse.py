"""The beats at which it is looked now and then after every link.

With timers of their own, links that rest were most of what a node costs that has sixteen of them: a timer that ends a
task's sleep takes ten times the look that follows. Nor may all have the same beat: what is made a moment before it
would go to all peers at once, and overtake what goes from one to the next (lazy.py, rule 2).
"""

import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import trio

BEAT = 0.5
"""Seconds, ±25 %, between two looks after one link."""
_TURNS = 8
"""In which links have theirs."""
_RIPE = 0.2
"""Seconds in which a change has come round by the tree: a hop of it takes a few milliseconds, and a round trip."""


class Pulse:
    """One node's.

    Args:
        clock: the table's.

    Attributes:
        ripe: the version that the clock had a while ago: what was made up to then has come round.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.ripe = 0
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()
        self._turns = [trio.Event() for _ in range(_TURNS)]
        self._awaited = trio.Event()

    async def run(self) -> None:
        """A turn that no link waits for is passed over; where no turn is waited for, this waits for the first."""
        pause, passed = 0.0, 0
        for number in itertools.cycle(range(_TURNS)):
            pause += BEAT / _TURNS * random.uniform(0.75, 1.25)
            turn = self._turns[number]
            if turn.statistics().tasks_waiting:
                await trio.sleep(pause)
                self._turns[number] = trio.Event()
                self._mark()
                turn.set()
            elif passed < _TURNS - 1:
                passed += 1
                continue
            else:
                self._awaited = trio.Event()
                await self._awaited.wait()
            pause, passed = 0.0, 0

    def _mark(self) -> None:
        now = trio.current_time()
        self._marks.append((now, self._clock()))
        while self._marks[0][0] <= now - _RIPE:
            self.ripe = self._marks.popleft()[1]

    def turn(self) -> Callable[[], Awaitable[None]]:
        """One by chance, for one link; each call waits for the next time that it comes."""
        return partial(self._beat, random.randrange(_TURNS))

    async def _beat(self, number: int) -> None:
        self._awaited.set()
        await self._turns[number].wait()
