"""Where connections wait until they speak. Whoever never does costs a descriptor, and neither a task nor its end.

Where the one who connects speaks first, one that has said nothing needs nothing from us yet. They are watched by an
epoll of their own, which is one descriptor to trio.
"""

import select
from collections.abc import Callable

import trio

_AT_ONCE = 16
"""That have spoken, until others on the loop have their turn."""

_LOOK = 1.0
"""Seconds between two looks for those who have been silent for too long."""


class Anteroom:
    """Silent connections, who came first standing first.

    Invariants:
        1. There are at most `most`: who comes takes the place of who has been silent for longest.
        2. Who is in `_silent` is watched, and nobody else.
    """

    def __init__(self, most: int, patience: float, turned_away: Callable[[], object]) -> None:
        """
        Args:
            patience: seconds in which they have to speak.
            turned_away: is called for each that has to make room.

        Raises:
            OSError: if there is no descriptor left.
        """
        self._most = most
        self._patience = patience
        self._turned_away = turned_away
        self._epoll = select.epoll()
        self._silent: dict[int, tuple[trio.SocketStream, float]] = {}

    def __len__(self) -> int:
        return len(self._silent)

    def enter(self, arrived: trio.SocketStream) -> None:
        if len(self._silent) >= self._most:  # Invariant 1
            self._turned_away()
            self._show_out(next(iter(self._silent)))
        number = arrived.socket.fileno()
        self._silent[number] = arrived, trio.current_time()
        self._epoll.register(number, select.EPOLLIN)  # it tells of ends and errors, too

    async def run(self, spoken: Callable[[trio.SocketStream], object]) -> None:
        """Calls `spoken` with each that has, or has ended, until cancelled; closes the others."""
        try:
            while True:
                with trio.move_on_after(_LOOK):
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                for number, _ in self._epoll.poll(0, _AT_ONCE):
                    self._epoll.unregister(number)
                    arrived, _ = self._silent.pop(number)
                    spoken(arrived)
                self._look(trio.current_time())
        finally:
            for number in list(self._silent):
                self._show_out(number)
            self._epoll.close()

    def _look(self, now: float) -> None:
        while self._silent:
            first, (_, since) = next(iter(self._silent.items()))
            if now - since < self._patience:
                return
            self._show_out(first)

    def _show_out(self, number: int) -> None:
        silent, _ = self._silent.pop(number)
        silent.socket.close()  # the kernel then watches it no more
