"""Lines on their way to a file descriptor that may stall: bounded, written by a thread of its own.

Invariants:
1. `put` never waits and never raises.
2. The backlog holds at most MAX_BACKLOG_BYTES, and notices of what is missing.
3. Lost lines are counted, and the count takes their place in the order.
"""

import os
import queue
import select
import threading
from collections.abc import Callable
from typing import NamedTuple

from peatd.threads import needing_threads

MAX_BACKLOG_BYTES = 1024 * 1024
"""A few thousand lines: minutes of a node's life, yet nothing beside its documents."""
_WRITE_BYTES = 64 * 1024
"""About this much is written at once: a pipe's usual capacity."""


class _Entry(NamedTuple):
    """What is written together. `lines` is how many are lost with it."""

    text: bytes
    lines: int


class Backlog:
    """See the module. `put` may be called from any thread, and from a signal handler."""

    def __init__(self, descriptor: int, notice: Callable[[int], bytes]) -> None:
        """
        Args:
            notice: renders the line that says how many are missing.
        """
        self._descriptor = descriptor
        self._notice = notice
        # A SimpleQueue's put and an RLock can be re-entered by a signal handler; a Queue would deadlock.
        self._entries: queue.SimpleQueue[_Entry | threading.Event] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._pending_bytes = 0
        self._lost_lines = 0
        self._stop = threading.Event()
        # A daemon thread: one that hangs in write() does not keep the process alive.
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        with needing_threads():
            self._thread.start()

    def put(self, line: bytes) -> None:
        """Writes the line soon, or counts it as lost when too much waits."""
        with self._lock:
            if self._pending_bytes + len(line) > MAX_BACKLOG_BYTES:
                self._lost_lines += 1
                return
            entry = self._accept(line, lines=1)
        self._entries.put(entry)

    def flush(self, timeout: float) -> bool:
        """Waits until all that was put before is written or lost, at most `timeout` seconds; whether it was."""
        written = threading.Event()
        self._entries.put(written)
        return written.wait(timeout)

    def close(self, timeout: float) -> None:
        """Writes what is left, for at most `timeout` seconds."""
        self._entries.put(self._stop)
        self._thread.join(timeout)

    def _accept(self, text: bytes, *, lines: int) -> _Entry:
        """The text behind a notice of the lines that are missing before it, counted as pending."""
        with self._lock:
            lost, self._lost_lines = self._lost_lines, 0
            entry = _Entry(self._notice(lost) + text, lost + lines) if lost else _Entry(text, lines)
            self._pending_bytes += len(entry.text)
        return entry

    def _write_all(self) -> None:
        while True:
            entries, marker = self._next()
            if entries:
                self._write(entries)
            if marker is not None:
                marker.set()
            if marker is self._stop:
                return

    def _next(self) -> tuple[list[_Entry], threading.Event | None]:
        """All that waits, up to a write's worth or to a marker: one write costs 10 µs, a line in it 1 µs."""
        entries: list[_Entry] = []
        size_bytes = 0
        item = self._entries.get()
        try:
            while isinstance(item, _Entry):
                entries.append(item)
                size_bytes += len(item.text)
                if size_bytes >= _WRITE_BYTES:
                    return entries, None
                item = self._entries.get_nowait()
            marker = item
        except queue.Empty:
            marker = None
        if self._lost_lines:  # and nothing waits that could bring the notice
            entries.append(self._accept(b"", lines=0))
        return entries, marker

    def _write(self, entries: list[_Entry]) -> None:
        text = b"".join(entry.text for entry in entries)
        is_written = _write_whole(self._descriptor, text)
        with self._lock:
            self._pending_bytes -= len(text)
            if not is_written:
                self._lost_lines += sum(entry.lines for entry in entries)


def _write_whole(descriptor: int, text: bytes) -> bool:
    """Waits until all of it is written; False when that cannot be."""
    rest = memoryview(text)
    try:
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                # Whoever shares the descriptor made it non-blocking; in this thread waiting is right.
                _wait_writable(descriptor)
    except OSError:  # its reader is gone, or it is closed
        return False
    return True


def _wait_writable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()
