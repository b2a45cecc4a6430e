"""The first attempt that succeeds counts; each has a while for itself."""

import pytest
import trio
from trio.testing import MockClock

from peatd.errors import PeerError
from peatd.relay.race import Attempt, race


class Track:
    """Attempts that take their time, and what became of them."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}
        self.discarded: list[str] = []

    def attempt(self, name: str, takes: float, head_start: float = 1.0, *, fails: bool = False) -> Attempt[str]:
        async def run() -> str:
            self.begun[name] = trio.current_time()
            await trio.sleep(takes)
            if fails:
                raise PeerError(name)
            return name

        return Attempt(run, head_start)

    async def discard(self, late: str) -> None:
        self.discarded.append(late)


@pytest.fixture
async def track() -> Track:
    return Track()


async def test_whoever_is_quick_is_alone(track: Track, autojump_clock: MockClock) -> None:
    assert await race([track.attempt("a", 0.5), track.attempt("b", 0.1)], track.discard) == ("a", [])
    assert track.begun.keys() == {"a"}


async def test_the_next_begins_when_the_head_start_is_over(track: Track, autojump_clock: MockClock) -> None:
    begun = trio.current_time()
    assert (await race([track.attempt("a", 9.0), track.attempt("b", 0.1)], track.discard))[0] == "b"
    assert track.begun["b"] - begun == pytest.approx(1.0)


async def test_or_when_the_one_before_has_failed(track: Track, autojump_clock: MockClock) -> None:
    begun = trio.current_time()
    found, errors = await race([track.attempt("a", 0.2, fails=True), track.attempt("b", 0.1)], track.discard)
    assert (found, [str(error) for error in errors]) == ("b", ["a"])
    assert track.begun["b"] - begun == pytest.approx(0.2)


async def test_who_was_slow_may_still_win(track: Track, autojump_clock: MockClock) -> None:
    attempts = [track.attempt("a", 2.0), track.attempt("b", 0.5, fails=True)]
    found, errors = await race(attempts, track.discard)
    assert (found, [str(error) for error in errors]) == ("a", ["b"])


async def test_if_all_fail_all_say_why_in_their_order(track: Track, autojump_clock: MockClock) -> None:
    attempts = [track.attempt("a", 3.0, fails=True), track.attempt("b", 0.1, fails=True)]
    found, errors = await race(attempts, track.discard)
    assert (found, [str(error) for error in errors]) == (None, ["a", "b"])


async def test_a_second_success_is_let_go(track: Track, autojump_clock: MockClock) -> None:
    """In the very moment of the first: both have stopped waiting."""

    async def at_once() -> str:
        return "at once"

    late = Attempt(at_once, 0.0)
    found, _ = await race([late, late], track.discard)
    assert found == "at once"
    assert track.discarded in ([], ["at once"])


async def test_whoever_is_cancelled_takes_nothing_along(track: Track, autojump_clock: MockClock) -> None:
    with trio.move_on_after(0.5) as scope:
        await race([track.attempt("a", 9.0)], track.discard)
    assert scope.cancelled_caught
    assert track.discarded == []
