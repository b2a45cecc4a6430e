"""Which documents are in an engine process's memory, and which to close when they are too many. Sans-IO."""

from collections import OrderedDict, deque
from collections.abc import Container, Iterator
from itertools import count

from peatd.engine.protocol import Encoded, Merged, Reply, news_bytes
from peatd.names import DocumentKey
from peatd.worker_jobs import OpenDocument, StoredLog, Task

_MAX_AUTHORS = 16_384
"""Documents of which it is known who edits them, 5 MB: beyond it each opening for an edit adds a client for good."""


class OpenDocuments:
    """The documents of one process, by when they were last asked about.

    Args:
        limit: how many.
        limit_bytes: of their logs together. In memory a document is several times as large.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._documents: OrderedDict[DocumentKey, OpenDocument] = OrderedDict()
        self._size_bytes = 0
        self._numbers = count(1)
        self._authors: OrderedDict[DocumentKey, tuple[int, int]] = OrderedDict()

    def author(self, key: DocumentKey) -> tuple[int, int]:
        """The client that made this node's own edits so far, and the clock after the last; zeros where there is none.

        It goes on if the log has all of them: a client for every opening would fill the state vector.
        """
        return self._authors.get(key, (0, 0))

    def get(self, key: DocumentKey) -> OpenDocument | None:
        document = self._documents.get(key)
        if document is not None:
            self._documents.move_to_end(key)
        return document

    def add(self, key: DocumentKey, stored: StoredLog, *, by_row: bool) -> OpenDocument:
        """Gives it a number that no document of this worker ever had."""
        size_bytes = len(stored.snapshot or b"") + sum(len(row.update) for row in stored.updates)
        document = OpenDocument(next(self._numbers), size_bytes, deque(stored.updates if by_row else ()))
        self._documents[key] = document
        self._size_bytes += size_bytes
        return document

    def answered(self, key: DocumentKey, document: OpenDocument, task: Task, reply: Reply) -> None:
        """The engine has done something with the document."""
        if size_bytes := news_bytes(reply):
            self._resize(key, document, document.size_bytes + size_bytes)
            if task is Task.EDIT and isinstance(reply, Merged) and reply.ends:  # else it only deletes
                (self._authors[key],) = reply.ends.items()
                self._authors.move_to_end(key)
                if len(self._authors) > _MAX_AUTHORS:
                    self._authors.popitem(last=False)
        elif task is Task.SNAPSHOT and isinstance(reply, Encoded):
            self._resize(key, document, len(reply.encoded))  # it has dropped all that was deleted

    def _resize(self, key: DocumentKey, document: OpenDocument, size_bytes: int) -> None:
        if self._documents.get(key) is document:
            self._size_bytes += size_bytes - document.size_bytes
            document.size_bytes = size_bytes

    def forget(self, key: DocumentKey, document: OpenDocument | None = None) -> OpenDocument | None:
        """Forgets it (only if it is still `document`, where that is given); what was forgotten."""
        if key not in self._documents or document not in (None, self._documents[key]):
            return None
        forgotten = self._documents.pop(key)
        self._size_bytes -= forgotten.size_bytes
        return forgotten

    def end(self, key: DocumentKey) -> OpenDocument | None:
        """Its life is over; what was open."""
        self._authors.pop(key, None)
        return self.forget(key)

    def overdue(self, busy: Container[DocumentKey]) -> Iterator[tuple[DocumentKey, OpenDocument]]:
        """Forgets and gives those to close before one more is opened: the ones asked about longest ago."""
        while len(self._documents) >= self._limit or self._size_bytes >= self._limit_bytes:
            # The oldest are the idle ones: the search ends soon, however many are open.
            key = next((key for key in self._documents if key not in busy), None)
            if key is None:
                return
            document = self._documents.pop(key)
            self._size_bytes -= document.size_bytes
            yield key, document

    def clear(self) -> None:
        """The process ended."""
        self._documents.clear()
        self._size_bytes = 0
