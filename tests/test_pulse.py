"""The beats of links: each has its own, and a node whose links rest is woken for no others."""

import itertools
import random

import pytest
import trio
from trio.testing import MockClock

from peatd.pulse import BEAT, Pulse


class Waits(trio.abc.Instrument):
    """Counts how often the loop had nothing to do but to wait for a time."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 0 < timeout < BEAT


async def beats(pulse: Pulse, links: int, seconds: float) -> list[list[float]]:
    """When each of these links had its turn."""
    heard: list[list[float]] = [[] for _ in range(links)]

    async def link(number: int) -> None:
        beat = pulse.turn()
        while True:
            await beat()
            heard[number].append(trio.current_time())

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pulse.run)
            for number in range(links):
                nursery.start_soon(link, number)
    return heard


@pytest.mark.parametrize("links", [1, 2, 3, 40])
async def test_every_link_has_its_turn_once_in_a_beat(links: int, autojump_clock: MockClock) -> None:
    random.seed(links)
    for times in await beats(Pulse(lambda: 0), links, seconds=100.0):
        assert 0.8 * 100 / BEAT < len(times) < 1.2 * 100 / BEAT
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(pauses) >= 0.75 * BEAT
        assert max(pauses) <= 1.25 * BEAT


async def test_a_node_is_woken_for_its_links_and_for_nothing_else(autojump_clock: MockClock) -> None:
    random.seed(1)
    for links in (0, 1):
        waits = Waits()
        trio.lowlevel.add_instrument(waits)
        await beats(Pulse(lambda: 0), links, seconds=100.0)
        trio.lowlevel.remove_instrument(waits)
        assert waits.count <= links * 1.2 * 100 / BEAT


async def test_a_link_that_comes_to_a_node_without_any_has_its_turn_within_a_beat(autojump_clock: MockClock) -> None:
    pulse = Pulse(lambda: 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pulse.run)
        await trio.sleep(1000)
        with trio.fail_after(1.25 * BEAT):
            await pulse.turn()()
        nursery.cancel_scope.cancel()
