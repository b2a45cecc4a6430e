"""Who else is in a room: passes awareness on to its clients, the latest of each, not more often than eyes can tell."""

from collections.abc import Iterable, Mapping

from peatd.awareness import Awareness
from peatd.clients import frames, protocol, states
from peatd.clients.seat import Seat
from peatd.names import DocumentName

INTERVAL = 0.03
"""Seconds between two tellings in a busy room: 200 clients that move once a second are 33 messages for each, not 200.
The first change after a pause is told at once."""


class Company:
    """The awareness of one room.

    Attributes:
        due_at: trio time from which on changes may be told.
    """

    def __init__(self, name: DocumentName, awareness: Awareness, seats: Iterable[Seat]) -> None:
        self.due_at = 0.0
        self._name = name
        self._awareness = awareness
        self._seats = seats
        self._changed: dict[int, None] = {}

    def changed(self, client: int) -> None:
        self._changed[client] = None

    def tell(self, seat: Seat) -> None:
        """Tells one client of all others who are here, and from now on of their moves."""
        if seat.line.is_full:  # who asks without reading the answers does not fill our memory with them
            seat.missed_presence = True
            return
        told = self._awareness.company(seat.speaker)
        if told:
            seat.say(protocol.presence(states.encode(told)))

    def has_room(self, seat: Seat) -> None:
        """The client's line has room again."""
        if seat.missed_presence:
            seat.missed_presence = False
            self.tell(seat)

    def flush(self, now: float) -> None:
        """Tells everybody what has changed."""
        changed, self._changed = self._changed, {}
        self.due_at = now + INTERVAL
        framed: dict[bytes, bytes] = {}
        for seat in self._seats:
            speaker = seat.speaker
            if not speaker.is_listening:
                continue  # it will be told of all
            if seat.line.is_full:
                seat.missed_presence = True
            elif speaker.ids.isdisjoint(changed):
                if seat.prefix not in framed:
                    framed[seat.prefix] = self._frame(seat.prefix, changed)
                seat.line.send(framed[seat.prefix])
            elif others := {client: None for client in changed if client not in speaker.ids}:
                seat.line.send(self._frame(seat.prefix, others))
            if not speaker.has_heard:
                speaker.heard_of.update(changed)

    def _frame(self, prefix: bytes, changed: Mapping[int, None]) -> bytes:
        return frames.frame(prefix + protocol.presence(states.encode(self._awareness.told(self._name, changed))))
