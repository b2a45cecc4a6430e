"""One document's clients: who of them has what, and what they are sent.

News are framed once and put on the line of everybody who is in step, but of who wrote them. Nobody waits for a client
whose line is full: it falls behind, and is owed one diff when it has room again (seat.py).
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from weakref import ReferenceType, WeakValueDictionary, finalize, ref

from peatd.awareness import Awareness
from peatd.clients import closes, frames, protocol
from peatd.clients.company import Company
from peatd.clients.seat import PIECE_BYTES, Diff, Mark, Seat
from peatd.clients.shelf import Place, Shelf
from peatd.clients.writing import Writing
from peatd.entry import Copy, Entry
from peatd.errors import Gap, PeatError
from peatd.names import DocumentName
from peatd.reach import EMPTY_STATE_VECTOR, decode_state_vector
from peatd.replication import Replication
from peatd.update import check

_QUICKLY_CHECKED_BYTES = 64 * 1024
"""A few milliseconds."""


class Room:
    """The seats of one document.

    Invariants:
        1. A seat is silent, owed, in transit, behind or in step (seat.py).
        2. Who is in step was sent all news but `_news`, which lead from `_told` to the entry's version.

    Args:
        unsettled: is called when there are news to flush.
    """

    def __init__(
        self,
        name: DocumentName,
        replication: Replication,
        awareness: Awareness,
        shelf: Shelf,
        unsettled: Callable[["Room"], None],
    ) -> None:
        self.name = name
        self.seats: set[Seat] = set()
        self.company = Company(name, awareness, self.seats)
        self.writing = Writing(name, replication)
        self._replication = replication
        self._shelf = shelf
        self._unsettled = unsettled
        self._in_step: set[Seat] = set()
        self._news: list[tuple[bytes, Seat | None]] = []
        self._making: dict[bytes, list[Seat]] = {}
        self._shared: WeakValueDictionary[bytes, Diff] = WeakValueDictionary()
        self._early: dict[Seat, bytes] = {}
        self._entry = self._living()
        self._told = self._entry.version if self._entry else 0

    # Coming and going ------------------------------------------------------------------------------------------

    def enter(self, seat: Seat) -> None:
        """The client is here. It is asked what we lack; it says by itself what it lacks."""
        self.seats.add(seat)
        self._replication.audience[self.name] = len(self.seats)
        if self._entry is not None:
            self._replication.want(self._entry)
        self.ask(seat)

    def exit(self, seat: Seat) -> None:
        self.seats.discard(seat)
        self._early.pop(seat, None)
        self._in_step.discard(seat)
        seat.reset()
        if self.seats:
            self._replication.audience[self.name] = len(self.seats)
        else:
            self._replication.audience.pop(self.name, None)

    def ask(self, seat: Seat) -> None:
        """Has the client send what we lack."""
        seat.say(protocol.step_1(self._entry.reach.state_vector() if self._entry else EMPTY_STATE_VECTOR))

    def told(self, seat: Seat, vector: bytes, clocks: Mapping[int, int]) -> bool:
        """The client has what `vector` says, which is `clocks`. False: that is of an earlier life, and it has to go."""
        self._in_step.discard(seat)
        seat.reset()
        if not clocks.keys().isdisjoint(self.writing.former()):
            return False  # it would offer all that it has of that
        seat.answers = True
        if self._entry is not None and self._entry.copy is not Copy.WHOLE:
            self._early[seat] = vector  # what is here yet would look like all
        elif self._entry is None:
            seat.say(protocol.head(protocol.SYNC, protocol.STEP_2, len(protocol.NOTHING)) + protocol.NOTHING)
            self._in_step.add(seat)
        else:
            self._owe(seat, vector)
        return True

    def has_room(self, seat: Seat) -> None:
        """The client's line has room again."""
        self.company.has_room(seat)
        if seat.diff is not None:
            self._stream(seat, seat.diff)
        elif seat.mark is not None and self._entry is not None:
            mark, seat.mark = seat.mark, None
            if mark.version == self._told:
                self._in_step.add(seat)
            else:
                self._owe(seat, mark.vector)

    def owed(self) -> int:
        """How many of its clients are not in step."""
        return len(self.seats) - len(self._in_step)

    # News ------------------------------------------------------------------------------------------------------

    def begun(self, entry: Entry) -> None:
        """A life of the document began; of a client that took part in another before, that life is over."""
        if self._entry is not None:
            self.ended()
        self._entry = entry
        self._told = entry.version
        self._replication.want(entry)

    def changed(self, update: bytes) -> None:
        self._news.append((update, self.writing.writer))
        self._unsettled(self)

    def arrived(self) -> None:
        """All of the document is here, which was elsewhere."""
        early, self._early = self._early, {}
        for seat, vector in early.items():
            self.told(seat, vector, decode_state_vector(vector))

    def ended(self) -> None:
        """The document was deleted. Its clients go: what they have must not begin it anew."""
        self._news.clear()
        for vector in list(self._making):
            self._served(vector)
        self._entry = None
        for seat in list(self.seats):
            seat.leave(*closes.DELETED)

    def flush(self) -> None:
        """Sends the news to all who are in step."""
        news, self._news = self._news, []
        if not news or self._entry is None:
            return
        self._told = self._entry.version
        writers = {writer for _, writer in news if writer is not None}
        framed: dict[bytes, list[bytes]] = {}
        joined: dict[bytes, bytes] = {}
        fallen = []
        for seat in self._in_step:
            prefix = seat.prefix
            if prefix not in framed:
                framed[prefix] = [frames.frame(prefix + protocol.update(update)) for update, _ in news]
                joined[prefix] = b"".join(framed[prefix])
            if seat in writers:
                others = zip(framed[prefix], news, strict=True)
                if theirs := b"".join(frame for frame, (_, writer) in others if writer is not seat):
                    seat.line.send(theirs)
            else:
                seat.line.send(joined[prefix])
            if seat.line.is_full:
                fallen.append(seat)
        for seat in fallen:
            self._in_step.discard(seat)
            seat.mark = self._mark()

    def _mark(self) -> Mark:
        assert self._entry is not None
        return Mark(self._told, self._entry.reach.state_vector())

    # Diffs -----------------------------------------------------------------------------------------------------

    def _owe(self, seat: Seat, vector: bytes) -> None:
        assert self._entry is not None
        seat.vector = vector
        shared = self._shared.get(vector)
        if shared is not None:
            self._begin(seat, shared)
        elif seat.waits:
            pass  # one diff at a time: however often it asks, the engine has time for others
        elif vector in self._making:
            self._making[vector].append(seat)
            seat.waits = True
        else:
            self._making[vector] = [seat]
            seat.waits = True
            size_bytes = self._replication.store.size_bytes(self.name)
            self._shelf.take(size_bytes, partial(self._make, self._entry, vector, seat.origin))

    def _make(self, entry: Entry, vector: bytes, origin: str, place: Place) -> None:
        if entry is not self._entry:
            self._shelf.give_back(place)
            return
        made, failed = partial(self._made, entry, vector, place), partial(self._not_made, entry, vector, place)
        ask = partial(self._replication.documents.submit_diff, entry.key, vector, piece_bytes=PIECE_BYTES)
        ask(origin=origin, then=made, failed=failed)

    def _made(self, entry: Entry, vector: bytes, place: Place, pieces: list[bytes]) -> None:
        """Called in the order of merging: the diff leads to the document as it is now."""
        if entry is not self._entry:
            self._shelf.give_back(place)
            return
        self.flush()  # Invariant 2: what the diff holds need not be sent behind it
        diff = Diff(pieces, self._mark())
        finalize(diff, self._shelf.give_back, place).atexit = False
        place.give_up = partial(self._give_up, ref(diff))
        if len(diff.pieces) > 1:
            self._shared[vector] = diff
        for seat in self._served(vector):
            if seat.vector == vector:
                self._begin(seat, diff)
            elif seat.vector is not None:  # it has asked again
                self._owe(seat, seat.vector)

    def _give_up(self, diff: ReferenceType[Diff]) -> None:
        """Others wait for the memory."""
        for seat in [seat for seat in self.seats if seat.diff is not None and seat.diff is diff()]:
            seat.leave(*closes.TOO_SLOW)

    def _not_made(self, entry: Entry, vector: bytes, place: Place, error: PeatError) -> None:
        self._shelf.give_back(place)
        if entry is self._entry:
            for seat in self._served(vector):
                seat.leave(*closes.for_error(error))

    def _served(self, vector: bytes) -> Iterable[Seat]:
        """Those who are here and have waited for this diff."""
        waited = self._making.pop(vector, ())
        for seat in waited:
            seat.waits = False
        return [seat for seat in waited if seat in self.seats]

    def _begin(self, seat: Seat, diff: Diff) -> None:
        seat.vector, seat.diff, seat.next_piece = None, diff, 0
        self._stream(seat, diff)

    def _stream(self, seat: Seat, diff: Diff) -> None:
        while seat.line.has_room:
            is_last = seat.send_piece()
            if is_last:
                seat.diff, seat.answers = None, False
                if diff.mark.version == self._told:
                    self._in_step.add(seat)
                else:
                    self._owe(seat, diff.mark.vector)
                return

    # What there is ---------------------------------------------------------------------------------------------

    def covers(self, update: bytes) -> bool:
        """Whether a small update holds nothing that we lack."""
        if self._entry is None or len(update) > _QUICKLY_CHECKED_BYTES:
            return False
        try:
            return self._entry.reach.covers(check(update, subdocuments=True))
        except Gap:
            return False

    def _living(self) -> Entry | None:
        entry = self._replication.table.get(self.name)
        return None if entry is None or entry.deleted else entry
