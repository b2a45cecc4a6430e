"""One document's log, where a store gives those of many."""

from peatd.names import DocumentKey
from peatd.store import Store, StoredLog


async def log_of(store: Store, key: DocumentKey) -> StoredLog:
    return (await store.load([key]))[key]


async def updates_of(store: Store, key: DocumentKey) -> list[bytes]:
    return [stored.update for stored in (await log_of(store, key)).updates]
