"""One client's place in one room: what it is known to have, and so what it is owed. Sans-IO.

Over TCP a client has what was put on its line, as long as the line lives. So a seat is one of

    silent      it has not said what it has (step 1), and is owed nothing
    owed        a diff against `vector`, which is being made
    in transit  of a diff that was made, `diff`, the pieces from `next_piece` on are still to be put
    behind      its line was full at `mark`: once there is room again it is owed a diff against that
    in step     it gets all news as they come

and only the room moves it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from peatd.clients import frames, protocol
from peatd.speakers import Speaker

PIECE_BYTES = 256 * 1024
"""Of a large diff, and of what others get of a large update: at 20 KB/s, the slowest line that is of any use, a client
hears something every 13 s."""


class Line(Protocol):
    """What a seat needs of its client's line (line.py)."""

    @property
    def has_room(self) -> bool: ...

    @property
    def is_full(self) -> bool: ...

    def send(self, data: bytes) -> None: ...

    def send_parts(self, *parts: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in a document's life.

    Attributes:
        vector: the document's state vector then.
    """

    version: int
    vector: bytes


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Diff:
    """What somebody lacks, as updates each of which builds on those before it. It leads to `mark`.

    Shared by all who lack the same, and gone with the last of them.
    """

    pieces: Sequence[bytes]
    mark: Mark


@dataclass(slots=True, eq=False)
class Seat:
    """A client that attends a room.

    Attributes:
        speaker: its part in the document's awareness.
        prefix: stands before each of its messages.
        leave: ends its attendance: a close code, and why in words.
        origin: names the client to the quarantine.
        answers: the next diff answers its step 1.
        waits: a diff is being made for it; it may have asked for another since.
        missed_presence: its line was full when others moved.
    """

    line: Line
    speaker: Speaker
    prefix: bytes
    may_write: bool
    leave: Callable[[int, str], None]
    origin: str
    answers: bool = False
    waits: bool = False
    vector: bytes | None = None
    diff: Diff | None = None
    next_piece: int = 0
    mark: Mark | None = None
    missed_presence: bool = False

    def say(self, message: bytes) -> None:
        """Sends one message."""
        self.line.send(frames.frame(self.prefix + message))

    def send_piece(self) -> bool:
        """Sends the next piece of its diff; whether it was the last."""
        assert self.diff is not None
        piece = self.diff.pieces[self.next_piece]
        self.next_piece += 1
        is_last = self.next_piece == len(self.diff.pieces)
        step = protocol.STEP_2 if is_last and self.answers else protocol.UPDATE
        head = self.prefix + protocol.head(protocol.SYNC, step, len(piece))
        # The piece itself is not copied: it is the same for all who are sent it.
        self.line.send_parts(frames.head(len(head) + len(piece)) + head, piece)
        return is_last

    def reset(self) -> None:
        """Nothing is known of it, and nothing on its way."""
        self.vector = self.diff = self.mark = None
        self.next_piece = 0
