"""With whom this node keeps links: with all, as long as they are few; else with some. Sans-IO.

As in HyParView (Leitão, Pereira and Rodrigues, 2007) there is an active view, the links, and a passive one, everyone
else who is known. Here that is the whole mesh: members tell each other of all members (gossip), and discovery lists
all, so there is nothing to shuffle. Whom a node dials is chance, and of its links it keeps the quickest: so it
has some to nodes that are near, and others to anywhere.

Rules:
1. A node dials until it has half of the links that it may have, and three if it may. The rest is for those who dial
   it: newcomers find an open door. Each link more costs a copy of all that is told of members.
2. A node that has all its links lets in whoever has few, and ends a link with one that has many. Who has enough is sent
   away, or knows it by HELLO, and goes. So nobody is locked out. A link that has just come up is not ended: nodes that
   start together have few then, would end each other's links all the time, and dial again.
3. Who is beyond reach, or was never met, is dialled however many links there are, one at a time: another half of the
   mesh may be there.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from peatd.gossip.members import Members
from peatd.names import DeviceId, NodeId

_NEAR_SHARE = 4
"""One link in so many is kept for being quick; and with so many of its links a node is safely in the mesh."""
_SAFE = 3
"""Links of each from which on a random mesh holds together."""
_UNTOLD = 2.0
"""Seconds until the card of a new peer tells of its links, and everybody has heard it."""
_SETTLING = 5.0
"""Seconds that a mesh, small enough to be full, has for it: links come up one by one, and word of them later."""
_LOOKED_FOR, _LOOKS = 2.0, 4.0
"""Seconds between two dials to those who may be in another half of the mesh, at least; and how many there are in a
second of all nodes together. The first that leads there is enough: after it everybody is within reach, and each that
comes later only takes the place of another link."""


@dataclass(frozen=True, slots=True)
class Tied:
    """One of our links: to whom, how quick it is (seconds; None if not measured yet), and for how long it is up."""

    device: bytes
    rtt: float | None
    age: float


class View:
    """One node's.

    Args:
        links: the devices that are linked now.
    """

    def __init__(self, members: Members, max_links: int, links: Callable[[], Collection[bytes]]) -> None:
        self._members = members
        self.max_links = max_links
        self._links = links
        self._few = max_links // _NEAR_SHARE
        self._enough = min(max_links, max(max_links // 2, _SAFE))
        self._dialing = 0
        self._looked_at = float("-inf")
        self._full_at = float("-inf")

    @property
    def is_short(self) -> bool:
        """Whether this node is hardly in a mesh that is not full: then any member will do."""
        return len(self._links()) < self._few and len(self._members.present) > self.max_links

    def is_full(self, now: float) -> bool:
        """Whether everybody is linked with everybody; or is about to be, as far as can be told."""
        if self._members.is_full:
            self._full_at = now
        return len(self._members.present) <= self.max_links and now - self._full_at < _SETTLING

    # Whom to dial ----------------------------------------------------------------------------------------------

    @property
    def lacking(self) -> int:
        """How many to dial now in a mesh that is not full (rule 1): half of what it needs. When many start together,
        the others dial this one."""
        return max(0, (self._enough - len(self._links()) + 1) // 2 - self._dialing)

    def wants(self, node_id: NodeId, device_id: DeviceId | None, known: int, now: float) -> bool:
        """Whether to dial whom discovery calls so.

        Args:
            device_id: who answered there last.
            known: how many discovery knows.
        """
        others, links = len(self._members.present), len(self._links())
        if links < self.max_links and max(known, others) <= self.max_links:
            return True
        if self.lacking:
            return True
        pause = max(_LOOKED_FOR, others / _LOOKS)
        if self._is_present(node_id, device_id) or self._dialing or now - self._looked_at < pause:
            return False
        self._looked_at = now  # rule 3
        return True

    @contextmanager
    def dialing(self) -> Iterator[None]:
        """While it lasts, one more is being dialled."""
        self._dialing += 1
        try:
            yield
        finally:
            self._dialing -= 1

    def _is_present(self, node_id: NodeId, device_id: DeviceId | None) -> bool:
        if device_id is None:
            return node_id in self._members.present_names
        device = bytes.fromhex(device_id)
        return device in self._members.present or device in self._links()

    # Whom to let in --------------------------------------------------------------------------------------------

    def is_spared_by(self, links: int, most: int) -> bool:
        """Whether one that has so many links, and so many at most, would send us away."""
        return 0 < most <= links and len(self._links()) >= _rich(most)

    def sends_away(self, newcomer: bytes, said: int, links: Sequence[Tied]) -> bool:
        """Whether there is no place for it beside these links, and it can do without one or none is to be had.

        Args:
            said: how many links it has said it has.
        """
        if len(links) < self.max_links:
            return False
        is_rich = max(said, self._ties(newcomer)) >= _rich(self.max_links)
        return is_rich or all(_is_new(tied) for tied in self._slow([*links, Tied(newcomer, 0.0, 0.0)]))

    def to_end(self, links: Sequence[Tied]) -> bytes | None:
        """Which of these links to end so that they are no more than there may be; None if they are not. A new one only
        if there is no other."""
        if len(links) <= self.max_links:
            return None
        return max(self._slow(links), key=lambda tied: (not _is_new(tied), self._ties(tied.device))).device

    def _slow(self, links: Sequence[Tied]) -> Sequence[Tied]:
        """All but those that are kept for being quick."""
        return sorted(links, key=lambda tied: (tied.rtt is None, tied.rtt or 0.0))[self._few :]

    def _ties(self, device: bytes) -> int:
        """How many links others know it to have."""
        member = self._members.book.get(device)
        return 0 if member is None or member.absent_since is not None else len(member.tied)


def _rich(most: int) -> int:
    """Links from which on a node can do without one to a node that keeps so many at most."""
    return max(most // _NEAR_SHARE, 1)


def _is_new(tied: Tied) -> bool:
    return tied.age < _UNTOLD
