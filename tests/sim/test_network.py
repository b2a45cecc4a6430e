"""Connections as sockets show them, when the network is well and when it is not."""

import random
from contextlib import suppress

import pytest
import trio
from sim.network import PORT, Network
from trio.testing import MockClock

from peatd.errors import Unreachable
from peatd.names import Address
from peatd.transport.link import Link

ALICE, BOB = "alice", "bob"


async def connected() -> tuple[Network, Link, Link]:
    network = Network(random.Random(0), 0.01)
    arrived: list[Link] = []
    network.listen(ALICE, b"a1", arrived.append)
    network.listen(BOB, b"b1", arrived.append)
    return network, await network.dial(ALICE, Address(BOB, PORT)), arrived[0]


async def test_both_ends_know_whom_they_talk_to(autojump_clock: MockClock) -> None:
    _, here, there = await connected()
    assert (here.peer.node_id, here.peer.instance, here.peer.initiating) == (BOB, b"b1", True)
    assert (there.peer.node_id, there.peer.instance, there.peer.initiating) == (ALICE, b"a1", False)


async def test_bytes_arrive_late_and_in_order_and_then_the_end(autojump_clock: MockClock) -> None:
    _, here, there = await connected()
    for number in range(5):
        await here.stream.send_all(bytes([number]))
    await here.stream.aclose()
    sent_at = trio.current_time()
    assert [await there.stream.receive_some() for _ in range(6)] == [b"\0", b"\1", b"\2", b"\3", b"\4", b""]
    assert trio.current_time() > sent_at


async def test_what_is_sent_into_a_cut_arrives_when_it_is_mended(autojump_clock: MockClock) -> None:
    network, here, there = await connected()
    network.cut((ALICE, BOB))
    await here.stream.send_all(b"hello")
    await there.stream.send_all(b"the other way is open")
    assert await here.stream.receive_some() == b"the other way is open"
    with trio.move_on_after(60) as waited:
        await there.stream.receive_some()
    assert waited.cancelled_caught
    with pytest.raises(Unreachable, match="no answer"):
        await network.dial(ALICE, Address(BOB, PORT))
    network.mend((ALICE, BOB))
    assert await there.stream.receive_some() == b"hello"


async def test_who_does_not_read_makes_the_sender_wait(autojump_clock: MockClock) -> None:
    _, here, there = await connected()
    sent = 0
    with trio.move_on_after(60):
        while True:
            await here.stream.send_all(bytes(10_000))
            sent += 10_000
    assert 250_000 < sent < 300_000
    await there.stream.receive_some()
    with trio.fail_after(1):
        await here.stream.send_all(b"there is room")


async def test_a_slow_reader_takes_its_time(autojump_clock: MockClock) -> None:
    network, here, there = await connected()
    network.slow((ALICE, BOB), 100.0)
    begun = trio.current_time()
    await here.stream.send_all(bytes(1000))
    await there.stream.receive_some()
    assert 10 <= trio.current_time() - begun < 11


async def test_a_killed_process_is_told_of_by_its_kernel(autojump_clock: MockClock) -> None:
    network, here, there = await connected()
    network.leave(BOB, silently=False)
    with suppress(trio.BrokenResourceError):
        assert await here.stream.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await here.stream.send_all(b"hello?")
    with pytest.raises(trio.BrokenResourceError):
        await there.stream.receive_some()
    with pytest.raises(Unreachable, match="refused"):
        await network.dial(ALICE, Address(BOB, PORT))


async def test_a_machine_without_power_says_nothing_until_it_is_back(autojump_clock: MockClock) -> None:
    network, here, _ = await connected()
    network.leave(BOB, silently=True)
    await here.stream.send_all(b"hello?")
    with trio.move_on_after(60) as waited:
        await here.stream.receive_some()
    assert waited.cancelled_caught
    network.listen(BOB, b"b2", lambda _: None)
    network.answer_for(BOB)
    with pytest.raises(trio.BrokenResourceError):
        await here.stream.receive_some()


async def test_what_is_read_slowly_outlives_its_sender(autojump_clock: MockClock) -> None:
    network, here, there = await connected()
    network.slow((BOB, ALICE), 100.0)
    await there.stream.send_all(bytes(1000))
    await there.stream.aclose()
    network.leave(BOB, silently=False)
    network.listen(BOB, b"b2", lambda _: None)
    assert not network.has_heard_ghosts(BOB, ALICE, since=0.0)
    with suppress(trio.BrokenResourceError):
        await here.stream.receive_some()
        assert network.has_heard_ghosts(BOB, ALICE, since=0.0)
