"""A node without an API, in this process, to be asked from within: real store, real engine, real link to a daemon."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from bench.daemons import Daemon, credentials
from peatd.documents import Documents
from peatd.exchange import PeerExchange
from peatd.names import Address, DocumentKey, DocumentName
from peatd.replication import Replication
from peatd.store import Store
from peatd.transport import Link, converse, dial
from peatd.upkeep import Upkeep
from peatd.wire.messages import MAX_FRAME_BYTES, PROTOCOL, Hello

NAME = "source"


@asynccontextmanager
async def source(directory: Path, engine: str = "y-py") -> AsyncIterator[Replication]:
    """A node of this directory's formation that nobody is linked with."""
    async with Store.open(directory / NAME) as store, trio.open_nursery() as nursery:
        documents = Documents(store, engine=engine)
        await nursery.start(documents.run)
        replication = Replication(store, documents)
        nursery.start_soon(Upkeep(replication).run)
        yield replication
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked(replication: Replication, directory: Path, address: str) -> AsyncIterator[None]:
    """Links it with whoever listens there."""
    link = await dialled(directory, address)
    exchange = PeerExchange(replication, link.peer.device_id, compares=link.peer.initiating)
    with exchange.subscribed():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(converse, link, exchange)
            yield
            nursery.cancel_scope.cancel()


async def dialled(directory: Path, address: str) -> Link:
    """A proven link on which nothing is said yet."""
    host, _, port = address.rpartition(":")
    hello = Hello(PROTOCOL, NAME, "peat", secrets.token_bytes(16), MAX_FRAME_BYTES, "bench")
    return await dial([Address(host, int(port))], credentials(directory, NAME), hello)


async def durable_on_peer(replication: Replication, key: DocumentKey) -> None:
    """Waits until the peer has said that it has all of the document on its disk."""
    while True:
        changed = replication.confirmations
        entry = replication.table.alive(key)
        assert entry is not None
        if replication.durable_on(key, entry.version):
            return
        await changed.wait()


def sink(directory: Path, engine: str = "y-py") -> Daemon:
    """A daemon to replicate to."""
    return Daemon(directory, "sink", "--engine", engine).wait_ready()


def key(number: int) -> DocumentKey:
    return DocumentKey(DocumentName(f"bench/{number:05}"), 1)
