"""Who may try a handshake now, and how often a failed one is worth a line in the log. Sans-IO.

Before its proof a connection is a stranger's, and costs us memory and a signature: so few are let in at a time.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_HANDSHAKES = 64
"""In progress at once; at most 10 s each."""
MAX_HANDSHAKES_PER_HOST = 8
"""So that one host cannot keep all others out."""
PATIENCE = 2.0
"""Seconds that a handshake has for itself: three round trips through a satellite, or a node on a very busy machine.
After it, one that is not done makes room for a newer one: so silence keeps nobody at its address out for long."""

SAY_INTERVAL = 60.0
"""Seconds between two lines about the same thing."""
_MAX_REMEMBERED = 256


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A handshake in progress. `give_up`: ends it, for it has to make room."""

    host: str
    since: float
    give_up: Callable[[], None]


class Admission:
    """The handshakes in progress.

    Invariants:
        1. There are at most `MAX_HANDSHAKES`, and of one host `MAX_HANDSHAKES_PER_HOST`.

    Attributes:
        turned_away: connections that were not admitted, since the start.
    """

    def __init__(self) -> None:
        self.turned_away = 0
        self._attempts: dict[Attempt, None] = {}

    def admit(self, attempt: Attempt) -> bool:
        """Whether this one may try; if so, `release` follows."""
        of_host = [other for other in self._attempts if other.host == attempt.host]
        if len(of_host) >= MAX_HANDSHAKES_PER_HOST:
            is_admitted = self._make_room(of_host, attempt.since)
        else:
            is_admitted = len(self._attempts) < MAX_HANDSHAKES or self._make_room(self._attempts, attempt.since)
        if is_admitted:
            self._attempts[attempt] = None
        else:
            self.turned_away += 1
        return is_admitted

    def release(self, attempt: Attempt) -> None:
        self._attempts.pop(attempt, None)

    def _make_room(self, attempts: Iterable[Attempt], now: float) -> bool:
        oldest = next(iter(attempts))
        if now - oldest.since < PATIENCE:
            return False
        oldest.give_up()
        self.release(oldest)  # Invariant 1: it is as good as gone.
        return True


class Repetitions:
    """Which of many like events are worth saying: the first of its kind, then one in each interval.

    A kind is a host and what happened. At most `_MAX_REMEMBERED` are known; the one that was said longest ago goes.
    """

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def count(self, host: str, what: str, now: float) -> int | None:
        """Counts one event. If it should be said: how many were not since the last one that was; else None."""
        kind = (host, what)
        said_at, unsaid = self._said.get(kind, (float("-inf"), 0))
        if now - said_at < SAY_INTERVAL:
            self._said[kind] = (said_at, unsaid + 1)
            return None
        self._said[kind] = (now, 0)
        self._said.move_to_end(kind)
        if len(self._said) > _MAX_REMEMBERED:
            self._said.popitem(last=False)
        return unsaid
