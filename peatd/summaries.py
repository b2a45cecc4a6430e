"""Summaries over one link: of what was not pushed, in place of it. See lazy.py.

Whoever is told of something that it lacks waits from the next beat (pulse.py) to the one after, for it may be on its
way; and then asks for it, and to be pushed to again. A beat is far more than a push takes, and little enough that
nobody waits long for what a broken tree has not brought.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from peatd.names import DocumentKey, DocumentName
from peatd.offers import Offers
from peatd.replication import Replication
from peatd.sync import PeerSync
from peatd.wire.messages import MAX_HAVING, Graft, Having, Message, Offered, Prune, named

_LOOKS = 4
"""At a document that goes on changing, until it is asked for whatever has come."""


@dataclass(slots=True)
class _Awaited:
    offered: Offered
    version: int | None = None
    """Of our copy, when it was looked at last."""
    looks: int = _LOOKS


class Summaries:
    """One peer's side. `is_heard`: whether its release knows of summaries; one that does not is pushed everything."""

    def __init__(self, replication: Replication, sync: PeerSync, offers: Offers, *, is_heard: bool) -> None:
        self.is_heard = is_heard
        self._table = replication.table
        self._pulse = replication.pulse
        self._is_mesh_full = replication.is_mesh_full
        self._sync = sync
        self._offers = offers
        self._awaited: dict[DocumentName, _Awaited] = {}
        self._prunes: dict[DocumentName, None] = {}
        self._owes_graft = self._is_due = False
        sync.lazy.is_tried = not is_heard
        self._wake: Callable[[], None] = lambda: None

    @contextmanager
    def told(self, wake: Callable[[], None]) -> Iterator[None]:
        """While it lasts, there is something to take whenever `wake` was called."""
        self._wake = wake
        yield

    def look(self) -> None:
        """At every beat: asks for what has not come, and has summaries sent of what was not pushed."""
        for name, awaited in list(self._awaited.items()):
            if self._has(awaited.offered):
                del self._awaited[name]
                continue
            entry = self._table.get(name)
            is_still = (entry.version if entry is not None else 0) == awaited.version
            awaited.version, awaited.looks = entry.version if entry is not None else 0, awaited.looks - 1
            if is_still or not awaited.looks:
                del self._awaited[name]
                self._owes_graft = self._owes_graft or is_still
                self._offers.offered(DocumentKey(name, awaited.offered.incarnation), awaited.offered)
        self._sync.lazy.look(is_mesh_full=self._is_mesh_full())
        self._send_left(self._pulse.ripe)
        if self._owes_graft or self._sync.is_owing:
            self._wake()

    def hurry(self) -> None:
        """Has sent now what would be sent with the next summary, and the summary."""
        self._send_left(self._table.clock)

    def take(self) -> list[Message]:
        """What to send next."""
        taken: list[Message] = [Prune(name) for name in self._prunes]
        self._prunes.clear()
        if self._owes_graft:
            self._owes_graft = False
            self._graft()
            taken.append(Graft())
        untold = self._sync.lazy.untold
        is_due, self._is_due = self._is_due, False
        if is_due and untold:
            names = list(untold)[:MAX_HAVING]
            for name in names:
                del untold[name]
            living = [name for name in names if (entry := self._table.get(name)) is not None and not entry.deleted]
            taken.append(Having([self._table.offered(name) for name in living]))
        return taken

    def received(self, message: Message) -> None:
        """What the peer tells."""
        match message:
            case Graft():
                self._graft()
            case Prune():
                self._sync.lazy.prune()
            case Having():
                for offered in message.documents:
                    self._offered(named(offered.name), offered)

    def merged(self, key: DocumentKey, *, is_pushed: bool) -> None:
        """An update of the peer was merged; if it was pushed and brought nothing, the peer is told so."""
        entry, lazy = self._table.alive(key), self._sync.lazy
        if entry is None or not self._sync.share.is_everywhere(key.name):
            return  # who holds what is not everywhere changes, and so do the ways to them
        is_news = entry.brought_by == self._sync.device_id
        lazy.is_tried = lazy.is_tried or is_pushed
        if not is_pushed:
            entry.is_pushed = entry.is_pushed and not is_news  # rule 5
        elif is_news and lazy.is_late:
            self._owes_graft = True  # rule 4
            self._wake()
        elif not is_news and entry.is_pushed and lazy.brought_nothing(is_heard=self.is_heard):
            self._prunes[key.name] = None
            self._wake()

    def _send_left(self, through: int) -> None:
        if self._sync.lazy.untold or self._sync.lazy.waiting:
            self._sync.release(through)
            self._is_due = True
            self._wake()

    def _graft(self) -> None:
        self._sync.lazy.graft()
        self._sync.release(self._table.clock)

    def _offered(self, name: DocumentName, offered: Offered) -> None:
        entry = self._table.get(name)
        if self._has(offered):
            if entry is not None and entry.incarnation == offered.incarnation:
                self._sync.heard_equal(entry)
        elif not (self._sync.lazy.is_tried or self._offers.is_coming(name)):
            self._offers.offered(DocumentKey(name, offered.incarnation), offered)  # it is not on its way
        elif len(self._awaited) < MAX_HAVING or name in self._awaited:
            self._awaited[name] = _Awaited(offered)

    def _has(self, offered: Offered) -> bool:
        """Whether our copy is what it names; or is beyond that life."""
        entry = self._table.get(named(offered.name))
        if entry is None or (entry.incarnation, entry.deleted) < (offered.incarnation, offered.deleted):
            return False
        is_later = (entry.incarnation, entry.deleted) > (offered.incarnation, offered.deleted)
        return is_later or entry.deleted or entry.reach.digest() == offered.digest
