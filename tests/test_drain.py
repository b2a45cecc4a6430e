"""The phases of leaving, and what each lets in and waits for."""

import pytest
import trio
import trio.testing

from peatd.drain import Drain
from peatd.errors import Unavailable


def test_a_serving_node_admits_and_says_nothing() -> None:
    drain = Drain()
    with drain.admit(), drain.admit():
        assert drain.status() is None
    assert not drain.is_announced
    assert not drain.closing.is_set()


def test_an_announced_node_is_not_ready_and_still_admits() -> None:
    drain = Drain()
    drain.announce()
    assert drain.is_announced
    assert drain.status() == "shutting down"
    with drain.admit():
        assert not drain.closing.is_set()


async def test_an_empty_node_closes_at_once() -> None:
    drain = Drain()
    with trio.fail_after(0):
        await drain.close()
    assert drain.is_announced


async def test_closing_waits_for_everyone_inside(autojump_clock: trio.testing.MockClock) -> None:
    drain = Drain()

    async def visit(duration: float) -> None:
        with drain.admit():
            await trio.sleep(duration)

    async with trio.open_nursery() as nursery:
        for duration in (1, 2, 3):
            nursery.start_soon(visit, duration)
        await trio.testing.wait_all_tasks_blocked()
        await drain.close()
        assert trio.current_time() == 3


async def test_invariant_2_nobody_is_admitted_once_it_is_closing(autojump_clock: trio.testing.MockClock) -> None:
    drain = Drain()
    with drain.admit(), trio.move_on_after(1):
        await drain.close()  # in vain: we are inside
    assert drain.closing.is_set()
    with pytest.raises(Unavailable, match="shutting down"), drain.admit():
        pytest.fail("admitted")


async def test_a_visitor_that_fails_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    drain = Drain()
    with pytest.raises(KeyError), drain.admit():
        raise KeyError
    with trio.fail_after(0):
        await drain.close()
