"""What a worker asks its engine process next, and who is to blame when that dies. Sans-IO; `worker.py` acts on it.

Invariants:
1. A job is in exactly one place, `_queue`, `_suspects` or `_sent`: none is lost or done twice when the process dies.
2. Requests about one document are sent, answered and retried in the order in which they were asked.
3. While there are suspects, one request at a time is on its way: what the process then dies of is known.
4. A document's log is loaded only while no request about it is unanswered: so the log has all of its news.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from peatd.engine.protocol import (
    MALFORMED,
    Apply,
    Audit,
    BadRow,
    Close,
    Encoded,
    NotOpen,
    Open,
    Opened,
    Panicked,
    Refused,
    Reply,
    Request,
    frame,
    news_bytes,
)
from peatd.errors import PeatError, Unavailable
from peatd.names import DocumentKey
from peatd.open_documents import OpenDocuments
from peatd.suspicion import Blame
from peatd.turns import Turns
from peatd.unanswered import Unanswered
from peatd.worker_jobs import Death, Job, Load, OpenDocument, Sent, Step, StoredLog, Task, culprit, only_update

_MOST_AHEAD = 64
"""Logs that are loaded at once, as long as all are of use: what one takes is mostly the way there and back."""

_JSON_PACE = 4
"""How much longer than the CRDT library reads and edits of JSON may take, which are Python's."""

_MAX_DEATHS = 5
"""That a job may outlive without being their cause."""


class Schedule:
    """The jobs of one worker."""

    def __init__(self, documents: OpenDocuments, blame: Blame) -> None:
        self._documents = documents
        self._blame = blame
        self._queue = Turns()
        self._suspects: deque[Job] = deque()
        self._sent = Unanswered()
        self._ahead = _MOST_AHEAD
        self.waiting_bytes = 0

    @property
    def waiting(self) -> int:
        """How many jobs, or steps towards them, are not answered."""
        return len(self._queue) + len(self._suspects) + len(self._sent)

    @property
    def has_more(self) -> bool:
        """Whether there is something that was not sent yet."""
        return bool(self._queue or self._suspects)

    @property
    def size_bytes(self) -> int | None:
        """Of the largest document that something is asked about, and what is asked; None when no reply is awaited."""
        return max((sent.size_bytes for sent in self._sent), default=None)

    def submit(self, job: Job) -> None:
        self._queue.append(job)
        self.waiting_bytes += job.size_bytes

    def decide(self) -> Load | bytes | None:
        """What to do now: load a log, send these bytes, or wait for a job, an answer or the process's end."""
        while job := self._head():
            if job.task is Task.CLOSE:
                self._take()
                self._done(job)
                self._blame.pardon(job.key)
                if document := self._documents.end(job.key):
                    return self._close(job.key, document)
            elif refusal := self._blame.refusal(job):
                self._take()
                self._fail(job, refusal)
            elif document := self._documents.get(job.key):
                return self._advance(job, document)
            else:
                return None if job.key in self._sent.keys else Load(self._to_load(job))
        return None

    def _to_load(self, job: Job) -> Sequence[DocumentKey]:
        """Its document, and those that are asked for in whole next: a first sync of many asks for nothing else."""
        ahead = self._queue.ahead(self._ahead) if job.whole_bytes and not self._suspects else ()
        keys = dict.fromkeys([job.key, *(other.key for other in ahead if other.whole_bytes)])
        return list(filter(self._is_to_load, keys))

    def _is_to_load(self, key: DocumentKey) -> bool:
        return self._documents.get(key) is None and key not in self._sent.keys  # Invariant 4

    def _head(self) -> Job | None:
        if self._suspects:
            return None if self._sent else self._suspects[0]  # Invariant 3
        return None if self._sent.is_full else self._queue.head()

    def _take(self) -> Job:
        return self._suspects.popleft() if self._suspects else self._queue.take()

    def _advance(self, job: Job, document: OpenDocument) -> bytes | None:
        """The job's own request, or the next row of its document where those have to be tried."""
        is_alone = bool(self._suspects)
        size = document.size_bytes + job.size_bytes
        if document.rows:
            if not is_alone and self._sent:
                return None
            row = document.rows[0]
            sent = Sent(Step.ROW, job.key, document, size, is_alone=True, job=job, rows=(row,))
            return self._send(Apply(document.number, row.update), sent)
        if job.task in (Task.READ, Task.EDIT):
            size *= _JSON_PACE
        self._take()
        return self._send(job.ask(document.number), Sent(Step.JOB, job.key, document, size, is_alone=is_alone, job=job))

    def _send(self, request: Request, sent: Sent) -> bytes:
        self._sent.add(sent, request)
        return frame(request)

    def _close(self, key: DocumentKey, document: OpenDocument) -> bytes:
        return self._send(Close(document.number), Sent(Step.CLOSE, key, document, 0, is_alone=False))

    def load_failed(self, load: Load, error: PeatError) -> None:
        if (job := self._head()) and job.key == load.keys[0]:
            self._take()
            self._fail(job, error)

    def loaded(self, load: Load, logs: Mapping[DocumentKey, StoredLog]) -> bytes:
        """The logs are there: the bytes to send, none if that answers the job, or another has become more urgent."""
        if (job := self._head()) is None or job.key != load.keys[0] or not self._is_to_load(job.key):
            return b""
        is_whole = self._is_answered_whole(job, logs[job.key])
        sent = b"" if is_whole else self._open(job, logs[job.key])
        while is_whole and (other := self._head()) and other.key in logs and not self._blame.is_barred(other):
            is_whole = self._is_answered_whole(other, logs[other.key])
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if is_whole else 1
        return sent

    def _is_answered_whole(self, job: Job, stored: StoredLog) -> bool:
        """Nobody has it open, and the log has it as it was asked for: a first sync of many documents opens none."""
        whole = only_update(stored)
        if not whole or len(whole) > job.whole_bytes:
            return False
        self._take()
        self._done(job)
        job.answered(Encoded(whole))
        return True

    def _open(self, job: Job, stored: StoredLog) -> bytes:
        """Or audits it, or begins to try it row by row: whatever is needed first."""
        closes = b"".join(self._close(*overdue) for overdue in list(self._documents.overdue(self._sent.keys)))
        is_alone = bool(self._suspects) and not closes
        by_row = self._blame.is_to_try_by_row(job.key)
        document = self._documents.add(job.key, stored, by_row=by_row)
        rows = () if by_row else tuple(stored.updates)
        updates = [row.update for row in rows]
        if self._blame.is_to_audit(job.key):
            request: Request = Audit(document.number, stored.snapshot or b"", updates)
            step = Step.AUDIT
        else:
            request = Open(document.number, stored.snapshot or b"", updates, *self._documents.author(job.key))
            step = Step.OPEN
        sent = Sent(step, job.key, document, document.size_bytes, is_alone, job=job, rows=rows)
        return closes + self._send(request, sent)

    def answered(self, reply: Reply) -> None:
        """The reply to the first of what was sent.

        Raises:
            Garbled: if it is no answer to that; the process is not to be believed any more.
        """
        sent = self._sent.answered(reply)
        match sent.step:
            case Step.JOB:
                assert sent.job is not None
                self._job_answered(sent, sent.job, reply)
            case Step.OPEN:
                self._open_answered(sent, reply)
            case Step.AUDIT:
                self._blame.audited(sent.key)
                self._open_answered(sent, reply)
            case Step.ROW:
                self._row_answered(sent, reply)

    def _job_answered(self, sent: Sent, job: Job, reply: Reply) -> None:
        if isinstance(reply, Panicked | NotOpen):
            self._documents.forget(sent.key, sent.document)
            if isinstance(reply, Panicked) and sent.is_alone and not self._blame.may_audit(job):
                self._fail(job, self._blame.job(job, reply.reason))
            else:
                self._retry(sent, job)
            return
        self._documents.answered(sent.key, sent.document, job.task, reply)
        if news_bytes(reply):
            self._blame.changed(sent.key)
        self._done(job)
        job.answered(reply)

    def _open_answered(self, sent: Sent, reply: Reply) -> None:
        if isinstance(reply, Opened):
            if not sent.document.rows:
                self._blame.opened(sent.key, reply.reach)
            return
        self._documents.forget(sent.key, sent.document)
        if isinstance(reply, BadRow):
            row = sent.rows[reply.index] if reply.index >= 0 else None
            self._blame.row(sent.key, row, reply.reason)

    def _row_answered(self, sent: Sent, reply: Reply) -> None:
        rows = sent.document.rows
        if isinstance(reply, Panicked) or (isinstance(reply, Refused) and reply.code == MALFORMED):
            reason = reply.reason if isinstance(reply, Panicked) else reply.message
            self._blame.row(sent.key, rows[0], reason)
        if not isinstance(reply, NotOpen):
            rows.popleft()
        if isinstance(reply, NotOpen | Panicked) or not rows:
            # All are tried, or the engine dropped it: from here the log is opened as always, without the culprits.
            self._blame.tried(sent.key, is_through=not rows)
            self._documents.forget(sent.key, sent.document)

    def _retry(self, sent: Sent, job: Job) -> None:
        """Invariant 2: what was asked alone is the first of the suspects, all else follows those before it."""
        (self._suspects.appendleft if sent.is_alone else self._suspects.append)(job)

    def died(self, reason: str, death: Death) -> None:
        """The process is gone, and with it all documents in memory."""
        unanswered = self._sent.clear()
        self._documents.clear()
        guilty = culprit(unanswered, death)
        for sent in unanswered:
            job = sent.job
            if job is None:
                continue
            if sent is guilty and death is Death.MEMORY and self._blame.is_too_large(sent.size_bytes):
                self._starved(sent, job, reason)
            elif sent is guilty:
                self._killed(sent, job, reason)
            elif sent.step is Step.JOB:
                job.deaths += 1
                self._retry(sent, job)
            elif self._queue.head() is job:  # its document was being opened: it is a suspect too
                job.deaths += 1
                self._suspects.append(self._queue.take())
            elif sent.is_alone:
                job.deaths += 1
        self._give_up_on_the_unlucky()

    def _killed(self, sent: Sent, job: Job, reason: str) -> None:
        match sent.step:
            case Step.JOB:
                self._fail(job, self._blame.job(job, reason))
            case Step.OPEN:
                job.deaths += 1
                self._blame.opening(sent.key, sent.rows, reason)
            case Step.AUDIT:
                job.deaths += 1
                self._blame.audited(sent.key)
            case Step.ROW:
                self._blame.row(sent.key, sent.rows[0], reason)

    def _starved(self, sent: Sent, job: Job, reason: str) -> None:
        """Whatever it was doing for the job, and be it for a row of the log: nothing is wrong but our memory."""
        error = self._blame.starved(job, reason, is_opening=sent.step is not Step.JOB)
        if sent.step is Step.JOB:
            self._fail(job, error)

    def _give_up_on_the_unlucky(self) -> None:
        """A bound to how often the process may die around a job without anyone's fault; its caller may ask again."""
        for job in [job for job in self._suspects if job.deaths > _MAX_DEATHS]:
            self._suspects.remove(job)
            self._fail(job, Unavailable("the engine process was ended again and again: try later"))

    def give_up(self, error: PeatError) -> None:
        """Fails all that is waiting."""
        jobs = [sent.job for sent in self._sent.clear() if sent.step is Step.JOB and sent.job]
        jobs += [*self._suspects, *self._queue]
        self._suspects.clear()
        self._queue = Turns()
        for job in jobs:
            self._fail(job, error)

    def _done(self, job: Job) -> None:
        self.waiting_bytes -= job.size_bytes

    def _fail(self, job: Job, error: PeatError) -> None:
        self._done(job)
        job.failed(error)
