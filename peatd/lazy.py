"""What is not pushed to a peer because it gets it from elsewhere, sooner. Sans-IO; one for each link.

Plumtree (Leitão, Pereira and Rodrigues, "Epidemic broadcast trees", 2007), without its messages where both ends can
see the same: a peer whose update brought us nothing has it from elsewhere too, and whatever else comes to us by the way
that was faster will come to it without us. So what others bring is pushed along a tree, one for each peer that brings
it, and along the other links goes a summary after a while. Should the peer lack what it names, it says so, and is
pushed to again.

Rules:
1. Lazy only delays: what was not pushed is `untold` until a summary has named it. (And behind summaries stands the
   comparison of everything, every 30 s.)
2. What is made here is pushed to everybody: nobody can have it sooner.
"""

from collections.abc import Collection, Iterable

from peatd.names import DeviceId, DocumentName
from peatd.table import Change

_MAX_WAYS = 256
"""Peers that have brought something; a node has tens of links."""


class Lazy:
    """Attributes:
    untold: documents with changes that were not pushed, and not named in a summary yet.
    redundant: updates of the peer that brought nothing.
    """

    def __init__(self) -> None:
        self.untold: dict[DocumentName, None] = {}
        self.redundant = 0
        self._ways: set[DeviceId] = set()

    @property
    def ways(self) -> Collection[DeviceId]:
        """What these peers bring is not pushed."""
        return self._ways

    def was_redundant(self, way: DeviceId | None, *, may_rest: bool) -> None:
        """An update of the peer brought nothing: we had it by that way (None: made here).

        Args:
            may_rest: whether the peer's release reads summaries.
        """
        self.redundant += 1
        if way is not None and may_rest and len(self._ways) < _MAX_WAYS:
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
