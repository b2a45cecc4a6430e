"""A running link: what passes, and what keeps it alive. Memory streams; where time passes, it is mocked."""

from collections.abc import Sequence

import pytest
import trio
from fakes.conversation import Side, conversation, said, said_then_closed, updates, with_script
from fakes.links import Inbox, memory_links
from trio.testing import MockClock, wait_all_tasks_blocked

from peatd.transport import Link, LinkEnd
from peatd.wire.connection import Connection, frame
from peatd.wire.messages import Goaway, Message, Ping, Pong, Tombstone


async def test_messages_arrive_in_order_both_ways() -> None:
    async with conversation() as (alice, bob):
        alice.inbox.send(*updates(1, 2))
        alice.inbox.send(*updates(3))
        bob.inbox.send(Tombstone("notes/b", 1))
        assert [await bob.inbox.messages.receive() for _ in range(3)] == updates(1, 2, 3)
        assert await alice.inbox.messages.receive() == Tombstone("notes/b", 1)


async def test_pings_hello_and_goaway_stay_below() -> None:
    async with with_script() as (alice, stream):
        await stream.send_all(frame([Ping(1), *updates(1), Pong(9), Goaway("shutdown", "bye")]))
        assert await alice.end() == LinkEnd("shutdown", "bye", by_peer=True)
        assert alice.inbox.taken() == updates(1)


async def test_what_came_behind_hello_comes_first() -> None:
    ours, theirs = memory_links()
    early = Link(ours.stream, ours.peer, ours.address, early=updates(1))
    async with conversation((early, theirs)) as (alice, bob):
        bob.inbox.send(*updates(2))
        assert [await alice.inbox.messages.receive() for _ in range(2)] == updates(1, 2)


async def test_a_batch_is_asked_for_when_the_last_one_is_sent() -> None:
    class Counting(Inbox):
        asked = 0

        async def next_batch(self) -> Sequence[Message]:
            self.asked += 1
            return updates(self.asked)

    async with with_script(Counting(), clogged=True) as (alice, stream):
        assert isinstance(alice.inbox, Counting)
        await wait_all_tasks_blocked()
        assert alice.inbox.asked <= 2
        connection, heard = Connection(), []
        while len(heard) < 10:
            heard += connection.receive(await stream.receive_some(64))
        await wait_all_tasks_blocked()
        assert alice.inbox.asked <= len(heard) + 3


async def test_it_counts_what_passes() -> None:
    async with conversation() as (alice, bob):
        alice.inbox.send(*updates(1, 2))
        await bob.inbox.messages.receive()
        await wait_all_tasks_blocked()
        # A ping and a pong each, and the two.
        assert alice.link.sent_messages == bob.link.received_messages == 4
        assert alice.link.sent_bytes == bob.link.received_bytes > 0


async def test_both_ends_ping_at_once_and_know_the_round_trip(autojump_clock: MockClock) -> None:
    async with conversation() as (alice, bob):
        assert alice.link.rtt is None
        await wait_all_tasks_blocked()
        assert alice.link.rtt == bob.link.rtt == 0
        opened_at = autojump_clock.current_time()
        await trio.sleep(3600)
        assert not alice.ended.is_set()
        assert alice.link.last_heard - opened_at == pytest.approx(3600, abs=10)


async def test_the_round_trip_is_measured(autojump_clock: MockClock) -> None:
    async with with_script() as (alice, stream):
        connection = Connection()
        for token, delay in ((1, 0.25), (2, 0.125)):
            [ping] = connection.receive(await stream.receive_some())
            assert ping == Ping(token)
            await trio.sleep(delay)
            await stream.send_all(frame([Pong(77), Pong(token)]))
            await wait_all_tasks_blocked()
            assert alice.link.rtt == pytest.approx(delay)
    assert autojump_clock.current_time() < 20


async def test_an_answer_that_nobody_asked_for_is_no_measure() -> None:
    async with with_script() as (alice, stream):
        await stream.send_all(frame([Pong(2), Pong(0)]))
        await wait_all_tasks_blocked()
        assert alice.link.rtt is None
        await stream.send_all(frame([Pong(1)]))
        await wait_all_tasks_blocked()
        measured = alice.link.rtt
        assert measured is not None
        await stream.send_all(frame([Pong(1)]))
        await wait_all_tasks_blocked()
        assert alice.link.rtt == measured


async def test_a_silent_peer_is_dead_after_thirty_seconds(autojump_clock: MockClock) -> None:
    began = autojump_clock.current_time()
    async with with_script() as (alice, stream):
        end = await alice.end()
        assert end == LinkEnd("silence", "nothing was heard for 30 s", by_peer=False)
        assert autojump_clock.current_time() - began == pytest.approx(30)
        assert [type(message) for message in await said(stream)] == [Ping] * 3


@pytest.mark.parametrize("began", [15.535, 47.028, 50.665])
async def test_a_silent_peer_is_dead_at_one_moment_however_the_sum_is_rounded(
    autojump_clock: MockClock, began: float
) -> None:
    """(`began` + 30) - `began` is less than 30: two ways to say it made the node busy until its clock moved on."""
    assert (began + 30) - began < 30
    autojump_clock.jump(began)
    async with with_script() as (alice, _):
        assert (await alice.end()).code == "silence"
        assert autojump_clock.current_time() == began + 30


async def test_silence_is_counted_from_the_last_byte(autojump_clock: MockClock) -> None:
    async with with_script() as (alice, stream):
        await trio.sleep(17)
        await stream.send_all(b"\x00")
        await alice.end()
        assert autojump_clock.current_time() == pytest.approx(47)


async def test_a_peer_is_not_silent_while_we_do_not_listen(autojump_clock: MockClock) -> None:
    class Slow(Inbox):
        async def received(self, message: Message) -> None:
            await trio.sleep(100)
            await super().received(message)

    ours, theirs = memory_links()
    async with conversation((ours, theirs), Slow()) as (alice, bob):
        bob.inbox.send(*updates(1, 2, 3))
        received = [await alice.inbox.messages.receive() for _ in range(3)]
        assert received == updates(1, 2, 3)
        assert autojump_clock.current_time() == pytest.approx(300)
        assert not alice.ended.is_set()
        assert not bob.ended.is_set()


async def test_a_flood_of_pings_is_answered_in_bounded_memory() -> None:
    async with with_script(clogged=True) as (alice, stream):
        for token in range(500):
            await stream.send_all(frame([Ping(token)]))
        await wait_all_tasks_blocked()
        alice.link.goaway("shutdown", "enough")
        answers = [message.token for message in await said_then_closed(stream) if isinstance(message, Pong)]
        assert len(answers) < 3
        assert answers[-1] == 499


async def test_hundreds_of_links_live_side_by_side(autojump_clock: MockClock) -> None:
    sides = [Side(link) for _ in range(150) for link in memory_links()]
    async with trio.open_nursery() as nursery:
        for side in sides:
            nursery.start_soon(side.run)
        await trio.sleep(100)
        assert not any(side.ended.is_set() for side in sides)
        nursery.cancel_scope.cancel()
    assert autojump_clock.current_time() < 101
