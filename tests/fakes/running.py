"""A source of peers that runs for a block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from peatd.discovery.events import DiscoveryEvent, DiscoveryStrategy

Events = trio.MemoryReceiveChannel[DiscoveryEvent]


@asynccontextmanager
async def running(discovery: DiscoveryStrategy, patience: float = 30) -> AsyncIterator[Events]:
    """Runs a strategy for a block, which is given its events, and stops it."""
    with trio.fail_after(patience):
        async with trio.open_nursery() as nursery:
            await nursery.start(discovery.start)
            yield discovery.event_stream()
            discovery.stop()
