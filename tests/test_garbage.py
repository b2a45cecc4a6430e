"""What is no longer used goes when memory has grown, however few objects it is."""

import gc
import weakref

import trio
from trio.testing import MockClock

from peatd.garbage import INTERVAL, collect_when_grown

MIB = 2**20


class Island:
    """Its parts know each other: it goes only when it is collected."""

    def __init__(self, size_bytes: int) -> None:
        self.itself = self
        self.read = b"x" * size_bytes


async def test_it_collects_when_memory_has_grown_and_not_before(mock_clock: MockClock) -> None:
    assert not gc.isenabled(), "nobody else collects"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect_when_grown, 64 * MIB)
        await trio.testing.wait_all_tasks_blocked()
        small = weakref.ref(Island(MIB))
        mock_clock.jump(INTERVAL)
        await trio.testing.wait_all_tasks_blocked()
        assert small() is not None
        large = weakref.ref(Island(128 * MIB))
        mock_clock.jump(INTERVAL)
        await trio.testing.wait_all_tasks_blocked()
        assert small() is large() is None
        nursery.cancel_scope.cancel()
