"""`GET /api/v1/events`: what happens to documents and peers, as Server-Sent Events (HTML Standard §9.2).

    event: document   data: {"type", "collection", "id", "incarnation", "etag", "origin"}
    event: peer       data: {"type", "peer": as in /peers}
    event: reset      data: {"reason": "unknown" | "restarted" | "behind"}

A document is `created`, `changed` or `deleted`; a peer is `found`, `lost`, `linked`, `unlinked` or `updated` (in
anything else but a measurement, or a try to link). A stream begins now, or after the event that `Last-Event-ID` names
(or `?last_event_id=`, for who cannot set headers). A past that is gone cannot be told; `reset` says so: read again what
you need, the stream goes on from now. Changes that follow each other closely are told as one, with the ETag that they
led to. A document that is created with a higher incarnation was deleted in between, whether that was told or not.

`?collection=NAME` or `?document=COLLECTION/ID` tells of these documents and of no peers, `?kinds=document,peer` of what
it names; both together of both. Every 15 s there is a comment, so that a dead connection is noticed, and the id to go
on from, so that a reader whose documents rest for long does not fall behind.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Self

import msgspec
import trio
from quart import request
from quart.wrappers.response import ResponseBody
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse

from peatd.api.decode import Query
from peatd.api.documents import quote, read_query
from peatd.api.refusal import Refusal, bad_request
from peatd.api.views import DocumentEventView, PeerEventView, PeerView, ResetView
from peatd.errors import Unavailable
from peatd.events import DocumentEvent, Event, EventLog, Move, Taken, Wanted
from peatd.library import Library
from peatd.names import document_name, parse_document_name

HEARTBEAT = 15.0
"""Seconds. Proxies cut what is silent for 30 to 60."""

MAX_READERS = 128
"""Half of the connections of one listener (`Limits.connections`): those who follow keep no probe out."""

_PAUSE = 0.05
"""Seconds from one piece to the next. What one types in the meantime is one event, and nobody sees the difference."""

_RETRY = b"retry: 1000\n"
"""Milliseconds until a browser connects again; every other client of ours does so with jitter."""

_KINDS = ("document", "peer")


def add_event_routes(app: QuartTrio, log: EventLog, library: Library) -> None:
    """`/events`."""

    async def events() -> TrioResponse:
        query = read_query("collection", "document", "kinds", "last_event_id")
        wanted = _wanted(query)
        # A browser that connects again sends the header, beside what stands in the address since the first time.
        since = request.headers.get("Last-Event-ID") or query.get("last_event_id") or None
        if log.is_closed:
            raise Unavailable("the node is shutting down: follow another")
        if log.reader_count >= MAX_READERS:
            raise _full()
        body = b"" if request.method == "HEAD" else _Stream(log, library, since, wanted)
        headers = {"X-Accel-Buffering": "no"}  # nginx would keep events back until it has a buffer full
        return TrioResponse(body, headers=headers, content_type="text/event-stream")

    app.add_url_rule("/api/v1/events", view_func=events)


def peer_text(move: Move, peer: PeerView) -> bytes:
    """The data of an event of this peer."""
    return msgspec.json.encode(PeerEventView(move.value, peer))


class _Stream(ResponseBody):
    """One reader's answer. It ends when the log is closed, or with its connection."""

    def __init__(self, log: EventLog, library: Library, since: str | None, wanted: Wanted) -> None:
        self._log = log
        self._library = library
        self._since = since
        self._wanted = wanted
        self._reading = ExitStack()
        self._news = trio.Event()
        self._has_begun = self._is_followed = False

    async def __aenter__(self) -> Self:
        reading = self._log.reading(self._since, self._wanted, lambda: self._news.set())
        self._reader = self._reading.enter_context(reading)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._is_followed:
            await trio.sleep(_PAUSE)
        is_silent = not self._has_begun  # the first piece comes at once, even if it has but the place to go on from
        while True:
            self._news = trio.Event()
            taken = self._reader.take()
            self._is_followed = bool(taken.events)
            if taken.events or taken.reset or is_silent:
                return self._piece(taken)
            if self._log.is_closed:
                raise StopAsyncIteration
            with trio.move_on_after(HEARTBEAT) as patience:
                await self._news.wait()
            is_silent = patience.cancelled_caught

    def _piece(self, taken: Taken) -> bytes:
        return b"".join(self._blocks(taken))

    def _blocks(self, taken: Taken) -> Iterator[bytes]:
        if not self._has_begun:
            self._has_begun = True
            yield _RETRY
        if taken.reset is not None:
            yield _block("reset", taken.position, msgspec.json.encode(ResetView(taken.reset.value)))
        for event in taken.events:
            kind = "document" if isinstance(event, DocumentEvent) else "peer"
            yield _block(kind, self._log.id_of(event), self._text(event))
        if not taken.events and taken.reset is None:
            yield b":\nid: " + taken.position.encode() + b"\n\n"

    def _text(self, event: Event) -> bytes:
        if event.text is None:
            event.text = self._document_text(event)
        return event.text

    def _document_text(self, event: DocumentEvent) -> bytes:
        collection, _, document_id = event.key.name.partition("/")
        etag = self._library.etag(event.key)
        quoted = None if etag is None else quote(etag)
        view = DocumentEventView(event.type.value, collection, document_id, event.key.incarnation, quoted, event.origin)
        return msgspec.json.encode(view)


def _block(kind: str, event_id: str, text: bytes) -> bytes:
    return b"event: %s\nid: %s\ndata: %s\n\n" % (kind.encode(), event_id.encode(), text)


def _wanted(query: Query) -> Wanted:
    collection, document, kinds = query.get("collection"), query.get("document"), query.get("kinds")
    if collection is not None and document is not None:
        raise bad_request("both a collection and a document are named", "name one; a document's name has both")
    if collection is not None:
        document_name(collection, "any")  # refuses what is no name
    name = None if document is None else parse_document_name(document)
    narrowed = collection is not None or name is not None
    named = _parse_kinds(kinds) if kinds is not None else ("document",) if narrowed else _KINDS
    if narrowed and "document" not in named:
        raise bad_request("documents are named, but kinds leaves them out", "write kinds=document or leave kinds out")
    return Wanted("document" in named, "peer" in named, collection, name)


def _parse_kinds(text: str) -> Iterable[str]:
    kinds = text.split(",")
    if not set(kinds) <= set(_KINDS):
        raise bad_request(f"kinds is {text[:80]!r}", f"it is one or more of {', '.join(_KINDS)}, with commas between")
    return kinds


def _full() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too_many_readers",
        f"{MAX_READERS} streams of events are open already",
        "close those that nobody reads; one stream can tell many of its own",
        {"Retry-After": "5"},
    )
