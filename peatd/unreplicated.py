"""How much of what was made here is on this node's disk alone, and how long changes take to reach another. Sans-IO.

A document costs two marks, however many of its changes wait: those up to the first mark were made before a peer was
last heard of, the rest since. So the sum errs to the safe side, by what was made during one round trip.
"""

from dataclasses import dataclass

from peatd.measures import Histogram
from peatd.names import DocumentKey, DocumentName

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0)
"""Seconds. Two fsyncs and a round trip; the longest are of peers that were away."""


@dataclass(slots=True)
class _Batch:
    """Changes of one document that wait together.

    Attributes:
        version: the document's with the last of them.
        since: when the first of them was made.
    """

    version: int
    size_bytes: int
    since: float


@dataclass(slots=True)
class _Waiting:
    """What of a document waits: `first`, and what was made since `first` was begun or confirmed."""

    incarnation: int
    first: _Batch
    later: _Batch | None = None


class Unreplicated:
    """The changes made here that no peer is known to have on its disk.

    Attributes:
        size_bytes: of all of them.
        delays: from when a change was made here until the first peer had it on its disk.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self.delays = Histogram(_BOUNDS)
        self._waiting: dict[DocumentName, _Waiting] = {}

    def made(self, key: DocumentKey, version: int, size_bytes: int, now: float) -> None:
        """A change was made here; versions of a document only grow."""
        waiting = self._waiting.get(key.name)
        if waiting is None:
            self._waiting[key.name] = _Waiting(key.incarnation, _Batch(version, size_bytes, now))
        elif waiting.later is None:
            waiting.later = _Batch(version, size_bytes, now)
        else:
            waiting.later.version = version
            waiting.later.size_bytes += size_bytes
        self.size_bytes += size_bytes

    def confirmed(self, key: DocumentKey, version: int, now: float) -> None:
        """A peer has all changes of this life up to the version on its disk."""
        waiting = self._waiting.get(key.name)
        if waiting is None or waiting.incarnation != key.incarnation or version < waiting.first.version:
            return
        self._reached(waiting.first, now)
        if waiting.later is None:
            del self._waiting[key.name]
        elif version < waiting.later.version:
            waiting.first, waiting.later = waiting.later, None
        else:
            self._reached(waiting.later, now)
            del self._waiting[key.name]

    def ended(self, name: DocumentName) -> None:
        """The document was deleted, or begins anew: nobody needs these changes any more."""
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            self.size_bytes -= waiting.first.size_bytes + (waiting.later.size_bytes if waiting.later else 0)

    def _reached(self, batch: _Batch, now: float) -> None:
        self.size_bytes -= batch.size_bytes
        self.delays.observe(now - batch.since)
