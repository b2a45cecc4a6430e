"""Messages that are half here take bounded memory, and all become whole or are given up."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.clients.halves import DEADLINE, Half, Halves

LARGE = 100_000


@pytest.fixture
def halves() -> Halves:
    return Halves(2 * LARGE)


def half(give_up: Callable[[], None] = lambda: None, since: float = 0) -> Half:
    return Half(since, give_up)


async def test_what_is_small_never_waits(halves: Halves, autojump_clock: MockClock) -> None:
    large, small = half(), half()
    halves.grew(large, 3 * LARGE)
    halves.grew(small, 10_000)
    with trio.fail_after(1):
        await halves.room(small)


async def test_past_the_budget_all_wait_but_the_first(halves: Halves, autojump_clock: MockClock) -> None:
    first, second, third = half(), half(), half()
    went_on = []

    async def wait(one: Half) -> None:
        await halves.room(one)
        went_on.append(one)

    for one in (first, second, third):
        halves.grew(one, LARGE)
    async with trio.open_nursery() as nursery:
        for one in (third, second, first):
            nursery.start_soon(wait, one)
        await wait_all_tasks_blocked()
        assert went_on == [first]
        halves.grew(first, 3 * LARGE)
        halves.ended(first)
        await wait_all_tasks_blocked()
        assert set(went_on) == {first, second, third}


async def test_the_first_is_given_up_when_others_wait_for_too_long(halves: Halves, autojump_clock: MockClock) -> None:
    given_up = []
    first = half(lambda: given_up.append(first))
    second = half(since=1)
    halves.grew(first, 2 * LARGE)
    halves.tick(DEADLINE + 1)
    assert not given_up  # nobody waits
    halves.grew(second, LARGE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(halves.room, second)
        await wait_all_tasks_blocked()
        halves.tick(DEADLINE - 1)
        assert not given_up
        halves.tick(DEADLINE + 1)
        assert given_up == [first]
        halves.ended(first)
