"""What a node's documents tell of themselves to whoever follows them here."""

from typing import Protocol

from peatd.entry import Entry
from peatd.names import DeviceId


class Watcher(Protocol):
    """Someone here who follows documents. Told in the order of merging, and of nothing that was not recorded."""

    def begun(self, entry: Entry, origin: DeviceId | None) -> None:
        """A document, or a new incarnation of one, began, here or (`origin`) by a peer; it is still empty."""

    def changed(self, entry: Entry, update: bytes, origin: DeviceId | None) -> None:
        """The document has this news; `origin` brought it (None: it was made here)."""

    def ended(self, entry: Entry, origin: DeviceId | None) -> None:
        """The document was deleted, here or (`origin`) by a peer."""

    def copied(self, entry: Entry) -> None:
        """The document's content has come, or was let go."""


class Copier(Protocol):
    """A peer's side of where documents are."""

    def copied(self, entry: Entry) -> None:
        """The peer is to know what we have of it."""

    def release(self, entry: Entry, number: int) -> bool:
        """Asks the peer whether it keeps what we would let go of; False if it is of no use to ask."""
