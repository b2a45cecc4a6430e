"""How a node takes its leave: what is still let in, and what is waited for.

    serving .... nobody has asked it to stop
    announced .. not ready, and every HTTP answer ends its connection; all else goes on while balancers look elsewhere
    closing .... no new write, link or client; who is here is told to come back elsewhere

`node.py` moves it on. Whoever lets somebody in asks `admit`; whoever keeps somebody waits for `closing`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from peatd.errors import Unavailable


class Drain:
    """Where a node stands between serving and gone.

    Attributes:
        closing: set when nobody is let in any more. Who keeps clients tells them then to come back elsewhere (a
            WebSocket: close with 1012) and lets them go within half a second.

    Invariants:
        1. No phase is ever left for an earlier one.
        2. Once it is closing, nobody is admitted: who is inside only becomes less.
    """

    def __init__(self) -> None:
        self.closing = trio.Event()
        self._is_announced = False
        self._inside = 0
        self._emptied = trio.Event()

    @property
    def is_announced(self) -> bool:
        """Whether the node has begun to leave; true while closing, too."""
        return self._is_announced

    def status(self) -> str | None:
        """The readiness check `drain`."""
        return "shutting down" if self._is_announced else None

    @contextmanager
    def admit(self) -> Iterator[None]:
        """For whatever may bring in a change: while the block lasts, the drain waits for it, in bounds.

        Raises:
            Unavailable: the node is closing.
        """
        if self.closing.is_set():
            raise Unavailable("the node is shutting down: go to another")  # Invariant 2.
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._emptied.set()
                self._emptied = trio.Event()

    def announce(self) -> None:
        """Not ready any more."""
        self._is_announced = True

    async def close(self) -> None:
        """Lets nobody in any more; returns when all that were admitted are gone."""
        self._is_announced = True
        self.closing.set()
        if self._inside:
            await self._emptied.wait()
