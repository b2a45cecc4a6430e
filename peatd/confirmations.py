"""What a peer sent and we merged, but have not confirmed to it yet. Sans-IO."""

from collections import deque
from collections.abc import Iterator

from peatd.wire.messages import Durable, Reached

_REACHED_PER_MESSAGE = 1000
_WAITING = 10_000
"""Confirmations; several seconds of the fastest stream of updates."""


class Unconfirmed:
    """In the order of merging: each is to be confirmed once the store has synced its record."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Reached]] = deque()
        self._bound = _WAITING

    def is_due(self, durable_seq: int) -> bool:
        """Whether something can be confirmed."""
        return bool(self._waiting) and self._waiting[0][0] <= durable_seq

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, seq: int, reached: Reached) -> None:
        self._waiting.append((seq, reached))
        if len(self._waiting) > self._bound:
            # It sends and does not read. Of each document the latest says it all.
            latest = {waiting[1].name: waiting for waiting in self._waiting}
            self._waiting = deque(sorted(latest.values(), key=lambda waiting: waiting[0]))
            self._bound = max(_WAITING, 2 * len(self._waiting))

    def forget(self, name: str) -> None:
        """Something of this document could not be merged: what came before must not be taken for all of it."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting[1].name != name)

    def take(self, durable_seq: int) -> Iterator[Durable]:
        """The confirmations that are due; of each document only the latest."""
        latest: dict[str, Reached] = {}
        while self._waiting and self._waiting[0][0] <= durable_seq:
            reached = self._waiting.popleft()[1]
            latest[reached.name] = reached
        documents = list(latest.values())
        for start in range(0, len(documents), _REACHED_PER_MESSAGE):
            yield Durable(documents[start : start + _REACHED_PER_MESSAGE])
