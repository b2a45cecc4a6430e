"""What was sent to an engine process, and is not answered. Sans-IO."""

from collections import Counter, deque
from collections.abc import Collection, Iterator

from peatd.engine.protocol import Garbled, Reply, Request, stands_alone
from peatd.names import DocumentKey
from peatd.worker_jobs import Sent

_MOST = 512
_MOST_BYTES = 4 * 1024 * 1024
"""On their way at once: enough that neither process waits for the other, little enough to retry one by one."""


class Unanswered:
    """In the order in which it was sent, which is that of the replies."""

    def __init__(self) -> None:
        self._sent: deque[Sent] = deque()
        self._keys: Counter[DocumentKey] = Counter()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent)

    @property
    def is_full(self) -> bool:
        return len(self._sent) >= _MOST or self._bytes >= _MOST_BYTES

    @property
    def keys(self) -> Collection[DocumentKey]:
        """Of the documents that it is about."""
        return self._keys

    def add(self, sent: Sent, request: Request) -> None:
        sent.stands_alone, sent.request = stands_alone(request), request
        self._sent.append(sent)
        self._keys[sent.key] += 1
        self._bytes += sent.weight_bytes

    def answered(self, reply: Reply) -> Sent:
        """The first, of which this is the reply.

        Raises:
            Garbled: if it is no answer to that; the process is not to be believed any more.
        """
        if not (self._sent and self._sent[0].is_answered_by(reply)):
            raise Garbled(f"its answer is a {type(reply).__name__}, which nobody asked for")
        sent = self._sent.popleft()
        self._bytes -= sent.weight_bytes
        self._keys[sent.key] -= 1
        if not self._keys[sent.key]:
            del self._keys[sent.key]
        return sent

    def clear(self) -> list[Sent]:
        """The process has ended: all of it."""
        sent = list(self._sent)
        self._sent.clear()
        self._keys.clear()
        self._bytes = 0
        return sent
