"""What is not pushed to a peer because it gets it from elsewhere, sooner. Sans-IO; one for each link.

Where an update brings nothing, its receiver has it from elsewhere sooner. It says so (`Prune`), and from then on the
link *rests*: along it goes a summary after a while. Should the peer lack what it names, it says so, too (`Graft`), and
is pushed to again. What that means depends on the mesh:

* A full one, in which everybody is linked with everybody: a link that rests carries what is made here, and nothing
  that others have brought. Soon nothing goes by way of others, and every change crosses one link to each node.
* Any other: Plumtree (Leitão, Pereira and Rodrigues, "Epidemic broadcast trees", 2007). The links that do not rest are
  a tree, the same whoever writes, and changes go along it as they come.

Rules:
1. Lazy only delays: what was not pushed is `untold` until a summary has named it. (And behind summaries stands the
   comparison of everything, every 30 s.)
2. What is made here is pushed to everybody, who confirms it to us: in a tree, along links that rest, with the first
   summary for which it is old enough. Sooner, it would overtake the tree, and be forwarded against its direction: then
   the tree's own links would seem too many.
3. In a tree a link rests at both its ends.
4. A link that rests and brings news is of the tree from then on: what has brought it until now will seem too many.
5. What comes because states were compared comes at any time: it says nothing of the links on which it goes, nor does
   what is forwarded of it (`Updates.is_pushed`).
6. Nor is it forwarded along a link of which no push has said yet whether it is of the tree, but named in a summary:
   where many start together and have nothing, each of their links would bring all of it.
"""

from collections.abc import Collection, Iterable

from peatd.entry import Change, Entry
from peatd.names import DeviceId, DocumentName


class Lazy:
    """Attributes:
    waiting: documents of which nothing is sent before a summary is due, not even what was made here; and their version.
    untold: documents with changes that were not pushed, and not named in a summary yet.
    redundant: updates of the peer that brought nothing.
    is_tried: whether something was pushed along the link, either way (rule 6).
    """

    def __init__(self) -> None:
        self.waiting: dict[DocumentName, int] = {}
        self.untold: dict[DocumentName, None] = {}
        self.redundant = 0
        self.is_tried = False
        self._is_in_tree = self._is_resting = False

    @property
    def is_late(self) -> bool:
        """Whether nothing is sent before a summary is due."""
        return self._is_in_tree and self._is_resting

    def look(self, *, is_mesh_full: bool) -> None:
        """Which kind of a mesh it is. What was learned was about this one."""
        if is_mesh_full is self._is_in_tree:
            self._is_in_tree, self._is_resting = not is_mesh_full, False

    def leaves(self, entry: Entry, changes: Iterable[Change], peer: DeviceId) -> Collection[DeviceId]:
        """Of which other peers nothing is pushed of these changes, the document's latest."""
        self.is_tried = self.is_tried or entry.is_pushed
        if self.is_tried and not self._is_resting:
            return ()
        left = {change.origin for change in changes if change.origin is not None and change.origin != peer}
        if left:
            self.untold[entry.name] = None  # rule 1
        return left

    def has_left(self, name: DocumentName) -> bool:
        """Whether some changes of it were neither pushed nor named."""
        return name in self.untold or name in self.waiting

    def brought_nothing(self, *, is_heard: bool) -> bool:
        """An update of the peer was no news; whether to tell it.

        Args:
            is_heard: it knows what that means.
        """
        self.redundant += 1
        if not (is_heard and self._is_in_tree):
            return is_heard
        is_news = not self._is_resting
        self._is_resting = True  # rule 3
        return is_news

    def prune(self) -> None:
        """The peer says so."""
        self._is_resting = True

    def graft(self) -> None:
        """The peer lacked something, or we did: all is pushed again."""
        self._is_resting = False
