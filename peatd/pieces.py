"""Large updates cut into pieces that fit a message, and put together again. Sans-IO."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from peatd.entry import Change
from peatd.errors import WireError
from peatd.names import DeviceId, DocumentName
from peatd.update import MAX_UNCUT_BYTES
from peatd.wire.messages import Message, Piece, Updates

PIECE_BYTES = 256 * 1024
"""About what one batch holds: at 10 MB/s a keystroke waits 50 ms behind two of them."""

_NO_VERSION = 0

_OVERHEAD_BYTES = 16
"""About what msgpack adds to one update in a message."""

_ASSEMBLED_BYTES = 2 * MAX_UNCUT_BYTES
"""What one peer may have in pieces here: two of the largest, for documents take turns."""


UPDATES_BYTES = 128 * 2**20
"""Of the unfinished updates of all peers, unless less was said."""

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
            return Updates(self.name, self.incarnation, version, self.round, [update], is_pushed=False)
        part = update[offset : offset + PIECE_BYTES]
        return Piece(self.name, self.incarnation, version, self.round, total, offset, part)


@dataclass(slots=True)
class AllHeld:
    """What the unfinished updates of all peers take together.

    Attributes:
        limit_bytes: beyond which only one peer at a time goes on: the others' updates are dropped, and asked for again.
        dropped: is told of each.
    """

    limit_bytes: int = UPDATES_BYTES
    dropped: Callable[[str], object] = lambda _: None
    held_bytes: int = 0


_MOST_DROPPED = 1000
"""Updates of one peer whose rest is not wanted; documents take turns, a few at a time."""


class Assembly:
    """The pieces from one peer that are not whole yet.

    Args:
        of_all: shared with the assemblies of all other peers. Whoever alone holds anything may hold as much as it
            needs, so that an update larger than all of the limit comes through.
    """

    def __init__(self, of_all: AllHeld) -> None:
        self._of_all = of_all
        self._parts: dict[str, bytearray] = {}
        self._dropped: set[str] = set()
        self._held_bytes = 0

    def add(self, piece: Piece) -> Updates | None:
        """The whole update, once its last piece is in. A piece at offset 0 begins anew. Of what had to be dropped, the
        rest is dropped too: it stays owed, and is asked for by the next comparison.

        Raises:
            WireError: if the piece does not follow the one before, or the update is larger than any may be.
        """
        if piece.total_bytes > MAX_UNCUT_BYTES:
            raise WireError(f"{piece.name}: an update of {piece.total_bytes} bytes; the limit is {MAX_UNCUT_BYTES}")
        if piece.offset == 0:
            self._forget(piece.name)
            self._dropped.discard(piece.name)
            self._parts[piece.name] = bytearray()
            self._hold(_BEGUN_BYTES)
        if piece.name in self._dropped:
            return None
        whole = self._parts.get(piece.name)
        if whole is None or len(whole) != piece.offset or piece.offset + len(piece.part) > piece.total_bytes:
            raise WireError(f"{piece.name}: a piece at {piece.offset} does not follow the one before")
        whole += piece.part
        self._hold(len(piece.part))
        if len(whole) < piece.total_bytes:
            if self._held_bytes > _ASSEMBLED_BYTES:
                raise WireError(f"{self._held_bytes} bytes of unfinished updates; the limit is {_ASSEMBLED_BYTES}")
            self._make_room(piece.name)
            return None
        self._forget(piece.name)
        return Updates(piece.name, piece.incarnation, piece.version, piece.round, [bytes(whole)], is_pushed=False)

    def clear(self) -> None:
        """The link has ended."""
        for name in list(self._parts):
            self._forget(name)

    def _make_room(self, name: str) -> None:
        of_all = self._of_all
        if of_all.held_bytes > of_all.limit_bytes and of_all.held_bytes > self._held_bytes:
            self._forget(name)
            self._dropped.add(name)
            if len(self._dropped) > _MOST_DROPPED:
                raise WireError(f"{_MOST_DROPPED} updates were begun for which there was no room")
            of_all.dropped(
                f"{name}: {of_all.limit_bytes} bytes of unfinished updates are held for others: sent again later"
            )

    def _hold(self, size_bytes: int) -> None:
        self._held_bytes += size_bytes
        self._of_all.held_bytes += size_bytes

    def _forget(self, name: str) -> None:
        if (whole := self._parts.pop(name, None)) is not None:
            self._hold(-len(whole) - _BEGUN_BYTES)


def fill(changes: list[Change], budget: int, without: Collection[DeviceId], version: int) -> tuple[list[bytes], int]:
    """As many updates as fit, without those that these peers brought; and the version that they lead to."""
    updates: list[bytes] = []
    for change in changes:
        if budget <= 0:
            return updates, change.version - 1
        if change.origin not in without:
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
