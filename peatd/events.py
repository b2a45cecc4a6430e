"""What happened lately to the documents and peers of a node, for whoever follows it. Sans-IO.

All readers share one bounded history, and a reader is a cursor into it: a slow one holds nobody up and makes nothing
grow. A *subject* is what an event is about: a document or a peer.

Rules:
1. Events are numbered in the order in which they happened. An event's id is `INSTANCE-NUMBER`, where the instance is
   that of this process: an id from another one is recognised, and never taken for a number of ours.
2. Of one subject only the latest event of each type is kept. Whoever reads late hears what became of it, not how often.
3. A change of a document that nobody has been told of yet stands for the changes after it, and so does a beginning.
4. Whoever was told of an event and has missed one that is gone (other than by rule 2) is told `Reset`, never nothing.
"""

import enum
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile

from peatd.entry import Entry
from peatd.names import DeviceId, DocumentKey, DocumentName

MAX_EVENTS = 4096
"""Kept at most: with names of the usual length 2 MB. A reader that comes back within the minute finds the past there
even while 60 documents a second change."""

MAX_TAKEN = 256
"""Events in one piece of a stream: 64 KiB, which is what a reader has to take within the deadline for a send."""


class Change(enum.Enum):
    """Of a document."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"


class Move(enum.Enum):
    """Of a peer. `FOUND`, `LOST`: it has entered or left the list of peers. `UPDATED`: anything else, but
    for what is measured and for whether it is being dialled."""

    FOUND = "found"
    LOST = "lost"
    LINKED = "linked"
    UNLINKED = "unlinked"
    UPDATED = "updated"


class Reset(enum.Enum):
    """Why the past cannot be told."""

    UNKNOWN = "unknown"
    """The id is none that we gave."""
    RESTARTED = "restarted"
    """It is of another process: of this node before it was restarted, or of another node."""
    BEHIND = "behind"
    """What followed it has left the history."""


@dataclass(slots=True, eq=False)
class DocumentEvent:
    """`origin` is the peer that brought it (None: made here); `text` what the first who was told of it was told."""

    number: int
    type: Change
    key: DocumentKey
    origin: DeviceId | None
    text: bytes | None = None


@dataclass(slots=True, eq=False)
class PeerEvent:
    """`text`: the peer as it was then."""

    number: int
    type: Move
    peer: str
    text: bytes


Event = DocumentEvent | PeerEvent
_Slot = tuple[Change, DocumentName] | tuple[Move, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a reader is told of. `collection` and `document` narrow the documents down."""

    documents: bool = True
    peers: bool = True
    collection: str | None = None
    document: DocumentName | None = None

    def includes(self, event: Event) -> bool:
        if isinstance(event, PeerEvent):
            return self.peers
        name = event.key.name
        return (
            self.documents
            and (self.document is None or name == self.document)
            and (self.collection is None or name.startswith(f"{self.collection}/"))
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reader is told now.

    Attributes:
        reset: stands before the events; some are missing, and what the reader knows is out of date.
        position: the id to go on from after all this, although it may be that of an event it was not told of.
    """

    reset: Reset | None
    events: Sequence[Event]
    position: str


@dataclass(slots=True, eq=False)
class Reader:
    """One that follows. `wake` is called when there is something to take, and when nothing more will come."""

    _log: "EventLog"
    _cursor: int
    _reset: Reset | None
    wanted: Wanted
    wake: Callable[[], None]

    def take(self) -> Taken:
        """What has happened since the last call."""
        return self._log._take(self)


@dataclass(slots=True, eq=False)
class EventLog:
    """The history, and those who read it. Follows documents as a `replication.Watcher`.

    Attributes:
        resets: how often a reader was told that the past is gone.
    """

    instance: str
    limit: int = MAX_EVENTS
    resets: int = 0
    is_closed: bool = False
    _last: int = 0
    _told: int = 0
    """The latest number that somebody may have been told of."""
    _gone: int = 0
    """The latest number that has left the history by its limit."""
    _events: OrderedDict[int, Event] = field(default_factory=OrderedDict)  # a dict scans what it has forgotten
    _latest: dict[_Slot, int] = field(default_factory=dict)
    _readers: set[Reader] = field(default_factory=set)

    def begun(self, entry: Entry, origin: DeviceId | None) -> None:
        self._add(DocumentEvent(self._next(), Change.CREATED, entry.key, origin))

    def changed(self, entry: Entry, update: bytes, origin: DeviceId | None) -> None:  # noqa: ARG002  # a Watcher's
        untold = self._untold(entry.key)
        if untold is not None:
            untold.origin = origin  # rule 3
        else:
            self._add(DocumentEvent(self._next(), Change.CHANGED, entry.key, origin))

    def ended(self, entry: Entry, origin: DeviceId | None) -> None:
        self._add(DocumentEvent(self._next(), Change.DELETED, entry.key, origin))

    def copied(self, entry: Entry) -> None:
        """Where its content is changes nothing of a document."""

    def peer_moved(self, move: Move, peer: str, text: bytes) -> None:
        self._add(PeerEvent(self._next(), move, peer, text))

    def id_of(self, event: Event) -> str:
        return self._id(event.number)

    @property
    def reader_count(self) -> int:
        return len(self._readers)

    @contextmanager
    def reading(self, since: str | None, wanted: Wanted, wake: Callable[[], None]) -> Iterator[Reader]:
        """While it lasts, there is a reader that goes on after the event with the id `since`, or starts now."""
        cursor, reset = self._resume(since)
        reader = Reader(self, cursor, reset, wanted, wake)
        self._told = max(self._told, cursor)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def close(self) -> None:
        """Nothing more will come: all readers may leave."""
        self.is_closed = True
        for reader in self._readers:
            reader.wake()

    def _resume(self, since: str | None) -> tuple[int, Reset | None]:
        if since is None:
            return self._last, None
        parts = _ID.fullmatch(since)
        if parts is None:
            return self._last, Reset.UNKNOWN
        if parts["instance"] != self.instance:
            return self._last, Reset.RESTARTED
        number = int(parts["number"])
        return (number, None) if number <= self._last else (self._last, Reset.UNKNOWN)

    def _take(self, reader: Reader) -> Taken:
        if reader._reset is None and reader._cursor < self._gone:
            reader._reset = Reset.BEHIND  # rule 4
        if reader._reset is not None:
            reset, reader._reset = reader._reset, None
            self.resets += 1
            reader._cursor = self._told = self._last
            return Taken(reset, [], self._id(self._last))
        taken: list[Event] = []
        end = self._last
        for event in self._after(reader._cursor):
            if reader.wanted.includes(event):
                taken.append(event)
                if len(taken) == MAX_TAKEN:
                    end = event.number
                    break
        reader._cursor = end
        self._told = max(self._told, end)
        return Taken(None, taken, self._id(end))

    def _after(self, number: int) -> list[Event]:
        newer = list(takewhile(lambda event: event.number > number, reversed(self._events.values())))
        newer.reverse()
        return newer

    def _untold(self, key: DocumentKey) -> DocumentEvent | None:
        for change in (Change.CHANGED, Change.CREATED):
            event = self._events.get(self._latest.get((change, key.name), 0))
            if isinstance(event, DocumentEvent) and event.number > self._told and event.key == key:
                return event
        return None

    def _add(self, event: Event) -> None:
        slot = _slot(event)
        self._events.pop(self._latest.get(slot, 0), None)  # rule 2
        self._events[event.number] = event
        self._latest[slot] = event.number
        if len(self._events) > self.limit:
            self._gone, oldest = self._events.popitem(last=False)
            del self._latest[_slot(oldest)]
        for reader in self._readers:
            if reader.wanted.includes(event):
                reader.wake()

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _id(self, number: int) -> str:
        return f"{self.instance}-{number}"


_ID = re.compile(r"(?P<instance>[0-9a-f]{8,64})-(?P<number>[0-9]{1,18})")


def _slot(event: Event) -> _Slot:
    return (event.type, event.peer) if isinstance(event, PeerEvent) else (event.type, event.key.name)
