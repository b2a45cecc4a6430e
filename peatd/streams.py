"""Diffs that go to one peer in pieces. Sans-IO. Documents take turns."""

from collections import deque
from collections.abc import Callable, Iterator

from peatd.entry import Entry
from peatd.known import Known
from peatd.names import DocumentName
from peatd.pieces import PIECE_BYTES, Outgoing, size_bytes
from peatd.wire.messages import Message


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

    def take(
        self, current: Callable[[DocumentName, Known], Entry | None], finished: Callable[[Entry], None]
    ) -> Iterator[Message]:
        """About one piece's worth; documents take turns.

        Args:
            current: the living entry, if a diff made for that is still of use.
            finished: is told when all of one was taken.
        """
        budget = PIECE_BYTES
        while self._waiting and budget > 0:
            known, outgoing = self._waiting.popleft()
            self.ready_bytes -= outgoing.remaining_bytes
            entry = current(outgoing.name, known)
            if entry is None:
                continue
            message = outgoing.next_message()
            budget -= size_bytes(message)
            if outgoing.remaining_bytes:
                self.add(known, outgoing)
            else:
                known.underway = False
                finished(entry)
            yield message
