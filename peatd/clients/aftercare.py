"""What is done for clients a little later: word that a change is on the disk, another chance after trouble, and the
company in which they find themselves."""

import random
from collections import deque
from collections.abc import Callable

import trio

from peatd.store import Store

_PAUSE = 1.0
"""Seconds, ±50 %, before clients are asked again: an engine that restarts is back by then, and not all ask at once."""


_GREETING = 0.2
"""Seconds from a client's step 1 until it is told who else is there, if it does not show itself before."""


_FAREWELLS, _FAREWELLS_EACH = 20, 5.0
"""So many at once who bring what was deleted are sent away, and then one every so many seconds."""
_SLOW_FAREWELL = 5.0
"""Seconds until each of the others is: y-websocket before 3.1 comes back 0.1 s later, for ever."""


class Later:
    """Calls back so many seconds later."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()
        self._work = trio.Event()

    def later(self, call: Callable[[], object]) -> None:
        self._waiting.append((trio.current_time() + self._delay, call))
        self._work.set()

    async def run(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._waiting:
                due, call = self._waiting.popleft()
                await trio.sleep_until(due)
                call()


class Greeter(Later):
    """Tells who has come who else is there."""

    def __init__(self) -> None:
        super().__init__(_GREETING)


class Farewells(Later):
    """Sends those away who bring what was deleted: a few at once, and all others slowly."""

    def __init__(self) -> None:
        super().__init__(_SLOW_FAREWELL)
        self._left = float(_FAREWELLS)
        self._at = 0.0

    def say(self, leave: Callable[[], object]) -> None:
        """Calls `leave`, now or later."""
        now = trio.current_time()
        self._left = min(_FAREWELLS, self._left + (now - self._at) / _FAREWELLS_EACH)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            leave()
        else:
            self.later(leave)


class Confirmer:
    """Calls back once what was recorded is durable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[tuple[int, Callable[[], object]]] = deque()
        self._work = trio.Event()

    def later(self, seq: int, confirm: Callable[[], object]) -> None:
        """Calls `confirm` once everything up to `seq`, which never goes down from call to call, is durable."""
        self._waiting.append((seq, confirm))
        self._work.set()

    async def run(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._waiting:
                durable = self._store.durable_seq
                while self._waiting and self._waiting[0][0] <= durable:
                    self._waiting.popleft()[1]()
                if self._waiting:
                    await self._store.wait_synced_past(durable)


class Recovery:
    """Asks clients again, whose changes could not be taken in because the disk or the engine failed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owed: dict[Callable[[], object], None] = {}
        self._work = trio.Event()

    def later(self, ask: Callable[[], object]) -> None:
        """Calls `ask`, once, after a pause and when the disk works."""
        self._owed[ask] = None
        self._work.set()

    def forget(self, ask: Callable[[], object]) -> None:
        self._owed.pop(ask, None)

    async def run(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            await trio.sleep(random.uniform(0.5, 1.5) * _PAUSE)
            await self._store.working()
            owed, self._owed = self._owed, {}
            for ask in owed:
                ask()
