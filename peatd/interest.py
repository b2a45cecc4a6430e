"""Which documents a node is to have a copy of: what its settings say, and who else there is. Sans-IO.

In a collection with `replicate` other than `"all"`, a node *holds* some documents and has of the others only the name:
an entry with an incarnation and no content. The name is everywhere, so whatever is decided by it (what was deleted,
what is new, what was known when: horizon.py) is decided as ever, and a copy that was let go is never taken for a
document that was deleted. Only content has a place.

Rules:
1. Everybody decides for itself what it is to hold, by who it knows; nobody has to agree. N copies are with those N
   members whose hash with the document's name is highest (rendezvous hashing: Thaler and Ravishankar, "Using
   name-based mappings to increase hit rates", 1998), so that a member that comes or goes moves as few as can be.
2. Whoever asks for a document holds it too: a client that has it open, the API, a pattern in `subscribe`.
3. In a mesh that is not full (view.py) every node holds everything: who is to hold a document need not be linked with
   who has it, nor with who asks for it.
4. A copy is let go only when `needed` others grant it, each of which has all of it on its disk and lets go of nothing
   itself at that time (releases.py). Who disagrees about N or about the members only makes more copies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import blake2b

from peatd.names import DocumentName

ALL, SUBSCRIBED = "all", "subscribed"

LAST_COPIES = 2
"""Of a document that nobody asks for so many stay: one node that is lost then loses nothing."""

MAX_COPIES = 1000

LINGERS = 300.0
"""Seconds for which a document stays that was asked for: somebody who reads often does not fetch often."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Of one collection.

    Attributes:
        number: N; None where documents are held only where they are asked for.
        subscribe: patterns of document ids, as of a shell, that this node asks for.
        linger: seconds for which a document stays after somebody asked for it.
    """

    number: int | None
    subscribe: tuple[str, ...] = ()
    linger: float = LINGERS

    @property
    def needed(self) -> int:
        """How many others are to have all of a document before this node lets go of it."""
        return LAST_COPIES if self.number is None else self.number

    def subscribes(self, name: DocumentName) -> bool:
        document_id = name.partition("/")[2]
        return any(fnmatchcase(document_id, pattern) for pattern in self.subscribe)


def collection_of(name: str) -> str:
    return name.partition("/")[0]


def is_among(own: bytes, members: Iterable[bytes], name: DocumentName, number: int) -> bool:
    """Whether `own`, one of the members, is one of the `number` that hold the document."""
    ours = _weight(own, name)
    return sum(_weight(member, name) > ours for member in members) < number


def holders(members: Iterable[bytes], name: DocumentName, number: int) -> list[bytes]:
    """Who they are, the first first."""
    return sorted(members, key=lambda member: _weight(member, name), reverse=True)[:number]


def _weight(member: bytes, name: DocumentName) -> bytes:
    # The member behind it breaks ties, which nobody meets.
    return blake2b(name.encode(), key=member, digest_size=8).digest() + member


class Interest:
    """What one node is to hold.

    Args:
        collections: those that are not everywhere.

    Attributes:
        restricted: their names.
        own_device: this node's device id, as bytes.
        is_partial: whether the mesh is not full.
        members: device ids that documents are placed by, this node's too; None until that is known.
    """

    def __init__(self, collections: Mapping[str, Copies], own_device: bytes = b"") -> None:
        self.restricted = frozenset(collections)
        self.is_partial = False
        self.members: frozenset[bytes] | None = None
        self.own_device = own_device
        self._collections = collections
        self._asked: dict[DocumentName, float] = {}

    def is_restricted(self, name: str) -> bool:
        return collection_of(name) in self.restricted

    def needed(self, name: DocumentName) -> int:
        copies = self._collections.get(collection_of(name))
        return 0 if copies is None else copies.needed

    def asked(self, name: DocumentName, now: float) -> None:
        """Somebody here needs the document."""
        copies = self._collections.get(collection_of(name))
        if copies is not None:
            self._asked[name] = now + copies.linger

    def is_wanted(self, name: DocumentName, now: float) -> bool | None:
        """Whether the document is to be here; None while that is not known."""
        copies = self._collections.get(collection_of(name))
        if copies is None or self.is_partial or copies.subscribes(name):
            return True
        until = self._asked.get(name)
        if until is not None and now < until:
            return True
        self._asked.pop(name, None)
        if copies.number is None:
            return False
        return None if self.members is None else is_among(self.own_device, self.members, name, copies.number)
