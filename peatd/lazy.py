"""What is not pushed to a peer because it gets it from elsewhere, sooner. Sans-IO; one for each link.

Plumtree (Leitão, Pereira and Rodrigues, "Epidemic broadcast trees", 2007): where an update brings nothing, the two ends
of the link have it from elsewhere sooner, and so they will have whatever else comes by those ways. So what others bring
is pushed along a tree, one for each peer that brings it, and along the other links goes a summary after a while. Should
the peer lack what it names, it says so, and is pushed to again.

Rules:
1. Lazy only delays: what was not pushed is `untold` until a summary has named it. (And behind summaries stands the
   comparison of everything, every 30 s.)
2. What is made here is pushed to everybody: nobody can have it sooner.
"""

from collections.abc import Collection, Iterable

from peatd.entry import Change
from peatd.names import DeviceId, DocumentName

_MAX_WAYS = 256
"""Peers that have brought something; a node has tens of links."""


class Lazy:
    """Attributes:
    untold: documents with changes that were not pushed, and not named in a summary yet.
    compared: documents of which the peer was told our state lately; what it sends for that is no push.
    redundant: updates of the peer that brought nothing.
    """

    def __init__(self) -> None:
        self.untold: dict[DocumentName, None] = {}
        self.compared: set[DocumentName] = set()
        self.redundant = 0
        self._ways: set[DeviceId] = set()

    @property
    def ways(self) -> Collection[DeviceId]:
        """What these peers bring is not pushed."""
        return self._ways

    def rest(self, way: DeviceId | None) -> None:
        """The peer has sooner than by us what comes to us by that way (None: what is made here; rule 2)."""
        if way is not None and len(self._ways) < _MAX_WAYS:
            self._ways.add(way)

    def leaves(self, name: DocumentName, changes: Iterable[Change]) -> bool:
        """Whether some of these changes are not pushed."""
        is_left = bool(self._ways) and any(change.origin in self._ways for change in changes)
        if is_left:
            self.untold[name] = None  # rule 1
        return is_left

    def graft(self) -> None:
        """The peer lacked something: it is pushed everything again."""
        self._ways.clear()
