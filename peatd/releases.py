"""How a node lets go of a copy without anything being lost, whatever others think of it. Sans-IO.

A node that need not hold a document asks those who hold it for a grant, in *rounds*; with as many grants as copies are
to stay it lets go. It is granted by who has the same content, all of it on its disk, and is not in a round for that
document itself. Then, whenever a node lets go, that many others hold all that it has:

    Let L let go at t after a round that began at r. Take those who let go of the document after granting L, before t,
    and of these the one whose round began last, E. A node is in no round when it grants, so E's round began after r:
    L was in its own all along and is none of E's granters. Neither does any of them let go between granting E and t: it
    would have begun its round after E. So all of E's granters are still there, and have what E had, which is what L
    had. Where there is no such E, all of L's granters are still there.

Nothing is assumed of clocks, of who is a member, or of how many copies others want. A round that ends without enough
grants, or in which the document changed, counts for nothing.
"""

from dataclasses import dataclass, field

from peatd.names import DeviceId, DocumentName

ROUND = 5.0
"""Seconds for the grants: several round trips and an fsync."""


@dataclass(slots=True)
class _Round:
    number: int
    version: int
    needed: int
    until: float
    granted: set[DeviceId] = field(default_factory=set)


class Releases:
    """The rounds of this node.

    Invariants:
        1. Of a document there is one round at most.
        2. A grant counts in the round for which it was given, and while the document is at that round's version.
    """

    def __init__(self) -> None:
        self._rounds: dict[DocumentName, _Round] = {}
        self._last = 0
        self._pauses: dict[DocumentName, float] = {}

    def __len__(self) -> int:
        return len(self._rounds)

    def is_pending(self, name: DocumentName) -> bool:
        """While it is, nobody is granted this document."""
        return name in self._rounds

    def may_begin(self, name: DocumentName, now: float) -> bool:
        return name not in self._rounds and now >= self._pauses.get(name, 0.0)

    def begin(self, name: DocumentName, version: int, needed: int, now: float) -> int:
        """The number of a new round."""
        assert name not in self._rounds  # Invariant 1.
        self._last += 1
        self._rounds[name] = _Round(self._last, version, needed, now + ROUND)
        return self._last

    def granted(self, name: DocumentName, device_id: DeviceId, number: int, version: int) -> bool:
        """Whether these were grants enough: then the document is to be let go at once, and the round is over."""
        found = self._rounds.get(name)
        if found is None or found.number != number or found.version != version:
            return False  # Invariant 2.
        found.granted.add(device_id)
        if len(found.granted) < found.needed:
            return False
        del self._rounds[name]
        return True

    def void(self, name: DocumentName) -> None:
        """The document is needed after all, or is no more."""
        self._rounds.pop(name, None)
        self._pauses.pop(name, None)

    def expire(self, now: float, pause: float) -> None:
        """Ends the rounds that have lasted too long; another begins after `pause` seconds at the earliest."""
        self._pauses = {name: until for name, until in self._pauses.items() if now < until}
        for name in [name for name, each in self._rounds.items() if now >= each.until]:
            del self._rounds[name]
            self._pauses[name] = now + pause
