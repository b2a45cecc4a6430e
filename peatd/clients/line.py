"""What goes out to one client: whoever has bytes for it sends what the kernel takes at once; the rest waits in a queue.

A plain non-blocking send costs a third of a switch to a task that would do it. The task that waits until there is room
again runs only while the kernel's buffer is full.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

import trio

LOW_BYTES = 64 * 1024
"""Waiting, below which more is asked for: what a slow line of 2 MB/s takes in 30 ms."""
HIGH_BYTES = 1024 * 1024
"""Waiting, beyond which a client has fallen behind. The bytes are shared by all who are sent the same."""

_AT_ONCE = 64
"""Buffers for one system call; Linux takes 1024."""


class Line:
    """The bytes on their way to one socket.

    Invariants:
        1. Bytes leave in the order in which they were sent: what waits goes first, and nothing here awaits between
           taking bytes and queueing what is left of them, so there is one writer at a time.
        2. After `close` nothing is written: the descriptor's number may be another's by then.
        3. While something waits, `drain` waits for room: nobody else asks a kernel that has said that it is full.

    Attributes:
        moved_at: trio time at which the kernel was last seen to take something.
    """

    def __init__(self, fd: int) -> None:
        self.waiting_bytes = 0
        self.moved_at = trio.current_time()
        self._fd = fd
        self._waiting: deque[bytes | memoryview] = deque()
        self._is_open = True
        self._has_moved = False
        self._blocked = trio.Event()

    @property
    def is_full(self) -> bool:
        return self.waiting_bytes > HIGH_BYTES

    @property
    def has_room(self) -> bool:
        return self._is_open and self.waiting_bytes < LOW_BYTES

    def send(self, data: bytes) -> None:
        """Sends what the kernel takes at once; the rest goes when it takes more."""
        if self._waiting or not self._is_open:
            self._wait((data,))
            return
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:
            self.close()  # the reader hears of it, too
            return
        self._has_moved = True
        if written != len(data):
            self._wait((memoryview(data)[written:],))
            self._blocked.set()

    def send_parts(self, *parts: bytes) -> None:
        """The same, of what is not to be copied together first."""
        is_blocked = bool(self._waiting)
        self._wait(parts)
        if not is_blocked:
            self._flush()

    def look(self, now: float) -> None:
        """Brings `moved_at` up to date: to ask for the time with each send would cost a tenth of it."""
        if self._has_moved:
            self._has_moved = False
            self.moved_at = now

    async def drain(self, drained: Callable[[], None]) -> None:
        """Sends what has to wait for room, until closed.

        Args:
            drained: is called whenever little is left.
        """
        while self._is_open:
            await self._blocked.wait()
            self._blocked = trio.Event()
            if self._is_open:
                await trio.lowlevel.wait_writable(self._fd)
                self._flush()
                if self.has_room:
                    drained()

    async def emptied(self) -> None:
        """Sends all that waits; instead of `drain`."""
        self._flush()
        while self._waiting:
            await trio.lowlevel.wait_writable(self._fd)
            self._flush()

    def close(self) -> None:
        """Drops what waits."""
        self._is_open = False  # Invariant 2.
        self._waiting.clear()
        self.waiting_bytes = 0
        self._blocked.set()

    def _wait(self, parts: Iterable[bytes | memoryview]) -> None:
        if self._is_open:
            for part in parts:
                self._waiting.append(part)
                self.waiting_bytes += len(part)

    def _flush(self) -> None:
        while self._waiting and self._is_open:
            try:
                written = os.writev(self._fd, list(islice(self._waiting, _AT_ONCE)))
            except BlockingIOError:
                self._blocked.set()
                return
            except OSError:
                self.close()  # the reader hears of it, too
                return
            self._has_moved = True
            self._forget(written)

    def _forget(self, written: int) -> None:
        self.waiting_bytes -= written
        while written:
            first = self._waiting.popleft()
            if written < len(first):
                self._waiting.appendleft(memoryview(first)[written:])
                return
            written -= len(first)
