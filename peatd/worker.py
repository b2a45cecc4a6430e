"""One engine worker: keeps a process alive, carries requests to it and replies back, and notices when it hangs."""

import random
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
import trio

from peatd.engine.protocol import Frames, Garbled, decode_replies
from peatd.errors import ConfigError, PeatError, Unavailable
from peatd.names import DocumentKey
from peatd.patience import Patience, Verdict, Vitals
from peatd.schedule import Schedule
from peatd.worker_jobs import Death, Job, Load, StoredLog
from peatd.worker_process import WorkerProcess

_BATCH_BYTES = 256 * 1024
"""Written at once: a system call costs as much as preparing ten small requests."""

_TYPED_BYTES = 1024
"""What somebody types has less, and is sent without waiting for more. More comes of many changes at once: what is
together goes to the engine in one piece, and comes back so, and a crowd is told of it in one."""

_START_DEADLINE = 30.0
"""Seconds for a process to come up: a hundred times what it takes on an idle machine."""

_MAX_FAILED_STARTS = 3
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between starts of a process that does not come up; doubling, with full jitter."""

_RECYCLE_PAUSE = 60.0
"""Seconds between two processes replaced for their size. Documents that need the memory would make it come at once."""

_EXIT_NO_LIBRARY = 3

_log = structlog.get_logger(__name__)


class Worker:
    """Runs the jobs of a schedule on a process.

    Args:
        command: what to start; it speaks `engine.protocol` on stdin and stdout.
        load: gives the logs of documents, as `documents.Log` does.
        turned: is called whenever all replies that had come were worked off.
        deadline: seconds of processor time without a reply; more for large documents.
        recycle_bytes: resident size at which the process is replaced when nothing is on its way.
    """

    def __init__(
        self,
        command: Sequence[str],
        load: Callable[[Sequence[DocumentKey]], Awaitable[Mapping[DocumentKey, StoredLog]]],
        schedule: Schedule,
        *,
        turned: Callable[[], object],
        deadline: float,
        recycle_bytes: int,
    ) -> None:
        self._command = command
        self._load = load
        self._schedule = schedule
        self._turned = turned
        self._deadline = deadline
        self._recycle_bytes = recycle_bytes
        self._bell = trio.Event()  # for the writer: there is something to send, or the end is near
        self._idle: WorkerProcess | None = None  # the process, while the writer waits for the bell
        self._unsent: bytes | bytearray = b""  # the rest of a request of which the pipe did not take all
        self._relief = trio.Event()  # for those who wait for room: less is waiting
        self._is_closed = True
        self._is_finishing = False
        self._up = trio.Event()
        self._heard = 0
        self._verdict: Verdict | None = None
        self._recycled_at = -_RECYCLE_PAUSE
        self.pid: int | None = None
        self.is_up = False
        self.restarts = 0
        self.message: str | None = "starting"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; `started()` once the process answers.

        Raises:
            ConfigError: if the engine's library is not installed, before `started()`.
        """
        self._is_closed = False
        failed_starts = 0
        try:
            while True:
                came_up = await self._live(task_status)
                failed_starts = 0 if came_up else failed_starts + 1
                if failed_starts >= _MAX_FAILED_STARTS:
                    self._schedule.give_up(Unavailable(f"the engine does not start: {self.message}"))
                if failed_starts:
                    longest = min(_SHORTEST_PAUSE * 2**failed_starts, _LONGEST_PAUSE)
                    await trio.sleep(random.uniform(_SHORTEST_PAUSE / 2, longest))
                self.restarts += 1
        finally:
            self._is_closed = True
            self._schedule.give_up(Unavailable("the engine is shutting down"))
            self._relieve()

    @property
    def waiting(self) -> int:
        """How many requests are not answered."""
        return self._schedule.waiting

    def submit(self, job: Job) -> None:
        """Queues it, behind all that was submitted before.

        Raises:
            Unavailable: if the worker does not run.
        """
        if self._is_closed:
            raise Unavailable("the engine does not run")
        self._schedule.submit(job)
        is_only_one = self._schedule.waiting == 1 and job.size_bytes < _TYPED_BYTES
        if self._idle is not None and is_only_one and not self._is_finishing:
            self._send_at_once(self._idle)
        else:
            self._ring()

    def _send_at_once(self, process: WorkerProcess) -> None:
        """The engine has nothing to do, and gets the only job now, not when the writer has its turn."""
        match self._schedule.decide():
            case bytes() as request:
                written = process.send_at_once(request)
                if written < len(request):
                    self._unsent = request[written:]
                    self._ring()
            case Load():
                self._ring()  # it is decided anew there
            case None:
                pass

    def _ring(self) -> None:
        if self._bell.statistics().tasks_waiting:
            self._bell.set()
            self._bell = trio.Event()

    def _relieve(self) -> None:
        if self._relief.statistics().tasks_waiting:
            self._relief.set()
            self._relief = trio.Event()

    async def room(self, max_jobs: int, max_bytes: int) -> None:
        """Waits while more than that is waiting."""
        while not self._is_closed and (self._schedule.waiting > max_jobs or self._schedule.waiting_bytes > max_bytes):
            await self._relief.wait()

    async def _live(self, task_status: trio.TaskStatus[None]) -> bool:
        """One life of the process; whether it came up."""
        self._verdict = None
        self._is_finishing = False
        self._unsent = b""
        self._up = trio.Event()
        try:
            process = WorkerProcess(self._command)
        except OSError as exc:
            self._not_started(f"cannot start: {exc.strerror or exc}")
            return False
        self.pid = process.pid
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(process.listen)
                nursery.start_soon(self._write, process)
                nursery.start_soon(self._watch, process)
                came_up = await self._read(process, task_status)
                nursery.cancel_scope.cancel()
        finally:
            self.is_up = False
            self._idle = None
            code = await process.end()
            self.pid = None  # from here on the number may be another's
        self._ended(process, code, came_up)
        return came_up

    def _not_started(self, reason: str) -> None:
        if self.message != reason:  # else it is a line for each try
            self.message = reason
            _log.warning("engine.not_started", reason=reason)

    def _ended(self, process: WorkerProcess, code: int, came_up: bool) -> None:
        if code == _EXIT_NO_LIBRARY and not came_up and not self.restarts:
            raise ConfigError(f"the engine's library is not installed: {process.last_words}")
        words = process.last_words or "it said nothing"
        is_from_outside = code in (-signal.SIGKILL, -signal.SIGTERM)
        death = Death.OUTSIDE if is_from_outside else Death.MEMORY if _is_of_memory(words) else Death.CRASH
        verdict = self._verdict or Verdict(f"{_cause(code)}: {words}", death)
        self.message = f"restarting after: {verdict.reason}"
        _log.warning("engine.ended", reason=verdict.reason, code=code)
        self._schedule.died(verdict.reason, verdict.death)
        self._relieve()

    async def _read(self, process: WorkerProcess, task_status: trio.TaskStatus[None]) -> bool:
        """Answers jobs until the replies end, or make no sense; whether there was any."""
        frames = Frames()
        while chunk := await process.receive():
            self._heard += 1
            try:
                for reply in decode_replies(frames.receive(chunk)):
                    if self.is_up:
                        self._schedule.answered(reply)
                    else:
                        self._came_up(task_status)
            except Garbled as exc:
                # What the library holds may have overwritten anything: it ends as one that crashed.
                self._verdict = Verdict(str(exc), Death.CRASH)
                process.kill()
                break
            finally:
                self._turned()
            self._relieve()
            if self._schedule.has_more or self._is_finishing:
                self._ring()
        return self.is_up

    def _came_up(self, task_status: trio.TaskStatus[None]) -> None:
        self.is_up = True
        self._up.set()
        self.message = None
        if not self.restarts:
            task_status.started()

    async def _write(self, process: WorkerProcess) -> None:
        while True:
            batch, self._unsent = bytearray(self._unsent), b""
            load: Load | None = None
            while len(batch) < _BATCH_BYTES and not self._is_finishing:
                match self._schedule.decide():
                    case Load() as load:
                        break
                    case None:
                        break
                    case request:
                        batch += request
            if batch:
                await process.send(batch)
            if load is not None:
                await process.send(await self._loaded(load))
                self._relieve()  # jobs may have ended without the engine
            elif not batch:
                if self._is_finishing and self._schedule.size_bytes is None:
                    process.finish()
                self._idle = process
                await self._bell.wait()
                self._idle = None

    async def _loaded(self, load: Load) -> bytes:
        try:
            logs = await self._load(load.keys)
        except PeatError as exc:
            self._schedule.load_failed(load, exc)
            return b""
        return self._schedule.loaded(load, logs)

    async def _watch(self, process: WorkerProcess) -> None:
        """Ends a process that does not answer, or has grown too large."""
        with trio.move_on_after(_START_DEADLINE):
            await self._up.wait()
        if not self.is_up:
            self._verdict = Verdict(f"it did not come up within {_START_DEADLINE:.0f} s", Death.OUTSIDE)
            process.kill()
            return
        patience = Patience(self._deadline)
        while True:
            await trio.sleep(patience.interval)
            vitals = Vitals(trio.current_time(), process.cpu_time(), process.is_stopped())
            if verdict := patience.look(self._heard, self._schedule.size_bytes, vitals):
                self._verdict = verdict
                process.kill()
                return
            self._recycle_if_large(process)

    def _recycle_if_large(self, process: WorkerProcess) -> None:
        now = trio.current_time()
        if now - self._recycled_at < _RECYCLE_PAUSE or process.resident_bytes() < self._recycle_bytes:
            return
        self._recycled_at = now
        self._verdict = Verdict("it had grown too large", Death.OUTSIDE)
        self._is_finishing = True
        self._ring()


def _is_of_memory(words: str) -> bool:
    """What Rust says when it gets none, and Python."""
    return "memory allocation of" in words or "MemoryError" in words


def _cause(code: int) -> str:
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
