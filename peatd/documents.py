"""The documents as the node uses them: asks engine workers, answers in order. The only user of `worker.py`.

What an update brings is told to `then`, synchronously and in the order of the engine's replies, which is the order in
which updates were merged: whoever records news there has a log that replays to the same document.
"""

import os
import sys
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import trio

from peatd.asked import Asked
from peatd.engine import protocol
from peatd.engine.protocol import Reply, Viewed
from peatd.errors import PeatError, Unavailable
from peatd.limits import Limit, LimitHits
from peatd.measures import Histogram
from peatd.names import DocumentKey, DocumentName
from peatd.open_documents import OpenDocuments
from peatd.requests import (
    NOTHING_NEW,
    Edit,
    News,
    Patch,
    Put,
    apply_job,
    diff_job,
    edit_job,
    encoded,
    json_view,
    news,
    pieces,
    told,
)
from peatd.schedule import Schedule
from peatd.suspicion import Blame
from peatd.update import MAX_DOCUMENT_BYTES
from peatd.worker import Worker
from peatd.worker_jobs import Job, StoredLog, StoredUpdate, Task

__all__ = [
    "NOTHING_NEW",
    "Documents",
    "Edit",
    "EngineStatus",
    "Log",
    "News",
    "Patch",
    "Put",
    "StoredLog",
    "StoredUpdate",
]

T = TypeVar("T")

_MAX_WAITING, _MAX_WAITING_BYTES = 4096, 16 * 1024 * 1024
"""Unanswered requests of a worker beyond which callers wait: a tenth of a second's work, and bounded memory."""

_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds. A small change takes a tenth of a millisecond, and waits for those before it."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """`message` says why it is not ready; `waiting` counts the requests that are not answered yet."""

    ready: bool
    waiting: int
    restarts: int
    quarantined: int
    message: str | None


class Log(Protocol):
    """What documents need of the store."""

    async def load(self, keys: Sequence[DocumentKey]) -> Mapping[DocumentKey, StoredLog]:
        """All that was recorded before the call: of the first, and of those that follow as long as it takes little
        memory."""

    def quarantine(self, key: DocumentKey, update: bytes, *, origin: str, reason: str, seq: int | None = None) -> None:
        """Sets an update aside; with `seq` it was a row of the log, and is none any more."""


class Documents:
    """All documents of a node, in `workers` engine processes.

    Args:
        log: where documents are loaded from.
        shrunk: is told what a document reaches (encoded) whenever it was loaded from its log: less than that promised
            where rows had to be quarantined, or a library makes less of them together than one by one.
        max_open, max_open_bytes: documents in a worker's memory, and the bytes of their logs: 64 MiB of updates can
            take half a GiB.
        max_waiting_bytes: of unanswered requests to a worker, beyond which `room` waits.
        memory_bytes: that a worker may take above what it starts with; replaced from half of it on.
        deadline: seconds of processor time that a worker may take for a reply, and more for a large document. A
            hundred times what a small one takes; all documents of the worker wait meanwhile.
        command: starts a worker, for tests; the rest of its command line is appended.

    Attributes:
        max_document_bytes: that a writer may make one; what a peer brings is merged as long as memory suffices.
        merge_durations: of changes that were merged, from when they were asked.
    """

    def __init__(
        self,
        log: Log,
        *,
        engine: str = "y-py",
        workers: int = 1,
        shrunk: Callable[[DocumentKey, bytes], None] | None = None,
        max_open: int = 1024,
        max_open_bytes: int = 64 * 1024 * 1024,
        max_waiting_bytes: int = _MAX_WAITING_BYTES,
        memory_bytes: int = 1024 * 1024 * 1024,
        max_document_bytes: int = MAX_DOCUMENT_BYTES,
        deadline: float = 2.0,
        hits: LimitHits | None = None,
        command: Sequence[str] = (sys.executable, "-P", "-m", "peatd.engine"),
    ) -> None:
        self.merge_durations = Histogram(_BOUNDS)
        self.max_document_bytes = min(max_document_bytes, MAX_DOCUMENT_BYTES)
        arguments = ("--engine", engine, "--memory-bytes", str(memory_bytes), "--parent", str(os.getpid()))
        self._max_waiting_bytes = max_waiting_bytes
        self._turned: Callable[[], object] = lambda: None
        full = partial((hits or LimitHits()).hit, Limit.ENGINE_MEMORY)
        blame = partial(Blame, log.quarantine, shrunk or _ignore, memory_bytes=memory_bytes, full=full)
        self._blames = [blame() for _ in range(workers)]
        self._workers = [
            Worker(
                (*command, *arguments),
                log.load,
                Schedule(OpenDocuments(max_open, max_open_bytes), blame),
                turned=lambda: self._turned(),
                deadline=deadline,
                recycle_bytes=memory_bytes // 2,
            )
            for blame in self._blames
        ]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the workers alive until cancelled; `started()` once all answer.

        Raises:
            ConfigError: if the engine's library is not installed.
        """
        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                await nursery.start(worker.run)
            task_status.started()

    def status(self) -> EngineStatus:
        messages = [worker.message for worker in self._workers if not worker.is_up]
        return EngineStatus(
            ready=not messages,
            waiting=sum(worker.waiting for worker in self._workers),
            restarts=sum(worker.restarts for worker in self._workers),
            quarantined=sum(blame.quarantined for blame in self._blames),
            message=messages[0] if messages else None,
        )

    def watch_turns(self, turned: Callable[[], object]) -> None:
        """From now on this is called whenever answers that came together were used, before anything else runs."""
        self._turned = turned

    def pids(self) -> list[int]:
        """Of the worker processes, for whoever watches over memory."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def apply(
        self, key: DocumentKey, update: bytes, *, origin: str, then: Callable[[News], T], former: Collection[int] = ()
    ) -> T:
        """Merges an update.

        Args:
            former: clients of whom it may hold nothing.

        Raises:
            DocumentEnded, MalformedUpdate, MissingUpdates, TooLarge, Quarantined, Unavailable: nothing was changed.
        """
        asked = Asked(self._timed(then))
        return await self._ask(apply_job(key, update, origin, asked.answered, asked.failed, former), asked)

    def submit(
        self,
        key: DocumentKey,
        update: bytes,
        *,
        origin: str,
        then: Callable[[News], object],
        failed: Callable[[PeatError], object],
        former: Collection[int] = (),
        piece_bytes: int = 0,
        partly: bool = False,
    ) -> None:
        """Queues an update; whoever has many awaits `room` now and then. One of `then` and `failed` is called, once.
        News of more than two `piece_bytes` come in several updates of about that size. `partly`: what builds on what is
        not here is left out, instead of refusing all."""
        answered = told(self._timed(then), failed)
        self._submit(lambda: apply_job(key, update, origin, answered, failed, former, piece_bytes, partly), failed)

    async def room(self, name: DocumentName) -> None:
        """Returns when another update of the document can be queued."""
        await self._worker(name).room(_MAX_WAITING, self._max_waiting_bytes)

    def submit_diff(
        self,
        key: DocumentKey,
        state_vector: bytes,
        *,
        piece_bytes: int,
        origin: str,
        then: Callable[[list[bytes]], object],
        failed: Callable[[PeatError], object],
    ) -> None:
        """Asks for a diff as `diff` does, cut into updates of about `piece_bytes` each of which builds only on those
        before it. Waits for nothing: one of `then` and `failed` is called, once. `origin`: who asks."""
        answered = told(lambda reply: then(pieces(reply)), failed)
        self._submit(lambda: diff_job(key, state_vector, answered, failed, piece_bytes, origin), failed)

    async def edit(self, key: DocumentKey, edit: Edit, *, origin: str, then: Callable[[News], T]) -> T:
        """Edits the root map `data`.

        Raises:
            InvalidEdit, TooLarge, Quarantined, Unavailable: nothing was changed.
        """
        asked = Asked(self._timed(then))
        return await self._ask(edit_job(key, edit, origin, asked.answered, asked.failed), asked)

    async def diff(self, key: DocumentKey, state_vector: bytes, then: Callable[[bytes], T]) -> T:
        """An update for whoever has what the state vector says.

        Raises:
            MalformedUpdate: if it is not a state vector.
            Unavailable: if the engine cannot do it now.
        """
        asked = Asked(lambda reply: then(encoded(reply)))
        return await self._ask(diff_job(key, state_vector, asked.answered, asked.failed, origin="api"), asked)

    async def snapshot(self, key: DocumentKey, then: Callable[[bytes], T]) -> T:
        """All of the document as one update, proven to load again.

        Raises:
            Unavailable: if the engine cannot do it now.
        """
        asked = Asked(lambda reply: then(encoded(reply)))
        return await self._ask(Job(key, Task.SNAPSHOT, protocol.Snapshot, asked.answered, asked.failed), asked)

    async def read(self, key: DocumentKey, then: Callable[[Viewed], T]) -> T:
        """The document as JSON.

        Raises:
            InvalidEdit: if it is nested too deep, or in too many pieces, to be JSON.
            Unavailable: if the engine cannot do it now.
        """
        asked = Asked(lambda reply: then(json_view(reply)))
        return await self._ask(Job(key, Task.READ, protocol.Read, asked.answered, asked.failed, origin="api"), asked)

    def close(self, key: DocumentKey) -> None:
        """The document's life has ended: forget it, once all is done that was asked before."""
        with suppress(Unavailable):  # not running: nothing is remembered either
            self._worker(key.name).submit(Job(key, Task.CLOSE, protocol.Close, lambda _: None, lambda _: None))

    def _timed(self, then: Callable[[News], T]) -> Callable[[Reply], T]:
        """Takes the time from now until the reply of one that merges."""
        begun = time.perf_counter()

        def merged(reply: Reply) -> T:
            found = news(reply)
            self.merge_durations.observe(time.perf_counter() - begun)
            return then(found)

        return merged

    def _submit(self, job: Callable[[], Job], failed: Callable[[PeatError], object]) -> None:
        try:
            made = job()
            self._worker(made.key.name).submit(made)
        except PeatError as exc:
            failed(exc)

    async def _ask(self, job: Job, asked: Asked[T]) -> T:
        worker = self._worker(job.key.name)
        worker.submit(job)
        return await asked.wait()

    def _worker(self, name: DocumentName) -> Worker:
        return self._workers[zlib.crc32(name.encode()) % len(self._workers)]


def _ignore(_key: DocumentKey, _reach: bytes) -> None:
    """Nobody keeps a reach of these documents."""
