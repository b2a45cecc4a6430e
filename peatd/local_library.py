"""The documents of this node as their readers and writers see them: implements `library.Library`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from peatd.documents import Documents, Edit, News, Patch, Put
from peatd.drain import Drain
from peatd.engine.protocol import Viewed
from peatd.entry import Entry
from peatd.errors import AckTimeout, NoSuchDocument, Overtaken, PreconditionFailed, TooLarge
from peatd.library import (
    API,
    APPLIED,
    DURABLE,
    Ack,
    DocumentListing,
    DocumentView,
    IfMatch,
    SetAside,
    Written,
    replicated,
)
from peatd.merged import Merged
from peatd.names import DocumentKey, DocumentName
from peatd.replication import Replication
from peatd.update import MAX_UPDATE_BYTES

Fetch = Callable[[DocumentName], Awaitable[None]]


class LocalLibrary:
    """Reads from and writes to this node's copies.

    Args:
        fetch: returns when all of the document is here; raises Unavailable.

    Invariants:
        1. The writes of one document are made one after another, so that a condition holds until its write is merged.
           (A peer's change may still come between: it is merged with, never lost.)
    """

    def __init__(self, replication: Replication, drain: Drain, fetch: Fetch | None = None) -> None:
        self._fetch = fetch or _is_here
        self._replication = replication
        self._table = replication.table
        self._documents: Documents = replication.documents
        self._drain = drain
        self._locks: dict[DocumentName, trio.Lock] = {}

    def count(self) -> int:
        return sum(1 for entry in self._table if not entry.deleted)

    def digest(self) -> str:
        return self._table.tree.root()

    def list(self, collection: str | None, *, after: DocumentName | None, limit: int) -> Sequence[DocumentListing]:
        prefix = "" if collection is None else f"{collection}/"
        living = (e for e in self._table if not e.deleted and e.name.startswith(prefix))
        chosen = sorted((e for e in living if after is None or e.name > after), key=lambda e: e.name)
        return [
            DocumentListing(e.name, e.incarnation, self.size_bytes(e.name), is_held=not e.is_name)
            for e in chosen[:limit]
        ]

    def etag(self, key: DocumentKey) -> str | None:
        entry = self._table.alive(key)
        return None if entry is None else entry.etag

    def size_bytes(self, name: DocumentName) -> int:
        entry = self._table.get(name)
        return 0 if entry is None or entry.is_name else self._replication.store.size_bytes(name)

    async def read(self, name: DocumentName) -> DocumentView:
        await self._fetch(name)
        entry = self._living(name)

        def view(viewed: Viewed) -> DocumentView:
            # Called in the order of merging, so that the ETag is that of this very content.
            return DocumentView(entry.incarnation, entry.etag, viewed.document_json, viewed.roots_json)

        return await self._documents.read(entry.key, view)

    async def put(
        self, name: DocumentName, value: dict[str, Any], *, if_match: IfMatch | None, origin: str = API
    ) -> Written:
        return await self._edit(name, Put(value), if_match, origin)

    async def patch(
        self, name: DocumentName, patch: dict[str, Any], *, if_match: IfMatch | None, origin: str = API
    ) -> Written:
        return await self._edit(name, Patch(patch), if_match, origin)

    async def delete(self, name: DocumentName, *, if_match: IfMatch | None) -> Written:
        async with self._writing(name):
            if if_match is not None:
                await self._fetch(name)
            entry = self._living(name)
            self._check(name, if_match)
            merged = self._replication.end(entry.key, None)
            assert merged is not None
            return Written(created=False, incarnation=entry.incarnation, etag="", mark=merged)

    async def diff(self, name: DocumentName, state_vector: bytes) -> bytes:
        await self._fetch(name)
        return await self._documents.diff(self._living(name).key, state_vector, lambda update: update)

    async def apply(self, name: DocumentName, update: bytes, *, origin: str = API) -> Written:
        if len(update) > MAX_UPDATE_BYTES:
            raise TooLarge(
                f"an update of {len(update)} bytes: the limit is {MAX_UPDATE_BYTES}; make it of smaller parts"
            )
        async with self._writing(name):
            while True:
                await self._fetch(name)
                key = self._table.to_write(name)
                self._check_size(name)
                merge = partial(self._merge, key)
                former = self._former(name)
                merged = await self._documents.apply(key, update, origin=origin, then=merge, former=former)
                if merged is not None:
                    return self._written(merged)

    async def quarantine(self) -> Sequence[SetAside]:
        return [
            SetAside(u.key.name, u.key.incarnation, u.origin, u.reason, u.time, u.sha256, u.size_bytes, u.times)
            for u in reversed(await self._replication.store.quarantined())
        ]

    async def acknowledged(self, written: Written, ack: Ack, timeout: float) -> Ack:
        mark = written.mark
        assert isinstance(mark, Merged)
        replication = self._replication
        reached = APPLIED
        with trio.move_on_after(timeout):
            if ack.durable:
                await replication.store.synced(mark.seq)
                reached = DURABLE
            while reached.peers < ack.peers:
                if written.etag and self._table.has_ended(mark.key):
                    # No peer can have kept it. (A deletion, which has no ETag, is what overtakes.)
                    raise Overtaken(f"{mark.key.name} was deleted before the change was {ack}, and the change with it")
                changed = replication.confirmations
                reached = replicated(replication.durable_on(mark.key, mark.version))
                if reached.peers < ack.peers:
                    await changed.wait()
            return ack if reached >= ack else reached
        raise AckTimeout(f"the change is {reached}, but did not become {ack} within {timeout:g} s", str(reached))

    async def _edit(self, name: DocumentName, edit: Edit, if_match: IfMatch | None, origin: str) -> Written:
        async with self._writing(name):
            while True:
                await self._fetch(name)
                self._check(name, if_match)
                key = self._table.to_write(name)
                self._check_size(name)
                merged = await self._documents.edit(key, edit, origin=origin, then=partial(self._merge, key))
                if merged is not None:
                    return self._written(merged)
                # A peer's tombstone ended this incarnation while we edited it: the edit begins the next one.

    def _merge(self, key: DocumentKey, news: News) -> Merged | None:
        return self._replication.merge(key, news, None)

    @asynccontextmanager
    async def _writing(self, name: DocumentName) -> AsyncIterator[None]:
        with self._drain.admit():
            await self._replication.store.room()
            lock = self._locks.setdefault(name, trio.Lock())
            try:
                async with lock:  # Invariant 1.
                    yield
            finally:
                if not lock.statistics().tasks_waiting and not lock.locked():
                    self._locks.pop(name, None)

    def _living(self, name: DocumentName) -> Entry:
        entry = self._table.get(name)
        if entry is None or entry.deleted:
            raise NoSuchDocument(f"there is no document {name} on this node")
        return entry

    def _former(self, name: DocumentName) -> Collection[int]:
        entry = self._table.get(name)
        return () if entry is None else entry.reach.former

    def _check(self, name: DocumentName, if_match: IfMatch | None) -> None:
        if if_match is None:
            return
        entry = self._table.get(name)
        etag = None if entry is None or entry.deleted else entry.etag
        if not if_match.holds(etag):
            raise PreconditionFailed(f"{name} is at version {etag!r}" if etag else f"there is no document {name}")

    def _check_size(self, name: DocumentName) -> None:
        """What no peer could take in is refused here, where its writer hears of it; so is what there is no room for."""
        self._table.admit(name)
        size_bytes = self._replication.store.size_bytes(name)
        if size_bytes >= (limit := self._replication.documents.max_document_bytes):
            raise TooLarge(f"{name} takes {size_bytes} bytes: the limit is {limit}; use more documents, or delete it")

    def _written(self, merged: Merged) -> Written:
        entry = self._table.alive(merged.key)
        etag = entry.etag if entry is not None else ""
        return Written(created=merged.begun, incarnation=merged.key.incarnation, etag=etag, mark=merged)


async def _is_here(_name: DocumentName) -> None:
    """Where every document is."""
