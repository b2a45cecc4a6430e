"""Who killed, hung or panicked the engine: what goes to the quarantine, and what is not tried again. Sans-IO."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from peatd.errors import Barred, PeatError, Quarantined
from peatd.names import DocumentKey
from peatd.worker_jobs import Job, StoredUpdate, Task

_MAX_AUDITS = 10
"""Of one document. Each finds one row, at the price of loading the log a few times."""

_ORDINARY = 256
"""How many times the bytes of a log its document may take in the engine: y-py takes sixteen times an update while it
reads it, twenty times as many for many short values, a hundred for empty lists. What takes more is made to."""
_MOST_WAITS = 64
"""Requests that are refused between two tries of what was too large for the engine's memory; a peer offers what it owes
every half a minute."""

_MAX_KNOWN = 1024
"""Culprits remembered, so that a peer which offers one again and again does not kill the engine again and again."""


@dataclass(slots=True)
class _Bar:
    """A request that is not made, because the engine failed at it.

    Attributes:
        changes: of the document, until it is tried again; None is never. They double from one failure to the next, so
            that a document that is written and read all the time does not kill the engine all the time.
        waits: requests that are refused until one is tried, whatever has changed; None where that is not the measure.
            They double, too.
    """

    reason: str
    changes: int | None
    next_changes: int = 2
    waits: int | None = None
    next_waits: int = 2

    def refuses(self) -> bool:
        """Whether it still holds for one that asks now."""
        if self.waits is None:
            return self.changes != 0
        self.waits -= 1
        return self.waits >= 0


class Quarantine(Protocol):
    """`documents.Log.quarantine`."""

    def __call__(
        self, key: DocumentKey, update: bytes, *, origin: str, reason: str, seq: int | None = None
    ) -> None: ...


class Blame:
    """The verdicts of one worker.

    Args:
        quarantine: is told of every culprit.
        opened: is told what a document reaches that was loaded from its log.
        memory_bytes: that the engine may take.
        full: is told what it was too small for.
    """

    def __init__(
        self,
        quarantine: Quarantine,
        opened: Callable[[DocumentKey, bytes], None],
        *,
        memory_bytes: int = 2**30,
        full: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._quarantine = quarantine
        self._opened = opened
        self._memory_bytes = memory_bytes
        self._full = full
        self._to_try_by_row: set[DocumentKey] = set()
        self._audits: dict[DocumentKey, int] = {}  # how many were made
        self._to_audit: set[DocumentKey] = set()
        self._tried: set[DocumentKey] = set()
        self._bars: dict[tuple[DocumentKey, Task | None], _Bar] = {}
        self._known: dict[tuple[DocumentKey, bytes], str] = {}
        self.quarantined = 0

    def refusal(self, job: Job) -> PeatError | None:
        """Why the job is not even tried: it killed the engine before, and would again, at every document's expense."""
        if self._known and job.culprit is not None and (known := self._known.get(_fingerprint(job))):
            return self._set_aside(job, known)
        return next((Barred(bar.reason) for bar in self._bars_of(job) if bar.refuses()), None)

    def is_barred(self, job: Job) -> bool:
        """Whether it may be refused."""
        return bool(self._bars_of(job))

    def _bars_of(self, job: Job) -> Sequence[_Bar]:
        barred = ((job.key, None), (job.key, job.task)) if self._bars else ()
        return [self._bars[one] for one in barred if one in self._bars]

    def changed(self, key: DocumentKey) -> None:
        """The document got news: what failed with it as it was may do now."""
        if self._bars:
            for (barred, _), bar in self._bars.items():
                if barred == key and bar.changes:
                    bar.changes -= 1

    def pardon(self, key: DocumentKey) -> None:
        """The document's life has ended."""
        self._to_try_by_row.discard(key)
        self._audits.pop(key, None)
        self._to_audit.discard(key)
        self._tried.discard(key)
        self._bars = {barred: bar for barred, bar in self._bars.items() if barred[0] != key}

    def job(self, job: Job, reason: str) -> PeatError:
        """The job did it, asked alone: the error for its caller."""
        if job.culprit is not None:
            if len(self._known) >= _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[_fingerprint(job)] = reason
            return self._set_aside(job, reason)
        what = f"{job.task.name.lower()} of {job.key.name} failed in the engine ({reason})"
        before = self._bars.get((job.key, job.task))
        changes = before.next_changes if before else 1
        bar = _Bar(f"{what}; it is not tried again until the document has changed", changes, 2 * changes)
        self._bars[job.key, job.task] = bar
        return Barred(bar.reason)

    def is_too_large(self, size_bytes: int) -> bool:
        """Whether so much of a document and of what is asked about it may want more memory than there is."""
        return size_bytes * _ORDINARY > self._memory_bytes

    def starved(self, job: Job, reason: str, *, is_opening: bool) -> PeatError:
        """The engine has not memory enough for the job, or (`is_opening`) for its document: that is ours, so nothing is
        set aside. It is tried again, ever more seldom, as what it builds on may have been folded meanwhile."""
        barred = (job.key, None if is_opening else job.task)
        before = self._bars.get(barred)
        waits = before.next_waits if before else 2
        why = f"{job.key.name} takes more memory than the engine may: give the node more with --memory ({reason})"
        self._bars[barred] = _Bar(why, None, waits=waits, next_waits=min(2 * waits, _MOST_WAITS))
        self._full(why)
        return Barred(why)

    def _set_aside(self, job: Job, reason: str) -> PeatError:
        assert job.culprit is not None
        self._quarantine(job.key, job.culprit(), origin=job.origin, reason=reason)
        self.quarantined += 1
        return Quarantined(f"the update of {job.key.name} failed in the engine and was set aside ({reason})")

    def may_audit(self, job: Job) -> bool:
        """A snapshot of the document failed: whether to look for the row that spoils it. There may be several."""
        if job.task is not Task.SNAPSHOT or self._audits.get(job.key, 0) >= _MAX_AUDITS:
            return False
        self._to_audit.add(job.key)
        return True

    def is_to_audit(self, key: DocumentKey) -> bool:
        return key in self._to_audit

    def audited(self, key: DocumentKey) -> None:
        self._to_audit.discard(key)
        self._audits[key] = self._audits.get(key, 0) + 1

    def opening(self, key: DocumentKey, rows: Sequence[StoredUpdate], reason: str) -> None:
        """Opening the document with these rows of its log did it: next time they are tried one by one."""
        if not rows:
            self.row(key, None, reason)
        elif key in self._tried:
            self._bar(key, f"the engine cannot open {key.name}, though each of its updates can be merged ({reason})")
        else:
            self._to_try_by_row.add(key)

    def is_to_try_by_row(self, key: DocumentKey) -> bool:
        return key in self._to_try_by_row

    def tried(self, key: DocumentKey, *, is_through: bool) -> None:
        if is_through:
            self._to_try_by_row.discard(key)
            self._tried.add(key)

    def row(self, key: DocumentKey, row: StoredUpdate | None, reason: str) -> None:
        """A row of the log did it, or (None) the snapshot, without which there is no document."""
        if row is None:
            self._bar(key, f"the engine cannot open the snapshot of {key.name} ({reason})")
            return
        self._quarantine(key, row.update, origin="log", reason=reason, seq=row.seq)
        self.quarantined += 1

    def _bar(self, key: DocumentKey, what: str) -> None:
        self._bars[key, None] = _Bar(f"{what}; it is not tried again until the node restarts", None)

    def opened(self, key: DocumentKey, reach: bytes) -> None:
        """The document was loaded from its log, or what is left of that."""
        self._tried.discard(key)
        self._opened(key, reach)


def _fingerprint(job: Job) -> tuple[DocumentKey, bytes]:
    assert job.culprit is not None
    return job.key, hashlib.sha256(job.culprit()).digest()
