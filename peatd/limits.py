"""The limits of a node as its operator sees them: each hit is counted, and the first of a kind in a minute is a line.

What a limit is, and why, stands where it is kept. Whoever is over one is slowed down first, and then turned away with a
reason; the node itself never pays for it with its life.
"""

import time
from collections.abc import Callable
from enum import Enum

import structlog

from peatd.measures import Kind, Measure

log = structlog.get_logger()

SAY_INTERVAL = 60.0
"""Seconds between two lines about the same limit: whoever presses against it does so thousands of times."""


class Limit(Enum):
    """What can be used up. The value names it in logs and metrics."""

    FILE_DESCRIPTORS = "file_descriptors"
    MESH_HANDSHAKES = "mesh_handshakes"
    API_CONNECTIONS = "api_connections"
    ENGINE_MEMORY = "engine_memory"
    REQUEST_MEMORY = "request_memory"
    PEER_UPDATES = "peer_updates"
    LINKS = "links"
    DOCUMENTS = "documents"
    CLIENTS = "clients"
    CLIENT_HANDSHAKES = "client_handshakes"
    CLIENT_MESSAGES = "client_messages"
    CLIENT_DIFFS = "client_diffs"
    RELAY_HANDSHAKES = "relay_handshakes"
    RELAY_REGISTRATIONS = "relay_registrations"
    RELAY_CIRCUITS = "relay_circuits"
    RELAY_RATE = "relay_rate"


class LimitHits:
    """How often each limit was hit.

    Attributes:
        counts: since the start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = dict.fromkeys(Limit, 0)
        self._clock = clock
        self._said: dict[Limit, tuple[float, int]] = {}

    def measure(self) -> Measure:
        counts = [((limit.value,), count) for limit, count in self.counts.items()]
        meaning = "What was refused or had to wait for a limit's sake."
        return Measure("peat_limit_hits_total", Kind.COUNTER, meaning, counts, ("limit",))

    def hit(self, limit: Limit, reason: str) -> None:
        """Counts one, and says so unless it did within the last minute.

        Args:
            reason: what was refused or has to wait, and what the limit is.
        """
        self.counts[limit] += 1
        now = self._clock()
        said_at, hits_then = self._said.get(limit, (-SAY_INTERVAL, 0))
        if now - said_at >= SAY_INTERVAL:
            self._said[limit] = now, self.counts[limit]
            log.warning("limit hit", limit=limit.value, reason=reason, repeated=self.counts[limit] - hits_then - 1)
