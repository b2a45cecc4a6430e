"""Diffs that go to one peer in pieces. Sans-IO. Documents take turns."""

from collections import deque

from peatd.known import Known
from peatd.pieces import Outgoing


class Streams:
    """Attributes:
    ready_bytes: of diffs that are made and not taken yet.
    """

    def __init__(self) -> None:
        self.ready_bytes = 0
        self._waiting: deque[tuple[Known, Outgoing]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, known: Known, outgoing: Outgoing) -> None:
        self._waiting.append((known, outgoing))
        self.ready_bytes += outgoing.remaining_bytes

    def next(self) -> tuple[Known, Outgoing]:
        """Whose turn it is; what is left of it after that is to be added again."""
        known, outgoing = self._waiting.popleft()
        self.ready_bytes -= outgoing.remaining_bytes
        return known, outgoing
