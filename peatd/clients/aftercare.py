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


class Greeter:
    """Calls back a moment later."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()
        self._work = trio.Event()

    def later(self, greet: Callable[[], object]) -> None:
        self._waiting.append((trio.current_time() + _GREETING, greet))
        self._work.set()

    async def run(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._waiting:
                due, greet = self._waiting.popleft()
                await trio.sleep_until(due)
                greet()


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
