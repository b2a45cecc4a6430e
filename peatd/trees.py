"""The digest trees over a node's documents, one for each set of collections of which only names count. Sans-IO.

A node whose peers hold everything has one. Digests are computed when a tree is asked for, not per change.
"""

from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

from peatd.digest import DigestTree
from peatd.interest import collection_of
from peatd.names import DocumentName
from peatd.wire.messages import Offered

Offering = Callable[[DocumentName, bool], Offered]
"""States a document; by its name alone, or also by what is in it."""


class Trees:
    """Args:
    offered: states one of our documents.

    Attributes:
    kept: one that somebody will ask for again.
    """

    def __init__(self, offered: Offering) -> None:
        self._offered = offered
        self._trees: WeakValueDictionary[frozenset[str], DigestTree] = WeakValueDictionary()
        self._stale: set[DocumentName] = set()
        self.kept: DigestTree | None = None

    def changed(self, name: DocumentName) -> None:
        self._stale.add(name)

    def forget(self, name: DocumentName) -> None:
        self._stale.discard(name)
        for tree in self._trees.values():
            tree.remove(name)

    def of(self, restricted: frozenset[str], names: Iterable[DocumentName]) -> DigestTree:
        """The one in which of these collections only names count, up to date; kept so as long as somebody has it.

        Args:
            names: of all documents.
        """
        for places, tree in self._trees.items():
            for name in self._stale:
                tree.put(self._offered(name, collection_of(name) in places))
        self._stale.clear()
        found = self._trees.get(restricted)
        if found is None:
            found = self._trees[restricted] = DigestTree()
            for name in names:
                found.put(self._offered(name, collection_of(name) in restricted))
        return found
