"""Who may try a handshake now, and how often a failed one is worth a line in the log. Sans-IO.

Before its proof a connection is a stranger's, and costs us memory and a signature: so few are let in at a time.
"""

from collections import Counter, OrderedDict

MAX_HANDSHAKES = 64
"""In progress at once; at most 10 s each."""
MAX_HANDSHAKES_PER_HOST = 8
"""So that one host cannot keep all others out."""

SAY_INTERVAL = 60.0
"""Seconds between two lines about the same thing."""
_MAX_REMEMBERED = 256


class Admission:
    """Counts the handshakes in progress.

    Attributes:
        turned_away: connections that were not admitted, since the start.
    """

    def __init__(self) -> None:
        self.turned_away = 0
        self._per_host: Counter[str] = Counter()

    def admit(self, host: str) -> bool:
        """Whether a connection from `host` may try; if so, `release` follows."""
        if self._per_host.total() >= MAX_HANDSHAKES or self._per_host[host] >= MAX_HANDSHAKES_PER_HOST:
            self.turned_away += 1
            return False
        self._per_host[host] += 1
        return True

    def release(self, host: str) -> None:
        self._per_host[host] -= 1
        if not self._per_host[host]:
            del self._per_host[host]


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
