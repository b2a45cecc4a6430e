"""Large updates cut into pieces that fit a message, and put together again. Sans-IO."""

from collections import deque
from dataclasses import dataclass

from peatd.errors import WireError
from peatd.names import DeviceId, DocumentName
from peatd.table import Change
from peatd.update import MAX_UNCUT_BYTES
from peatd.wire.messages import Message, Piece, Updates

PIECE_BYTES = 256 * 1024
"""About what one batch holds: at 10 MB/s a keystroke waits 50 ms behind two of them."""

_NO_VERSION = 0

_OVERHEAD_BYTES = 16
"""About what msgpack adds to one update in a message."""

_ASSEMBLED_BYTES = 2 * MAX_UNCUT_BYTES
"""What one peer may have in pieces here: two of the largest, for documents take turns."""


_BEGUN_BYTES = 4096
"""What an update that has begun counts for at least: whoever begins and ends none fills memory too."""


@dataclass(slots=True)
class Outgoing:
    """A diff on its way: what of it is still to be sent.

    Attributes:
        version: what it leads to. Its last update says so; those before it lead nowhere yet.
        updates: each builds on those before it.
        offset: how much of the first of them was sent.
    """

    name: DocumentName
    incarnation: int
    version: int
    round: int
    updates: deque[bytes]
    offset: int = 0

    @property
    def remaining_bytes(self) -> int:
        return sum(map(len, self.updates)) - self.offset

    def next_message(self) -> Updates | Piece:
        """The next update, or the next piece of it where it is large."""
        update, offset, total = self.updates[0], self.offset, len(self.updates[0])
        version = self.version if len(self.updates) == 1 else _NO_VERSION
        self.offset = min(offset + PIECE_BYTES, total)
        if self.offset == total:
            self.updates.popleft()
            self.offset = 0
        if total <= PIECE_BYTES:
            return Updates(self.name, self.incarnation, version, self.round, [update])
        part = update[offset : offset + PIECE_BYTES]
        return Piece(self.name, self.incarnation, version, self.round, total, offset, part)


class Assembly:
    """The pieces from one peer that are not whole yet."""

    def __init__(self) -> None:
        self._parts: dict[str, bytearray] = {}
        self._held_bytes = 0

    def add(self, piece: Piece) -> Updates | None:
        """The whole update, once its last piece is in. A piece at offset 0 begins anew.

        Raises:
            WireError: if the piece does not follow the one before, or the update is larger than any may be.
        """
        if piece.total_bytes > MAX_UNCUT_BYTES:
            raise WireError(f"{piece.name}: an update of {piece.total_bytes} bytes; the limit is {MAX_UNCUT_BYTES}")
        if piece.offset == 0:
            self._forget(piece.name)
            self._parts[piece.name] = bytearray()
            self._held_bytes += _BEGUN_BYTES
        whole = self._parts.get(piece.name)
        if whole is None or len(whole) != piece.offset or piece.offset + len(piece.part) > piece.total_bytes:
            raise WireError(f"{piece.name}: a piece at {piece.offset} does not follow the one before")
        whole += piece.part
        self._held_bytes += len(piece.part)
        if len(whole) < piece.total_bytes:
            if self._held_bytes > _ASSEMBLED_BYTES:
                raise WireError(f"{self._held_bytes} bytes of unfinished updates; the limit is {_ASSEMBLED_BYTES}")
            return None
        self._forget(piece.name)
        return Updates(piece.name, piece.incarnation, piece.version, piece.round, [bytes(whole)])

    def _forget(self, name: str) -> None:
        if (whole := self._parts.pop(name, None)) is not None:
            self._held_bytes -= len(whole) + _BEGUN_BYTES


def fill(changes: list[Change], budget: int, receiver: DeviceId, version: int) -> tuple[list[bytes], int]:
    """As many updates as fit, without those that the receiver brought; and the version that they lead to."""
    updates: list[bytes] = []
    for change in changes:
        if budget <= 0:
            return updates, change.version - 1
        if change.origin != receiver:
            updates.append(change.update)
            budget -= len(change.update) + _OVERHEAD_BYTES
    return updates, version


def size_bytes(message: Message) -> int:
    """About what the message takes on the wire."""
    match message:
        case Updates():
            return sum(len(update) + _OVERHEAD_BYTES for update in message.updates) + _OVERHEAD_BYTES
        case Piece():
            return len(message.part)
        case _:
            return _OVERHEAD_BYTES
