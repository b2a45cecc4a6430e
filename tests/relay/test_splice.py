"""One circuit: bytes pass in both directions, and no more of them are kept than a chunk."""

from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from peatd.relay.splice import CHUNK_BYTES, IDLE, splice


class Circuit(NamedTuple):
    left: trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
    right: trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
    over: trio.Event
    paid: list[int]


@pytest.fixture
async def circuit(nursery: trio.Nursery) -> Circuit:
    left, one = memory_stream_pair()
    other, right = memory_stream_pair()
    over, paid = trio.Event(), []

    async def pay(size_bytes: int) -> None:
        paid.append(size_bytes)

    async def run() -> None:
        await splice(one, other, pay, pay)
        over.set()

    nursery.start_soon(run)
    return Circuit(left, right, over, paid)


async def test_bytes_pass_in_both_directions_and_are_paid_for(circuit: Circuit, autojump_clock: MockClock) -> None:
    await circuit.left.send_all(b"ping")
    assert await circuit.right.receive_some() == b"ping"
    await circuit.right.send_all(b"pong!")
    assert await circuit.left.receive_some() == b"pong!"
    assert circuit.paid == [4, 5]


async def test_the_end_of_one_direction_leaves_the_other(circuit: Circuit, autojump_clock: MockClock) -> None:
    await circuit.left.send_eof()
    assert await circuit.right.receive_some() == b""
    await circuit.right.send_all(b"late")
    assert await circuit.left.receive_some() == b"late"
    assert not circuit.over.is_set()
    await circuit.right.send_eof()
    await circuit.over.wait()


async def test_a_cut_on_one_side_ends_it(circuit: Circuit, autojump_clock: MockClock) -> None:
    await circuit.left.aclose()
    await circuit.right.aclose()
    with trio.fail_after(IDLE / 2):
        await circuit.over.wait()


async def test_a_silent_circuit_is_over_and_one_that_moves_is_not(circuit: Circuit, autojump_clock: MockClock) -> None:
    for _ in range(10):
        await trio.sleep(IDLE * 0.9)
        await circuit.left.send_all(b".")
    assert not circuit.over.is_set()
    begun = trio.current_time()
    await circuit.over.wait()
    assert trio.current_time() - begun == pytest.approx(IDLE, abs=1)


async def test_whoever_does_not_read_stops_whoever_sends(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """The relay holds one chunk, and reads no more until that is out of its hands."""
    left, one = memory_stream_pair()
    other, right = memory_stream_pair()
    stuck = trio.Event()

    passes_on = other.send_stream.send_all_hook

    async def sends_when_let() -> None:
        await stuck.wait()
        await passes_on()

    other.send_stream.send_all_hook = sends_when_let

    read: list[int] = []

    async def pay(size_bytes: int) -> None:
        read.append(size_bytes)

    nursery.start_soon(splice, one, other, pay, pay)
    for _ in range(8):
        await left.send_all(bytes(CHUNK_BYTES))
    await wait_all_tasks_blocked()
    assert sum(read) <= CHUNK_BYTES
    stuck.set()
    taken = 0
    while taken < 8 * CHUNK_BYTES:
        taken += len(await right.receive_some())
    assert sum(read) == 8 * CHUNK_BYTES
