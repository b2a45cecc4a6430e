"""What diffs that slow clients are sent may take together."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from peatd.clients.shelf import DEADLINE, Place, Shelf
from peatd.limits import Limit, LimitHits


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    """Of a hundred bytes."""
    made = Shelf(100, LimitHits())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_invariant_1_who_finds_no_room_waits_for_it(shelf: Shelf) -> None:
    taken: list[Place] = []
    for _ in range(4):
        shelf.take(40, taken.append)
    assert [place.size_bytes for place in taken] == [40, 40]
    assert shelf._hits.counts[Limit.CLIENT_DIFFS] == 2
    shelf.give_back(taken[0])
    assert len(taken) == 2  # not yet: it may be anywhere that a place is given back
    await wait_all_tasks_blocked()
    assert len(taken) == 3


async def test_invariant_1_what_is_larger_than_all_waits_until_it_is_alone(shelf: Shelf) -> None:
    taken: list[Place] = []
    for size_bytes in (1, 1000, 1):
        shelf.take(size_bytes, taken.append)
    assert [place.size_bytes for place in taken] == [1]  # Invariant 2: the last is not before the large one
    shelf.give_back(taken[0])
    await wait_all_tasks_blocked()
    assert [place.size_bytes for place in taken] == [1, 1000]
    shelf.give_back(taken[1])
    await wait_all_tasks_blocked()
    assert [place.size_bytes for place in taken] == [1, 1000, 1]


async def test_who_takes_too_long_has_to_go_if_others_wait(shelf: Shelf) -> None:
    taken: list[Place] = []
    sent_away: list[int] = []
    for number in range(2):
        shelf.take(50, taken.append)
        taken[number].give_up = lambda number=number: sent_away.append(number)  # type: ignore[misc]
    late = taken[0].since + DEADLINE + 1
    shelf.tick(late)
    assert sent_away == []
    shelf.take(50, taken.append)
    shelf.tick(late - 2)
    assert sent_away == []
    shelf.tick(late)
    assert sent_away == [0]
