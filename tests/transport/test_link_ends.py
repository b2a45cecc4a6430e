"""How a link ends: on purpose, in order, cut, by nonsense; and that nobody can delay it."""

from collections.abc import Callable

import pytest
import trio
from fakes.conversation import Side, conversation, said, said_then_closed, tls_links, updates, with_script
from fakes.links import Inbox, hello, memory_links
from structlog.testing import capture_logs
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from peatd.errors import WireError
from peatd.transport import LinkEnd, converse, dismiss
from peatd.transport.tls_stream import TlsStream
from peatd.wire.connection import frame
from peatd.wire.messages import MAX_FRAME_BYTES, Goaway, Message, Piece, Updates


async def test_goaway_is_heard_by_the_peer_and_ends_both() -> None:
    async with conversation() as (alice, bob):
        alice.link.goaway("duplicate-node-id", "bob is here already")
        assert await alice.end() == LinkEnd("duplicate-node-id", "bob is here already", by_peer=False)
        assert await bob.end() == LinkEnd("duplicate-node-id", "bob is here already", by_peer=True)


async def test_only_the_first_goaway_counts() -> None:
    async with conversation() as (alice, bob):
        alice.link.goaway("first", "")
        alice.link.goaway("second", "")
        assert (await alice.end()).code == (await bob.end()).code == "first"


async def test_two_goaways_may_cross() -> None:
    async with conversation() as (alice, bob):
        alice.link.goaway("from-alice", "")
        bob.link.goaway("from-bob", "")
        assert await alice.end() == LinkEnd("from-alice", "", by_peer=False)
        assert await bob.end() == LinkEnd("from-bob", "", by_peer=False)


async def test_nodes_that_leave_at_once_do_not_wait_for_each_other(autojump_clock: MockClock) -> None:
    async with conversation() as (alice, bob):
        await wait_all_tasks_blocked()
        alice.scope.cancel()
        bob.scope.cancel()
        await alice.end()
        await bob.end()
        assert autojump_clock.current_time() == 0


async def test_a_long_message_is_cut_to_what_the_wire_takes() -> None:
    async with conversation() as (alice, bob):
        alice.link.goaway("shutdown", "x" * 5000)
        assert (await bob.end()).message == "x" * 1024


async def test_goaway_before_the_conversation_is_the_conversation() -> None:
    ours, theirs = memory_links()
    ours.goaway("shutdown", "bye")
    async with conversation((ours, theirs)) as (alice, bob):
        assert await bob.end() == LinkEnd("shutdown", "bye", by_peer=True)
        assert (await alice.end()).code == "shutdown"


async def test_a_link_can_be_dismissed_unheard() -> None:
    ours, theirs = memory_links()
    bob = Side(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bob.run)
        await dismiss(ours, "duplicate-node-id", "there is another")
        assert await bob.end() == LinkEnd("duplicate-node-id", "there is another", by_peer=True)
    with pytest.raises(trio.ClosedResourceError):
        await ours.stream.send_all(b"x")


async def test_cancelled_it_says_goaway_first() -> None:
    async with conversation() as (alice, bob):
        await wait_all_tasks_blocked()
        alice.scope.cancel()
        assert await alice.end() is None
        assert await bob.end() == LinkEnd("shutdown", "the node is going away", by_peer=True)


async def test_cancelled_before_it_began_it_says_goaway_too(autojump_clock: MockClock) -> None:
    ours, theirs = memory_links()
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.cancel()
        nursery.start_soon(converse, ours, Inbox())
    assert Goaway("shutdown", "the node is going away") in await said(theirs.stream)
    assert autojump_clock.current_time() <= 3


async def test_what_is_being_sent_is_finished_before_goaway() -> None:
    async with with_script(clogged=True) as (alice, stream):
        alice.inbox.send(*updates(*range(200)))
        await wait_all_tasks_blocked()
        alice.scope.cancel()
        messages = await said_then_closed(stream)
        assert [message for message in messages if isinstance(message, Updates)] == updates(*range(200))
        assert isinstance(messages[-1], Goaway)


@pytest.mark.parametrize("how", ["goaway", "cancel"])
async def test_a_peer_that_does_not_read_delays_nobody(how: str, autojump_clock: MockClock) -> None:
    async with with_script(clogged=True) as (alice, stream):
        await trio.sleep(1)
        began = autojump_clock.current_time()
        if how == "goaway":
            alice.link.goaway("shutdown", "bye")
        else:
            alice.scope.cancel()
        end = await alice.end()
        assert autojump_clock.current_time() - began <= 3
        assert (end is None) == (how == "cancel")
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")


async def test_a_peer_that_reads_and_does_not_close_delays_nobody(autojump_clock: MockClock) -> None:
    async with with_script() as (alice, stream):
        alice.link.goaway("shutdown", "bye")
        await alice.end()
        assert autojump_clock.current_time() <= 3
        assert isinstance((await said(stream))[-1], Goaway)


async def test_a_consumer_that_does_not_return_delays_nobody(autojump_clock: MockClock) -> None:
    class Stuck(Inbox):
        async def received(self, message: Message) -> None:
            await trio.sleep_forever()

    async with with_script(Stuck()) as (alice, stream):
        await stream.send_all(frame(updates(1)))
        await wait_all_tasks_blocked()
        alice.scope.cancel()
        await alice.end()
        assert autojump_clock.current_time() <= 3


async def test_nothing_is_delivered_once_we_leave() -> None:
    async with with_script() as (alice, stream):
        alice.link.goaway("shutdown", "bye")
        await stream.send_all(frame(updates(1)))
        await stream.aclose()
        await alice.end()
        assert alice.inbox.taken() == []


async def test_an_end_in_order_is_not_a_cut() -> None:
    async with with_script() as (alice, stream):
        await stream.aclose()
        assert await alice.end() == LinkEnd("eof", "the peer closed the connection", by_peer=True)


async def test_over_tls_a_cut_is_not_an_end() -> None:
    ours, theirs = await tls_links()
    bob = Side(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bob.run)
        await wait_all_tasks_blocked()
        assert isinstance(ours.stream, TlsStream)
        await ours.stream._transport.aclose()
        end = await bob.end()
        assert end.code == "cut"
        assert not end.by_peer


async def test_over_tls_a_close_is_an_end() -> None:
    ours, theirs = await tls_links()
    bob = Side(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bob.run)
        await ours.stream.aclose()
        assert (await bob.end()).code == "eof"


async def test_over_tls_goaway_is_heard_and_messages_pass() -> None:
    async with conversation(await tls_links()) as (alice, bob):
        alice.inbox.send(*updates(1, 2, 3))
        assert [await bob.inbox.messages.receive() for _ in range(3)] == updates(1, 2, 3)
        bob.scope.cancel()
        assert await alice.end() == LinkEnd("shutdown", "the node is going away", by_peer=True)


async def test_a_goaway_that_waits_to_be_read_is_the_reason_when_a_send_fails(autojump_clock: MockClock) -> None:
    class Slow(Inbox):
        async def received(self, message: Message) -> None:
            await trio.sleep(0.5)

    async with with_script(Slow()) as (alice, stream):
        await stream.send_all(frame(updates(1)))
        await wait_all_tasks_blocked()
        await stream.send_all(frame([Goaway("shutdown", "bye")]))
        await stream.aclose()
        alice.inbox.send(*updates(2))
        assert await alice.end() == LinkEnd("shutdown", "bye", by_peer=True)
    assert autojump_clock.current_time() < 2


async def test_a_send_that_fails_is_a_cut(autojump_clock: MockClock) -> None:
    ours, _theirs = memory_stream_pair()
    deaf = trio.StapledStream(ours.send_stream, ours.receive_stream)

    def broken() -> None:
        raise trio.BrokenResourceError("no route to host")

    ours.send_stream.send_all_hook = _async(broken)
    link, _ = memory_links(streams=(deaf, _theirs))
    end = await converse(link, Inbox())
    assert end == LinkEnd("cut", "the connection was cut: no route to host", by_peer=False)
    assert autojump_clock.current_time() < 3


def _async(function: Callable[[], None]) -> Callable[[], object]:
    async def call() -> None:
        function()

    return call


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc0", bytes(frame([hello("bob")]))])
async def test_nonsense_ends_it_and_the_peer_is_told(nonsense: bytes) -> None:
    async with with_script() as (alice, stream):
        await stream.send_all(nonsense)
        *_, last = await said_then_closed(stream)
        assert isinstance(last, Goaway)
        assert last.code == "nonsense"
        end = await alice.end()
        assert end == LinkEnd("nonsense", last.message, by_peer=False)


async def test_what_replication_refuses_is_nonsense_too() -> None:
    class Strict(Inbox):
        async def received(self, message: Message) -> None:
            raise WireError("a piece without a beginning")

    async with conversation(inbox=Strict()) as (alice, bob):
        bob.inbox.send(*updates(1))
        assert await bob.end() == LinkEnd("nonsense", "a piece without a beginning", by_peer=True)
        assert (await alice.end()).code == "nonsense"


async def test_a_fault_of_ours_ends_this_link_only_and_is_logged() -> None:
    class Faulty(Inbox):
        async def received(self, message: Message) -> None:
            raise RuntimeError("a bug")

    with capture_logs() as logs:
        async with conversation(inbox=Faulty()) as (alice, bob):
            bob.inbox.send(*updates(1))
            assert (await bob.end()).code == "fault"
            assert (await alice.end()).code == "fault"
    assert [line["event"] for line in logs] == ["fault on a link"]
    assert logs[0]["exc_info"]


async def test_a_batch_that_cannot_be_framed_is_a_fault_and_the_peer_is_told() -> None:
    with capture_logs() as logs:
        async with conversation() as (alice, bob):
            alice.inbox.send(Piece("notes/a", 1, 2, 3, 4, 5, b"x" * MAX_FRAME_BYTES))
            assert (await bob.end()).code == "fault"
    assert len(logs) == 1


async def test_the_stream_is_closed_whatever_the_end() -> None:
    async with with_script() as (alice, stream):
        await stream.send_all(frame([Goaway("shutdown", "bye")]))
        await alice.end()
        with pytest.raises(trio.ClosedResourceError):
            await alice.link.stream.send_all(b"x")
