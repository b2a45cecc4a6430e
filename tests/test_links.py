"""Which links are let in."""

from dataclasses import replace

from fakes.links import peer
from fakes.replicas import mesh
from trio.testing import MockClock, wait_all_tasks_blocked


async def test_with_whom_we_are_linked_we_want_no_second_link_that_we_have_dialled(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, _):
        await wait_all_tasks_blocked()
        again = peer("bob", initiating=True)
        assert alice.links.declines(again) == "we are linked already"
        assert alice.links.declines(peer("carol", initiating=True)) is None


async def test_whoever_would_send_us_away_has_no_link_from_us(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, _):
        await wait_all_tasks_blocked()
        carol = peer("carol", initiating=True)
        assert alice.links.declines(replace(carol, links=4, max_links=4)) == "both have as many links as they need"
        assert alice.links.declines(replace(carol, links=16, max_links=16)) is None, "we have one, and may need it"


async def test_a_second_process_of_the_same_key_is_met_and_judged(autojump_clock: MockClock) -> None:
    """It has taken the place of the first, or is its twin, which its operator is to hear."""
    async with mesh("alice", "bob") as (alice, _):
        await wait_all_tasks_blocked()
        assert alice.links.declines(replace(peer("bob", initiating=True), instance=bytes(16))) is None


async def test_but_a_direct_link_where_the_first_goes_by_a_relay(autojump_clock: MockClock) -> None:
    async with mesh("alice", "bob") as (alice, _):
        await wait_all_tasks_blocked()
        ((link, _exchange),) = alice.links.live()
        link.peer = replace(link.peer, via="tcp://relay:1")
        again = peer("bob", initiating=True)
        assert alice.links.declines(again) is None
        assert alice.links.declines(replace(again, via="tcp://relay:2")) == "we are linked already"
