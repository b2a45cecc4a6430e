"""Who is there on one segment, as far as its notices say, and when to ask. Sans-IO; times are seconds on one clock.

Anybody on a LAN can say anything. So whatever is remembered is bounded, a notice that contradicts another one stands
beside it and does not take its place, one that proves nothing has no place but among its like, and one is taken back
only after the node had time to object.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from peatd.discovery.announcer import moment
from peatd.discovery.dnssd import Notice, Told, question
from peatd.names import NodeId

MAX_NOTICES = 256
"""On a segment. A LAN with more nodes of one formation is better served by a list, or Kubernetes."""
MAX_UNPROVEN = 8
"""Besides, of those that prove nothing: nodes that somebody registered by hand, or that never were. So few that beside
a handful of real ones all are dialled at once (view.py), and nobody waits for a ghost's turn to be over."""
_MAX_OF_NODE = 4
"""Of one node id: the node itself, its last life, and what others say in its name."""
_ARRIVALS = 1 / 32
"""Of its places that a room fills a second, once there have been more than fit: each makes us dial somebody."""

_SHORTEST, _LONGEST = 10.0, 120.0
"""Seconds that a notice is good for, whatever it says."""
_FRESH = 0.8
"""Up to what share of its time a notice is told to be known. Less, and all are asked for at once: one question a while,
not one for each."""
_ASKED_AT = (0.8, 0.85, 0.9, 0.95)
"""At which shares of its time a notice is asked for anew (RFC 6762, 5.2), with 2 % of chance."""
_JITTER = 0.02
_MAX_KNOWN = 16
"""Notices that a question tells to be known: as many as its packet has room for."""

_SOON, _SELDOM = 1.0, 60.0
"""Seconds between two questions after nobody in particular: doubling from the first to the second."""
_SPACING = 1.0
"""Seconds between any two (RFC 6762, 5.2)."""
_OBJECTION = 2.5
"""Seconds until a notice that was taken back is forgotten. We ask at once: a node that is there still says so, and its
answers are spaced. (RFC 6762, 10.1, gives it one second and no question.)"""


class _Room:
    """The places of proven notices, or of others."""

    def __init__(self, places: int, now: float) -> None:
        self._places = places
        self._arrivals, self._at = float(places), now
        self._of_node: Counter[NodeId] = Counter()

    def admits(self, node_id: NodeId, now: float) -> bool:
        """Gives a place to one more of this node, if there is one."""
        self._arrivals = min(self._places, self._arrivals + (now - self._at) * _ARRIVALS * self._places)
        self._at = now
        is_full = self._of_node.total() >= self._places or self._of_node[node_id] >= _MAX_OF_NODE
        if is_full or self._arrivals < 1.0:
            return False
        self._arrivals -= 1.0
        self._of_node[node_id] += 1
        return True

    def left(self, node_id: NodeId) -> None:
        self._of_node[node_id] -= 1
        if not self._of_node[node_id]:
            del self._of_node[node_id]


@dataclass(slots=True)
class _Memory:
    room: _Room
    heard: float
    lifetime: float
    jitter: float
    """As a share of its time: what several know comes due at several times, and whoever is first asks for all."""
    asks: int = 0
    ends: float = math.inf
    """Sooner than its lifetime, if it was taken back."""

    @property
    def end(self) -> float:
        return min(self.heard + self.lifetime, self.ends)


class Neighbours:
    """The others.

    Invariants:
        1. No more than `MAX_NOTICES` and `MAX_UNPROVEN` are remembered, each until `_LONGEST` seconds after it was last
           said at most.

    Attributes:
        refused: notices that there was no room for, since the start.
        refused_at: when that was last.
        changes: how often somebody came or went.
    """

    def __init__(
        self, concerns_us: Callable[[Notice], bool], is_proven: Callable[[Notice], bool], now: float, chance: float
    ) -> None:
        """
        Args:
            concerns_us: whether a notice is one of our formation, and not our own.
            is_proven: whether somebody made it who knows the formation's secret.
        """
        self._concerns_us = concerns_us
        self._is_proven = is_proven
        self._memories: dict[Notice, _Memory] = {}
        self._proven, self._others = _Room(MAX_NOTICES, now), _Room(MAX_UNPROVEN, now)
        self._ask_at = now + moment(chance)
        self._interval = _SOON
        self._asked = -math.inf
        self.refused = 0
        self.refused_at = -math.inf
        self.changes = 0

    @property
    def due(self) -> float:
        """When `take` has something to say, or somebody is forgotten."""
        wanted = min([self._ask_at, *(self._refresh_at(memory) for memory in self._memories.values())])
        ends = min((memory.end for memory in self._memories.values()), default=math.inf)
        return min(max(wanted, self._asked + _SPACING), ends)

    def notices(self) -> Sequence[Notice]:
        return tuple(self._memories)

    def told(self, told: Told, now: float, chance: float) -> None:
        for notice, lifetime in told.notices:
            room = self._room(notice, now) if self._concerns_us(notice) else None
            if room is not None:
                lasts = max(_SHORTEST, min(lifetime, _LONGEST))
                self._memories[notice] = _Memory(room, now, lasts, _JITTER * chance)
        for notice, memory in self._memories.items():
            if notice.label in told.gone:
                memory.ends = min(memory.ends, now + _OBJECTION)
                self._ask_at = min(self._ask_at, now)

    def take(self, now: float, chance: float) -> list[bytes]:
        """What to send."""
        self._forget(now)
        asking = [memory for memory in self._memories.values() if self._refresh_at(memory) <= now]
        if now < self._asked + _SPACING or not (asking or self._ask_at <= now):
            return []
        for memory in asking:
            memory.asks += 1
        if self._ask_at <= now:
            self._ask_at = now + self._interval * (1.0 + _JITTER * chance)
            self._interval = min(self._interval * 2.0, _SELDOM)
        self._asked = now
        return [question(self._known(now))]

    def _known(self, now: float) -> list[tuple[str, float]]:
        """The freshest: they need not answer."""
        fresh = {
            notice.label: memory.end - now
            for notice, memory in self._memories.items()
            if now - memory.heard < _FRESH * memory.lifetime and memory.ends == math.inf
        }
        return sorted(fresh.items(), key=lambda one: -one[1])[:_MAX_KNOWN]

    def _refresh_at(self, memory: _Memory) -> float:
        if memory.asks >= len(_ASKED_AT):
            return math.inf
        return memory.heard + memory.lifetime * (_ASKED_AT[memory.asks] + memory.jitter)

    def _room(self, notice: Notice, now: float) -> _Room | None:
        """In which it has its place, or is given one; None if there is none."""
        if notice in self._memories:
            return self._memories[notice].room
        room = self._proven if self._is_proven(notice) else self._others
        if not room.admits(notice.node_id, now):
            self.refused += 1
            self.refused_at = now
            return None
        self.changes += 1
        return room

    def _forget(self, now: float) -> None:
        for notice in [notice for notice, memory in self._memories.items() if memory.end <= now]:
            self._memories.pop(notice).room.left(notice.node_id)
            self.changes += 1
