"""Connections that have said nothing yet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.transport.anteroom import Anteroom

PATIENCE = 10.0


@pytest.fixture
async def door() -> AsyncIterator[trio.SocketListener]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        yield listener


class Visited:
    """An anteroom for two, and what it has called."""

    def __init__(self, door: trio.SocketListener) -> None:
        self.spoken: list[trio.SocketStream] = []
        self.turned_away = 0
        self.room = Anteroom(2, PATIENCE, self._turn_away)
        self._door = door

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.room.run, self.spoken.append)
            yield
            nursery.cancel_scope.cancel()
        for stream in self.spoken:
            await stream.aclose()

    async def come(self) -> trio.SocketStream:
        caller = await trio.open_tcp_stream(*self._door.socket.getsockname())
        self.room.enter(await self._door.accept())
        return caller

    def _turn_away(self) -> None:
        self.turned_away += 1


async def hears_the_end(stream: trio.SocketStream) -> bool:
    with suppress(trio.BrokenResourceError):
        return await stream.receive_some() == b""
    return True


async def test_who_speaks_leaves_it_with_all_that_was_said(door: trio.SocketListener) -> None:
    visited = Visited(door)
    async with visited.running():
        first, second = await visited.come(), await visited.come()
        await second.send_all(b"hello")
        await wait_all_tasks_blocked(0.01)
        assert len(visited.room) == 1
        assert await visited.spoken[0].receive_some() == b"hello"
        await first.aclose()  # to hang up is to speak: whoever waits for a word hears of it
        await wait_all_tasks_blocked(0.01)
        assert len(visited.room) == 0
        assert await visited.spoken[1].receive_some() == b""
        await second.aclose()


async def test_invariant_1_who_comes_takes_the_place_of_who_is_silent_for_longest(door: trio.SocketListener) -> None:
    visited = Visited(door)
    async with visited.running():
        callers = [await visited.come() for _ in range(4)]
        assert (len(visited.room), visited.turned_away) == (2, 2)
        assert [await hears_the_end(caller) for caller in callers[:2]] == [True, True]
        await callers[3].send_all(b"hello")
        await wait_all_tasks_blocked(0.01)
        assert len(visited.spoken) == 1
    assert await hears_the_end(callers[2])  # it closes whom it still has
    for caller in callers:
        await caller.aclose()


async def test_who_is_silent_for_too_long_is_shown_out(door: trio.SocketListener, mock_clock: MockClock) -> None:
    visited = Visited(door)
    async with visited.running():
        caller = await visited.come()
        mock_clock.jump(PATIENCE - 1)
        await wait_all_tasks_blocked(0.01)
        assert len(visited.room) == 1
        mock_clock.jump(2)
        assert await hears_the_end(caller)
        assert len(visited.room) == visited.turned_away == 0
        await caller.aclose()
