"""The task that keeps the writer's thread busy, waits out a failing disk, and tells the waiters.

The thread is one of trio's, one at a time: a hop costs 80 µs, an fsync many times that.
"""

import contextlib
import math
import random
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog
import trio

from peatd.errors import StoreDamaged, StoreError, StoreUnavailable, Unavailable
from peatd.measures import Histogram
from peatd.store.files import Files
from peatd.store.operations import Operation, Pending
from peatd.store.records import Remainder
from peatd.store.writing import Written
from peatd.threads import run_in_thread

Outcome = TypeVar("Outcome")

PENDING_BYTES = 64 * 2**20
"""`room` waits beyond this, unless it was told of less: one largest diff. More would only be more to lose, if the disk
stays full."""

GATHERING, GATHERING_AWAITED = 0.02, 0.005
"""Seconds from the begin of one commit to the next: where nobody waits for it, and where a peer or a client does, who
is told later. Whoever waits in `synced` is not kept waiting. A commit costs a few tenths of a millisecond of processor
time, here and in the kernel, whether it holds one record or a hundred, and a dozen times takes Python's lock from
whoever sends to clients."""

BREATH = 0.002
"""Seconds that a record waits which comes after a pause, and for which nobody waits: until then it is with clients and
on its way to peers, who would otherwise wait for the commit."""

FINAL_SYNC = 1.5
"""Seconds for the last batch at exit, which as a whole takes no more than five. What was acknowledged is durable long
before."""

_CLOSING = 1.0
"""Seconds to close the files once nothing is written any more."""

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: from a disk that only says it has synced to one that hangs."""

_QUIET = 5.0
"""Seconds without a write after which also small leftovers are given back."""

_RETRY_FIRST, _RETRY_LAST = 0.2, 5.0
"""Seconds, doubling, with full jitter. A volume that is grown or cleaned is noticed within seconds."""

_log = structlog.get_logger(__name__)


class Keeper:
    """Owns what is pending and the numbers of the records.

    Attributes:
        failure: why the last write failed and what to do, or None.
        sync_durations: of the group commits that succeeded.
    """

    def __init__(
        self, files: Files, last_seq: int, fold_left: Callable[[Remainder], object], pending_bytes: int
    ) -> None:
        self._pending_bytes = pending_bytes
        self.pending = Pending()
        self.failure: str | None = None
        self.sync_durations = Histogram(_BOUNDS)
        self.last_seq = last_seq
        self.durable_seq = last_seq
        self._files = files
        self._fold_left = fold_left
        self._writing = trio.CapacityLimiter(1)
        self._is_busy = False
        self._has_leftovers = False
        self._work = trio.Event()  # there is something pending, or we are closing
        self._awaited = trio.Event()  # somebody waits for what is pending
        self._urgent = trio.Event()  # in `synced`, or we are closing
        self._begun_at = -math.inf
        self._attempt = trio.Event()  # replaced after every attempt, when its outcome is known
        self._is_closing = False
        self._hurry = trio.Event()
        self._ended = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    @property
    def heartbeat(self) -> float | None:
        return self._files.writer.progressed_at if self._is_busy else None

    @property
    def sizes_on_disk(self) -> tuple[int, int]:
        return self._files.writer.sizes

    def next_seq(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def add(self, operation: Operation) -> None:
        self.pending.add(operation)
        self._work.set()

    async def synced(self, seq: int) -> None:
        if self.durable_seq >= seq:
            await trio.lowlevel.checkpoint()
        while self.durable_seq < seq:
            self._refuse_while_failing()
            self._awaited.set()
            self._urgent.set()
            await self._attempt.wait()

    async def wait_synced_past(self, seq: int) -> int:
        if self.durable_seq > seq:
            await trio.lowlevel.checkpoint()
        while self.durable_seq <= seq:
            self._awaited.set()
            await self._attempt.wait()
        return self.durable_seq

    @property
    def has_room(self) -> bool:
        return self.failure is None and self.pending.size_bytes <= self._pending_bytes

    async def room(self) -> None:
        await trio.lowlevel.checkpoint()
        self._refuse_while_failing()
        while self.pending.size_bytes > self._pending_bytes:
            await self._attempt.wait()
            self._refuse_while_failing()

    async def working(self) -> None:
        await trio.lowlevel.checkpoint()
        while self.failure is not None:
            await self._attempt.wait()

    async def run(self) -> None:
        """Writes until `close`. Shielded: what is cancelled around us still has to be written."""
        retry = _RETRY_FIRST
        try:
            with self._scope:
                while await self._is_wanted():
                    await self._gather()
                    untidy = await self._write()
                    if self.failure is None:
                        retry = _RETRY_FIRST
                        await self._tidy(owed=untidy)
                    else:
                        await self._pause(random.uniform(0, retry))
                        retry = min(2 * retry, _RETRY_LAST)
        finally:
            self._ended.set()

    async def close(self, reading: trio.CapacityLimiter) -> None:
        """The final sync, and the end of `run`. Within its deadlines, whatever is cancelled or hangs.

        Args:
            reading: the limiter under which the reader is used, so as not to close it under a thread.
        """
        self._is_closing = True
        self._work.set()
        self._awaited.set()
        self._urgent.set()
        self._hurry.set()
        with trio.move_on_after(FINAL_SYNC, shield=True):
            await self._ended.wait()
        self._scope.cancel()
        if self.pending:
            _log.error("store_final_sync_failed", lost=len(self.pending), message=self.failure or "the disk hangs")
        # A thread that hangs in the disk keeps its limiter. Then the lock stays with us, too, as it may still write.
        # Without a thread they are closed by the end of the process.
        with trio.move_on_after(_CLOSING, shield=True), contextlib.suppress(OSError):
            async with reading:
                await run_in_thread(self._files.close, limiter=self._writing)

    async def _is_wanted(self) -> bool:
        while not self.pending and not self._is_closing:
            self._work = trio.Event()
            with trio.move_on_after(_QUIET if self._has_leftovers else math.inf) as quiet:
                await self._work.wait()
            if quiet.cancelled_caught:
                self._has_leftovers = False
                await self._tidy(owed=True)
        return bool(self.pending)

    async def _gather(self) -> None:
        due = max(self._begun_at + GATHERING, trio.current_time() + BREATH)
        if not self._is_closing:
            with trio.move_on_at(due) as scope:
                await self._awaited.wait()
                scope.deadline = self._begun_at + GATHERING_AWAITED
                await self._urgent.wait()
        self._begun_at = trio.current_time()

    async def _write(self) -> bool:
        operations, last_seq = self.pending.take(), self.last_seq
        self._awaited, self._urgent = trio.Event(), trio.Event()
        begun = time.monotonic()
        try:
            written = await self._in_thread(partial(self._files.writer.write, operations))
        except StoreDamaged as exc:
            self._failed(str(exc))
            raise  # ends the program, as no retry helps: the next start saves what can be read
        except StoreError as exc:
            self._failed(str(exc))
            is_untidy = False
        else:
            self.sync_durations.observe(time.monotonic() - begun)
            self._succeeded(written, last_seq)
            is_untidy, self._has_leftovers = written.is_untidy, written.has_leftovers
        attempt, self._attempt = self._attempt, trio.Event()
        attempt.set()
        return is_untidy

    def _succeeded(self, written: Written, last_seq: int) -> None:
        self.pending.forget_taken()
        self.durable_seq = last_seq
        for remainder in written.remainders:
            self._fold_left(remainder)
        if self.failure is not None:
            self.failure = None
            _log.info("store_recovered")

    def _failed(self, message: str) -> None:
        if message != self.failure:
            _log.error("store_failing", message=message)
        self.failure = message

    async def _tidy(self, *, owed: bool) -> None:
        """In steps, and only while nobody waits for the thread."""
        with contextlib.suppress(StoreError):  # nothing is owed: the next write will tell
            while owed and not self.pending and not self._is_closing:
                owed = await self._in_thread(self._files.writer.tidy)

    async def _in_thread(self, work: Callable[[], Outcome]) -> Outcome:
        self._files.writer.progressed_at = time.monotonic()
        self._is_busy = True
        try:
            # Abandoned at the end of `close` only, when the disk hangs.
            return await run_in_thread(work, limiter=self._writing)
        except OSError as exc:
            raise StoreUnavailable(f"the store cannot be written: {exc.strerror or exc}") from exc
        finally:
            self._is_busy = False

    async def _pause(self, delay: float) -> None:
        if self._is_closing:
            await trio.sleep(min(delay, _RETRY_FIRST))
            return
        with trio.move_on_after(delay):
            await self._hurry.wait()

    def _refuse_while_failing(self) -> None:
        if self.failure is not None:
            raise Unavailable(self.failure)
