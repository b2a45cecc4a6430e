"""Who is at which document: the latest awareness state of each client of this node and of its peers. Sans-IO.

Awareness (y-protocols `awareness.js`) is what passes: cursors, names, selections. Each client has one state, JSON, and
a clock that goes up with every change; state and clock are told again every 15 s, or the state is over after 30.

Rules:
1. The latest state counts, and only that is ever sent. Nothing is stored.
2. Who introduced a client id speaks for it, nobody else: a connection here, or the peer whose connection it is. A claim
   to an id that is taken is kept until its owner has left: so a client that comes back before its old connection is
   known to be dead is seen at once, and nobody is pushed out. Stock clients send back whatever they hear: what comes
   after a connection was told of the others (`has_heard`) is no claim, but an echo.
3. What goes is told once, with the clock it had; its clock is remembered for a while, and who comes back begins
   above it. Else the others would take its first state for an old one and not show it for 15 s.
4. A node tells its peers of its own clients only; what it hears from peers it does not pass on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from peatd.names import DeviceId, DocumentName

EXPIRES_AFTER = 30.0
"""Seconds without a word from a client: y-protocols' `outdatedTimeout`."""
DOUBTED_FOR = 5.0
"""Seconds that states outlive the link to their node: it may be back at once, and tells them again."""
_REMEMBERED_FOR = 60.0
"""Seconds that the clock of a state that went is known (rule 3): longer than its echo is under way."""
MAX_IDS = 32
"""That one connection speaks for: a browser's tabs may share one."""


@dataclass(frozen=True, slots=True)
class Told:
    """One client's state as it is sent: JSON, empty when it went."""

    client: int
    clock: int
    state: bytes


@dataclass(slots=True, eq=False)
class Speaker:
    """A connection's part in one document's awareness.

    Attributes:
        ids: that it introduced.
        claims: ids that were taken when it wanted to introduce them, with what it said last.
        has_heard: it was told who else is there.
    """

    name: DocumentName
    ids: set[int] = field(default_factory=set)
    claims: dict[int, Told] = field(default_factory=dict)
    has_heard: bool = False


@dataclass(slots=True, eq=False)
class _State:
    """`ahead` is what is added to the client's own clock (rule 3); `doubted_at`: its node's link ended then."""

    clock: int
    state: bytes
    owner: Speaker | DeviceId
    heard_at: float
    ahead: int = 0
    doubted_at: float | None = None


@dataclass(slots=True, eq=False)
class _Place:
    """One document: who is there, and the clocks of who has gone, with the time."""

    states: dict[int, _State] = field(default_factory=dict)
    gone: dict[int, tuple[int, float]] = field(default_factory=dict)
    speakers: set[Speaker] = field(default_factory=set)


class Awareness:
    """All states that this node knows.

    Args:
        changed: is told of each client of a document that has a new state, or went.
    """

    def __init__(self) -> None:
        self._places: dict[DocumentName, _Place] = {}
        self._listeners: list[Callable[[DocumentName, int], object]] = []
        self._feeds: set[Feed] = set()

    def watch(self, changed: Callable[[DocumentName, int], object]) -> None:
        """From now on it is told of each client of a document that has a new state, or went."""
        self._listeners.append(changed)

    # Clients of this node --------------------------------------------------------------------------------------

    def enter(self, name: DocumentName) -> Speaker:
        """A connection takes part in a document."""
        speaker = Speaker(name)
        self._place(name).speakers.add(speaker)
        return speaker

    def leave(self, speaker: Speaker, now: float) -> None:
        """The connection has ended: what it spoke for goes."""
        place = self._place(speaker.name)
        place.speakers.discard(speaker)
        for client in list(speaker.ids):
            self._remove(speaker.name, place, client, now)
        self._tidy(speaker.name, place)

    def heard(self, speaker: Speaker, told: Sequence[Told], now: float) -> None:
        """What a connection says."""
        place = self._place(speaker.name)
        for said in told:
            known = place.states.get(said.client)
            if known is None:
                self._introduce(speaker, place, said, now)
            elif known.owner is speaker:
                self._renew(speaker.name, place, said, known, now)
            elif said.client in speaker.claims or (said.state and not speaker.has_heard):
                if len(speaker.claims) < MAX_IDS:
                    speaker.claims[said.client] = said  # rule 2
                if known.doubted_at is not None:
                    self._take_over(speaker, place, said, known.clock, now)

    def is_free(self, name: DocumentName, client: int) -> bool:
        """Whether nobody speaks for this client id."""
        return client not in self._place(name).states

    def _introduce(self, speaker: Speaker, place: _Place, said: Told, now: float) -> None:
        gone, _ = place.gone.get(said.client, (-1, 0.0))
        is_echo = said.clock <= gone and speaker.has_heard and said.client not in speaker.claims
        if said.state and not is_echo and len(speaker.ids) < MAX_IDS:
            self._take_over(speaker, place, said, gone, now)

    def _take_over(self, speaker: Speaker, place: _Place, said: Told, known_clock: int, now: float) -> None:
        speaker.claims.pop(said.client, None)
        speaker.ids.add(said.client)
        ahead = max(0, known_clock + 1 - said.clock)
        place.states[said.client] = _State(said.clock + ahead, said.state, speaker, now, ahead)
        self._changed(speaker.name, said.client)

    def _renew(self, name: DocumentName, place: _Place, said: Told, known: _State, now: float) -> None:
        clock = said.clock + known.ahead
        if clock < known.clock or (clock == known.clock and said.state):
            return
        known.clock, known.heard_at = clock, now
        if said.state:
            known.state = said.state
            self._changed(name, said.client)
        else:
            self._remove(name, place, said.client, now)

    # Peers -----------------------------------------------------------------------------------------------------

    def peer_told(self, device_id: DeviceId, name: DocumentName, told: Sequence[Told], now: float) -> None:
        """What a peer says of its clients."""
        place = self._place(name)
        for said in told:
            known = place.states.get(said.client)
            if known is not None and known.owner != device_id and not self._succeeds(said, known):
                continue
            if said.state:
                gone, _ = place.gone.get(said.client, (-1, 0.0))
                if said.clock > gone and (known is None or said.clock >= known.clock):
                    is_news = known is None or said.clock > known.clock
                    place.states[said.client] = _State(said.clock, said.state, device_id, now)
                    if is_news:
                        self._changed(name, said.client)
            elif known is not None and known.owner == device_id:
                known.clock = max(known.clock, said.clock)
                self._remove(name, place, said.client, now)
        self._tidy(name, place)

    def doubt(self, device_id: DeviceId, now: float) -> None:
        """A link to the peer ended, or begins: what it does not tell again soon is over."""
        for place in self._places.values():
            for state in place.states.values():
                if state.owner == device_id and state.doubted_at is None:
                    state.doubted_at = now

    def feed(self, wake: Callable[[], None]) -> "Feed":
        """What a new link has to tell: all clients of this node, and from now on their changes."""
        feed = Feed(self, wake)
        self._feeds.add(feed)
        for name, place in self._places.items():
            for client, state in place.states.items():
                if isinstance(state.owner, Speaker):
                    feed.mark(name, client)
        return feed

    def end(self, feed: "Feed") -> None:
        self._feeds.discard(feed)

    # For all ---------------------------------------------------------------------------------------------------

    def told(self, name: DocumentName, clients: Mapping[int, None] | None = None) -> list[Told]:
        """The states of these clients, or of all who are there; of some who went, that they did."""
        place = self._places.get(name)
        if place is None:
            return []
        if clients is None:
            return [Told(client, state.clock, state.state) for client, state in place.states.items()]
        return [found for client in clients if (found := self._found(place, client)) is not None]

    def expire(self, now: float) -> None:
        """Removes who was silent for too long, or whose node is gone."""
        for name, place in list(self._places.items()):
            for client, state in list(place.states.items()):
                doubted = state.doubted_at is not None and now - state.doubted_at >= DOUBTED_FOR
                if doubted or now - state.heard_at >= EXPIRES_AFTER:
                    self._remove(name, place, client, now)
            for client, (_, since) in list(place.gone.items()):
                if now - since >= _REMEMBERED_FOR:
                    del place.gone[client]
            self._tidy(name, place)

    def count(self) -> int:
        """How many clients have a state."""
        return sum(len(place.states) for place in self._places.values())

    def _succeeds(self, said: Told, known: _State) -> bool:
        """Whether another peer's word on a client counts: it has moved there."""
        if isinstance(known.owner, Speaker):
            return False
        return bool(said.state) and (said.clock > known.clock or known.doubted_at is not None)

    def _found(self, place: _Place, client: int) -> Told | None:
        state = place.states.get(client)
        if state is not None:
            return Told(client, state.clock, state.state)
        gone = place.gone.get(client)
        return Told(client, gone[0], b"") if gone is not None else None

    def _remove(self, name: DocumentName, place: _Place, client: int, now: float) -> None:
        state = place.states.pop(client)
        place.gone[client] = state.clock, now
        was_ours = isinstance(state.owner, Speaker)
        if isinstance(state.owner, Speaker):
            state.owner.ids.discard(client)
        heir = next((speaker for speaker in place.speakers if client in speaker.claims), None)
        if heir is not None:
            self._take_over(heir, place, heir.claims[client], state.clock, now)
        else:
            self._changed(name, client, to_peers=was_ours)

    def _changed(self, name: DocumentName, client: int, *, to_peers: bool | None = None) -> None:
        for listener in self._listeners:
            listener(name, client)
        if to_peers is None:
            state = self._places[name].states.get(client)
            to_peers = state is not None and isinstance(state.owner, Speaker)
        if to_peers:  # rule 4
            for feed in self._feeds:
                feed.mark(name, client)

    def _place(self, name: DocumentName) -> _Place:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = _Place()
        return place

    def _tidy(self, name: DocumentName, place: _Place) -> None:
        if not (place.states or place.gone or place.speakers):
            self._places.pop(name, None)


class Feed:
    """What one peer has still to be told: a set, so a slow peer gets the latest state only."""

    def __init__(self, awareness: Awareness, wake: Callable[[], None]) -> None:
        self._awareness = awareness
        self._wake = wake
        self._untold: dict[DocumentName, dict[int, None]] = {}

    def mark(self, name: DocumentName, client: int) -> None:
        self._untold.setdefault(name, {})[client] = None
        self._wake()

    def take(self, budget_bytes: int) -> Iterator[tuple[DocumentName, list[Told]]]:
        """About as much as fits the budget, a document at a time."""
        while self._untold and budget_bytes > 0:
            name, clients = next(iter(self._untold.items()))
            told: list[Told] = []
            while clients and budget_bytes > 0:
                client = next(iter(clients))
                del clients[client]
                told += self._awareness.told(name, {client: None})
                budget_bytes -= 32 + (len(told[-1].state) if told else 0)
            if not clients:
                del self._untold[name]
            yield name, told
