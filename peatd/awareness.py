"""Who is at which document: the latest awareness state of each client of this node and of its peers. Sans-IO.

Awareness (y-protocols `awareness.js`) is what passes: cursors, names, selections. Each client has one state, JSON, and
a clock that goes up with every change; state and clock are told again every 15 s, or the state is over after 30.

Rules:
1. The latest state counts, and only that is ever sent. Nothing is stored.
2. Who introduced a client id speaks for it, nobody else: a connection here, or the peer whose connection it is. A claim
   to an id that is taken is kept until its owner has left: so a client that comes back before its old connection is
   known to be dead is seen at once, and nobody is pushed out. Stock clients send back whatever they hear: what comes
   after a connection was told of the others (`has_heard`), or of this one, is no claim, but an echo.
3. What goes is told once, with the clock it had; its clock is remembered for a while, and who comes back begins
   above it. Who joins is told the others with clocks above all before: it may have been here a moment ago, and dropped
   them when its connection was cut. Else stock clients would take the first state for an old one, and not show it until
   its client tells it anew: up to 15 s.
4. A node tells its peers of its own clients; and of those of other nodes whatever is news to it, if the peer is not
   linked with that node itself. A state belongs to the node that the client is at, whoever tells of it.
"""

from collections.abc import Callable, Mapping, Sequence

from peatd.names import DeviceId, DocumentName
from peatd.speakers import NEVER_THERE, Feed, Gone, Place, Speaker, State, Told, begun

EXPIRES_AFTER = 30.0
"""Seconds without a word from a client: y-protocols' `outdatedTimeout`."""
DOUBTED_FOR = 5.0
"""Seconds that states outlive the link to their node: it may be back at once, and tells them again."""
_REMEMBERED_FOR = 60.0
"""Seconds that the clock of a state that went is known (rule 3): longer than its echo is under way."""
MAX_IDS = 32
"""That one connection speaks for: a browser's tabs may share one."""

_EMPTY = Place()


class Awareness:
    """All states that this node knows.

    Args:
        changed: is told of each client of a document that has a new state, or went.
    """

    def __init__(self) -> None:
        self._places: dict[DocumentName, Place] = {}
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
            elif said.client in speaker.claims or (said.state and not speaker.may_echo(said.client)):
                if len(speaker.claims) < MAX_IDS:
                    speaker.claims[said.client] = said  # rule 2
                if known.doubted_at is not None:
                    self._take_over(speaker, place, said, known.clock, now)

    def is_free(self, name: DocumentName, client: int) -> bool:
        """Whether nobody speaks for this client id."""
        return client not in self._place(name).states

    def _introduce(self, speaker: Speaker, place: Place, said: Told, now: float) -> None:
        gone = place.gone.get(said.client, NEVER_THERE).clock
        is_echo = said.clock <= gone and speaker.may_echo(said.client) and said.client not in speaker.claims
        if said.state and not is_echo and len(speaker.ids) < MAX_IDS:
            self._take_over(speaker, place, said, gone, now)

    def _take_over(self, speaker: Speaker, place: Place, said: Told, known_clock: int, now: float) -> None:
        speaker.claims.pop(said.client, None)
        speaker.ids.add(said.client)
        place.states[said.client] = begun(said, speaker, known_clock, now)
        self._changed(speaker.name, said.client)

    def _renew(self, name: DocumentName, place: Place, said: Told, known: State, now: float) -> None:
        if said.clock < known.said or (said.clock == known.said and said.state):
            return
        known.said, known.heard_at = said.clock, now
        if said.state:
            known.state = said.state
            self._changed(name, said.client)
        else:
            self._remove(name, place, said.client, now)

    # Peers -----------------------------------------------------------------------------------------------------

    def peer_told(
        self, home: DeviceId, name: DocumentName, told: Sequence[Told], now: float, *, via: DeviceId | None = None
    ) -> None:
        """What a node says of its clients.

        Args:
            via: the peer that has passed it on; None if it is that node itself.
        """
        place = self._place(name)
        for said in told:
            if self._hear(home, name, place, said, now, is_passed_on=via is not None):
                self._pass_on(name, said.client, home, via)
        self._tidy(name, place)

    def _hear(
        self, home: DeviceId, name: DocumentName, place: Place, said: Told, now: float, *, is_passed_on: bool
    ) -> bool:
        """Whether it was news."""
        known = place.states.get(said.client)
        if known is None:
            gone = place.gone.get(said.client, NEVER_THERE)
            # A node's own word is no echo: its clients are there. What took a longer way may have been overtaken.
            if not said.state or (is_passed_on and said.clock <= gone.said):
                return False
            place.states[said.client] = begun(said, home, gone.clock, now)
        elif known.owner == home:
            return self._renew_of_peer(name, place, said, known, now)
        elif self._succeeds(said, known):
            place.states[said.client] = begun(said, home, known.clock, now)
        else:
            return False
        self._changed(name, said.client)
        return True

    def _renew_of_peer(self, name: DocumentName, place: Place, said: Told, known: State, now: float) -> bool:
        if not said.state:
            self._remove(name, place, said.client, now)
            return True
        if said.clock < known.said:
            return False
        is_news = said.clock > known.said
        known.said, known.state, known.heard_at, known.doubted_at = said.clock, said.state, now, None
        if is_news:
            self._changed(name, said.client)
        return is_news

    def _pass_on(self, name: DocumentName, client: int, home: DeviceId, via: DeviceId | None) -> None:
        for feed in self._feeds:
            if feed.peer not in (home, via) and feed.is_to_hear_of(home):
                feed.mark(name, client, home)

    def doubt(self, device_id: DeviceId, now: float) -> None:
        """A link to the peer ended, or begins: what it does not tell again soon is over."""
        for place in self._places.values():
            for state in place.states.values():
                if state.owner == device_id and state.doubted_at is None:
                    state.doubted_at = now

    def feed(self, wake: Callable[[], None], peer: DeviceId, is_to_hear_of: Callable[[DeviceId], bool]) -> Feed:
        """What a new link has to tell: all clients of this node, and from now on their changes; and those of the nodes
        of which the peer is to hear by us."""
        feed = Feed(self.to_tell, wake, peer, is_to_hear_of)
        self._feeds.add(feed)
        for name, place in self._places.items():
            for client, state in place.states.items():
                if isinstance(state.owner, Speaker):
                    feed.mark(name, client, None)
                elif state.owner != peer and is_to_hear_of(state.owner):
                    feed.mark(name, client, state.owner)
        return feed

    def end(self, feed: Feed) -> None:
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

    def company(self, speaker: Speaker) -> list[Told]:
        """All others who are there, for one who joins (rule 3); what it says from now on may be an echo."""
        speaker.has_heard = speaker.is_listening = True
        speaker.heard_of.clear()
        place = self._place(speaker.name)
        others = [(client, state) for client, state in place.states.items() if state.owner is not speaker]
        for _, state in others:
            state.ahead += 1
        return [Told(client, state.clock, state.state) for client, state in others]

    def expire(self, now: float) -> None:
        """Removes who was silent for too long, or whose node is gone."""
        for name, place in list(self._places.items()):
            for client, state in list(place.states.items()):
                doubted = state.doubted_at is not None and now - state.doubted_at >= DOUBTED_FOR
                if doubted or now - state.heard_at >= EXPIRES_AFTER:
                    self._remove(name, place, client, now)
            for client, gone in list(place.gone.items()):
                if now - gone.since >= _REMEMBERED_FOR:
                    del place.gone[client]
            self._tidy(name, place)

    def count(self) -> int:
        """How many clients have a state."""
        return sum(len(place.states) for place in self._places.values())

    def _succeeds(self, said: Told, known: State) -> bool:
        """Whether another peer's word on a client counts: it has moved there."""
        if isinstance(known.owner, Speaker):
            return False
        return bool(said.state) and (said.clock > known.said or known.doubted_at is not None)

    def _found(self, place: Place, client: int) -> Told | None:
        state = place.states.get(client)
        if state is not None:
            return Told(client, state.clock, state.state)
        gone = place.gone.get(client)
        return Told(client, gone.clock, b"") if gone is not None else None

    def to_tell(self, name: DocumentName, client: int, home: DeviceId | None) -> Told | None:
        """What a peer is told of a client that is, or was, at that node (None: here); None if it has moved."""
        place = self._places.get(name, _EMPTY)
        state = place.states.get(client)
        if state is None or home is None:
            is_here = state is None or isinstance(state.owner, Speaker)
            return self._found(place, client) if is_here else None
        return Told(client, state.said, state.state) if state.owner == home else None

    def _remove(self, name: DocumentName, place: Place, client: int, now: float) -> None:
        state = place.states.pop(client)
        place.gone[client] = Gone(state.clock, state.said, now)
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
                feed.mark(name, client, None)

    def _place(self, name: DocumentName) -> Place:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = Place()
        return place

    def _tidy(self, name: DocumentName, place: Place) -> None:
        if not (place.states or place.gone or place.speakers):
            self._places.pop(name, None)
