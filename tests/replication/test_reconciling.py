"""What it takes two nodes with 10,000 documents to be equal again: bytes, and round trips."""

import random
from collections.abc import Sequence

import pytest
import trio
import y_py
from fakes.links import memory_links
from fakes.replicas import Replica
from fakes.slow_streams import slow_stream_pair
from trio.testing import MockClock

from peatd.documents import News
from peatd.names import DocumentKey, DocumentName
from peatd.update import check

DOCUMENTS = 10_000
LATENCY = 1.0
"""Seconds one way: all else takes milliseconds."""


def typed(client: int, text: str) -> News:
    document = y_py.YDoc(client_id=client)
    with document.begin_transaction() as transaction:
        document.get_map("data").set(transaction, f"text-{client}", text)
    update = bytes(y_py.encode_state_as_update(document))
    return News(update, check(update, subdocuments=False))


def write(replica: Replica, numbers: Sequence[int], news: News) -> None:
    for number in numbers:
        replica.replication.merge(DocumentKey(DocumentName(f"notes/{number}"), 1), news, None)


def are_whole(*replicas: Replica) -> bool:
    """They have the same, and know it."""
    exchanges = [exchange for replica in replicas for _, exchange in replica.links.live()]
    return (
        len(exchanges) == 2
        and all(exchange.last_sync is not None and not exchange.sync.debt() for exchange in exchanges)
        and len({replica.library.digest() for replica in replicas}) == 1
    )


async def until_whole(*replicas: Replica) -> None:
    while True:
        if are_whole(*replicas):
            return
        await trio.sleep(0.01)


async def reconciled(alice: Replica, bob: Replica) -> tuple[int, float]:
    """Bytes that it took, and round trips."""
    streams = slow_stream_pair(LATENCY)
    ours, theirs = memory_links("alice", "bob", streams=streams)
    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(alice.links.keep, ours)
        nursery.start_soon(bob.links.keep, theirs)
        with trio.fail_after(60):
            await until_whole(alice, bob)
        trips = (trio.current_time() - began) / (2 * LATENCY)
        size_bytes = sum(stream.sent_bytes for stream in streams)
        nursery.cancel_scope.cancel()
    return size_bytes, trips


@pytest.mark.parametrize(("differing", "most_bytes", "most_trips"), [(0, 20_000, 1), (DOCUMENTS // 100, 200_000, 6)])
async def test_ten_thousand_documents(
    autojump_clock: MockClock, differing: int, most_bytes: int, most_trips: int
) -> None:
    seed = random.Random(1)
    everywhere, here, there = typed(7, "the same"), typed(8, "only here"), typed(9, "only there")
    chosen = seed.sample(range(DOCUMENTS), differing)
    async with Replica("alice", seed).running() as alice, Replica("bob", seed).running() as bob:
        for replica, own, share in ((alice, here, chosen[::2]), (bob, there, chosen[1::2])):
            write(replica, range(DOCUMENTS), everywhere)
            write(replica, share, own)
        size_bytes, trips = await reconciled(alice, bob)
        assert size_bytes <= most_bytes
        assert trips <= most_trips + 0.1
