"""Ends a process whose event loop has stopped turning: an orchestrator can only restart what exits or answers."""

import faulthandler
import os
import threading
import time
from collections.abc import Callable

import trio

from peatd.measures import Histogram
from peatd.threads import needing_threads

STUCK_AFTER = 60.0
"""Seconds of silence. A loaded machine may hold a loop up for a second; a minute is a fault."""

_BEAT = 1.0
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds."""

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""


class Watchdog:
    """A thread that watches the loop. `beat` is its pulse, a task of the loop.

    A process that was stopped (SIGSTOP, a suspended machine) has not hung: while it stood still so did the watcher,
    which therefore counts its own ticks and not the clock's seconds.

    Attributes:
        lags: how much later than due the loop came to each beat: what everything on it waits at such a moment.
    """

    def __init__(self, *, stuck_after: float = STUCK_AFTER, end: Callable[[], None] | None = None) -> None:
        self.last_beat = time.monotonic()
        self.lags = Histogram(_BOUNDS)
        self._end = end or _end_process
        self._ticks_allowed = max(1, round(stuck_after / _BEAT))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    async def beat(self) -> None:
        """Runs until cancelled."""
        with needing_threads():
            self._thread.start()
        try:
            while True:
                self.last_beat = time.monotonic()
                due = trio.current_time() + _BEAT
                await trio.sleep_until(due)
                self.lags.observe(trio.current_time() - due)
        finally:
            self._stopped.set()

    def _watch(self) -> None:
        seen, ticks = self.last_beat, 0
        while not self._stopped.wait(_BEAT):
            ticks = ticks + 1 if self.last_beat == seen else 0
            seen = self.last_beat
            if ticks >= self._ticks_allowed:
                self._end()
                return


def _end_process() -> None:
    os.write(2, b"peatd: the event loop is stuck; the stacks follow\n")
    faulthandler.dump_traceback(file=2, all_threads=True)
    os._exit(EXIT_CODE)
