"""Whose job is next: those who ask take turns, so that nobody waits for all that another one has asked. Sans-IO.

Invariants:
1. Jobs about one document come in the order in which they were asked, whoever asks: where the next one of a source
   has to wait for another source's, that one comes in its turn.
2. What `head` gave stays the head until it is taken.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import chain, islice, zip_longest

from peatd.names import DocumentName
from peatd.worker_jobs import Job

_API = "api"
"""All who ask over HTTP are one: they hold the node's own token, or one for documents, and wait for their answers."""


class Turns:
    """The jobs that wait, by their sources: a peer, a client, the API, or the node itself."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, OrderedDict[Job, None]] = OrderedDict()  # whose turn it is stands first
        self._documents: dict[DocumentName, deque[Job]] = {}
        self._count = 0
        self._next: Job | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Job]:
        return (job for jobs in self._sources.values() for job in jobs)

    def ahead(self, most: int) -> Iterator[Job]:
        """The next ones, about in the order in which they will be taken."""
        return islice(filter(None, chain.from_iterable(zip_longest(*self._sources.values()))), most)

    def append(self, job: Job) -> None:
        jobs = self._sources.get(source := _source(job))
        if jobs is None:
            jobs = self._sources[source] = OrderedDict()
        jobs[job] = None
        same_document = self._documents.get(job.key.name)
        if same_document is None:
            self._documents[job.key.name] = deque((job,))
        else:
            same_document.append(job)
        self._count += 1

    def head(self) -> Job | None:
        if self._next is None and self._count:
            asked = next(iter(next(iter(self._sources.values()))))
            self._next = self._documents[asked.key.name][0]  # Invariant 1
        return self._next

    def take(self) -> Job:
        """The head, which has its turn now."""
        job = self.head()
        assert job is not None
        if len(self._sources) > 1:
            self._sources.move_to_end(next(iter(self._sources)))
        jobs, same_document = self._sources[source := _source(job)], self._documents[job.key.name]
        del jobs[job]
        same_document.popleft()
        if not jobs:
            del self._sources[source]
        if not same_document:
            del self._documents[job.key.name]
        self._count -= 1
        self._next = None
        return job


def _source(job: Job) -> str:
    return _API if job.origin.startswith(_API) else job.origin
