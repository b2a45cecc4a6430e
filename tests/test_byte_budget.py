"""Memory that many use: who finds none waits in order, and is refused in time."""

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.byte_budget import PATIENCE, ByteBudget, Holding
from peatd.errors import Unavailable
from peatd.limits import SAY_INTERVAL, Limit, LimitHits
from peatd.memory import LEAST_BYTES, MIB, MOST_BYTES, share_out


@pytest.fixture
def hits() -> LimitHits:
    return LimitHits()


@pytest.fixture
def budget(hits: LimitHits) -> ByteBudget:
    return ByteBudget(100, Limit.REQUEST_MEMORY, hits)


async def test_invariant_1_never_more_is_used_than_there_is(budget: ByteBudget) -> None:
    assert [await budget.take(60), await budget.take(40)] == [60, 40]
    budget.give_back(60)
    budget.give_back(40)
    assert await budget.take(1000) == 100, "what is larger than all of it has it alone"


async def test_invariant_2_nobody_overtakes(budget: ByteBudget) -> None:
    order: list[int] = []

    async def take(size_bytes: int) -> None:
        await budget.take(size_bytes)
        order.append(size_bytes)

    await budget.take(90)
    async with trio.open_nursery() as nursery:
        for size_bytes in (80, 25):
            nursery.start_soon(take, size_bytes)
            await wait_all_tasks_blocked()
        budget.give_back(60)
        await wait_all_tasks_blocked()
        assert order == [], "there would be room for the small one"
        budget.give_back(30)
        await wait_all_tasks_blocked()
        assert order == [80]
        budget.give_back(80)
    assert order == [80, 25]
    assert budget.used_bytes == 25


async def test_who_waits_too_long_is_refused_and_lets_others_pass(
    budget: ByteBudget, hits: LimitHits, autojump_clock: MockClock
) -> None:
    await budget.take(90)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:

            async def take_little() -> None:
                assert await budget.take(10) == 10

            begun = trio.current_time()
            with pytest.raises(Unavailable, match="try again later"):
                await budget.take(80)
            assert trio.current_time() - begun == PATIENCE
            nursery.start_soon(take_little)
    assert budget.used_bytes == 100
    assert hits.counts[Limit.REQUEST_MEMORY] == 1
    assert [(line["event"], line["limit"]) for line in logs] == [("limit hit", "request_memory")]


async def test_who_goes_away_while_waiting_has_taken_nothing(budget: ByteBudget) -> None:
    await budget.take(100)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(budget.take, 50)
            await wait_all_tasks_blocked()
            scope.cancel()
    budget.give_back(100)
    assert budget.used_bytes == 0


async def test_what_is_held_is_given_back_once(budget: ByteBudget) -> None:
    holding = Holding(budget)
    await holding.take(30)
    await holding.take(20)
    assert budget.used_bytes == 50
    holding.release()
    holding.release()
    assert budget.used_bytes == 0


def test_a_limit_is_said_once_a_minute_and_counted_always() -> None:
    now = 0.0
    hits = LimitHits(clock=lambda: now)
    with capture_logs() as logs:
        for _ in range(1000):
            hits.hit(Limit.CLIENTS, "full")
        now = SAY_INTERVAL
        hits.hit(Limit.CLIENTS, "full")
        hits.hit(Limit.MESH_HANDSHAKES, "full")
    assert [(line["limit"], line["repeated"]) for line in logs] == [
        ("clients", 0),
        ("clients", 999),
        ("mesh_handshakes", 0),
    ]
    assert hits.counts[Limit.CLIENTS] == 1001


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("memory_bytes", [LEAST_BYTES, 256 * MIB, 512 * MIB, MOST_BYTES, 64 * MOST_BYTES])
def test_the_shares_together_are_what_there_is(memory_bytes: int, workers: int) -> None:
    shares = share_out(memory_bytes, workers)
    together = (
        shares.pending
        + shares.changes
        + shares.requests
        + shares.client_messages
        + shares.client_diffs
        + shares.peer_updates
        + workers * (shares.engine + shares.waiting)
    )
    assert together + 96 * MIB <= max(min(memory_bytes, MOST_BYTES), LEAST_BYTES) + MIB * workers
    assert MIB // 2 < shares.document <= 64 * MIB
    assert min(shares.engine, shares.open_documents, shares.waiting, shares.pending, shares.changes) > MIB // 2
    assert 250 < shares.clients <= 10_000
