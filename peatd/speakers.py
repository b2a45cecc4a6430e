"""What awareness is made of: states, and who speaks for them. Values; the rules are in `awareness.py`. Sans-IO."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from peatd.names import DeviceId, DocumentName
from peatd.wire.messages import MAX_PRESENCE_CLOCK


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
        heard_of: ids of which it was told one by one, before that.
        is_listening: it is told of moves.
    """

    name: DocumentName
    ids: set[int] = field(default_factory=set)
    claims: dict[int, Told] = field(default_factory=dict)
    has_heard: bool = False
    heard_of: set[int] = field(default_factory=set)
    is_listening: bool = False

    def may_echo(self, client: int) -> bool:
        """Whether what it says of this id may be what it was told."""
        return self.has_heard or client in self.heard_of


@dataclass(slots=True, eq=False)
class State:
    """One client's state.

    Attributes:
        said: the clock as its owner tells it; `ahead` is added to it here (rule 3).
        doubted_at: the link to its node ended then.
    """

    said: int
    state: bytes
    owner: Speaker | DeviceId
    heard_at: float
    ahead: int = 0
    doubted_at: float | None = None

    @property
    def clock(self) -> int:
        return min(self.said + self.ahead, MAX_PRESENCE_CLOCK)


@dataclass(frozen=True, slots=True)
class Gone:
    """A client that went at that time: its clock here, and as its owner told it."""

    clock: int
    said: int
    since: float


NEVER_THERE = Gone(-1, -1, 0.0)


@dataclass(slots=True, eq=False)
class Place:
    """One document: who is there, and who has gone."""

    states: dict[int, State] = field(default_factory=dict)
    gone: dict[int, Gone] = field(default_factory=dict)
    speakers: set[Speaker] = field(default_factory=set)


class Feed:
    """What one peer has still to be told: a set, so a slow peer gets the latest state only.

    Args:
        is_to_hear_of: whether the peer is told of clients at that node by us.
    """

    def __init__(
        self,
        to_tell: Callable[[DocumentName, int, DeviceId | None], Told | None],
        wake: Callable[[], None],
        peer: DeviceId,
        is_to_hear_of: Callable[[DeviceId], bool],
    ) -> None:
        self.peer = peer
        self.is_to_hear_of = is_to_hear_of
        self._to_tell = to_tell
        self._wake = wake
        self._untold: dict[tuple[DocumentName, DeviceId | None], dict[int, None]] = {}

    def mark(self, name: DocumentName, client: int, home: DeviceId | None) -> None:
        self._untold.setdefault((name, home), {})[client] = None
        self._wake()

    def take(self, budget_bytes: int) -> Iterator[tuple[DocumentName, DeviceId | None, list[Told]]]:
        """About as much as fits the budget: of clients at one node (None: here) and document at a time."""
        while self._untold and budget_bytes > 0:
            (name, home), clients = next(iter(self._untold.items()))
            told: list[Told] = []
            while clients and budget_bytes > 0:
                client = next(iter(clients))
                del clients[client]
                if (state := self._to_tell(name, client, home)) is not None:
                    told.append(state)
                    budget_bytes -= 32 + len(state.state)
            if not clients:
                del self._untold[name, home]
            if told:
                yield name, home, told


def is_json(state: bytes) -> bool:
    """Whether stock clients can parse the state: JSON in UTF-8, without a byte order mark. Many do not survive another.

    Not for `json.loads` of bytes: to it UTF-16, UTF-32, a byte order mark and encoded surrogates are as good.
    """
    try:
        json.loads(state.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is JSON to Python only")


def begun(said: Told, owner: Speaker | DeviceId, known_clock: int, now: float) -> State:
    """A state whose clock goes on from what was known (awareness.py, rule 3)."""
    return State(said.clock, said.state, owner, now, ahead=max(0, known_clock + 1 - said.clock))
