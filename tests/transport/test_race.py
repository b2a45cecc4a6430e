"""Several attempts, of which the first that succeeds counts."""

import pytest
import trio
from trio.testing import MockClock

from peatd.errors import PeerError
from peatd.transport.race import Attempt, race


class Track:
    """Attempts that take so long to connect, and then so long to succeed (None: they fail)."""

    def __init__(self, **attempts: tuple[float | None, float | None]) -> None:
        self.attempts = attempts
        self.begun: dict[str, float] = {}
        self.discarded: list[str] = []

    def attempt(self, name: str, head_start: float = 0.25) -> Attempt[str]:
        async def run(connected: trio.Event) -> str:
            self.begun[name] = trio.current_time()
            for takes, done in zip(self.attempts[name], (connected.set, lambda: None), strict=True):
                if takes is None:
                    raise PeerError(name)
                await trio.sleep(takes)
                done()
            return name

        return Attempt(run, head_start)

    async def run(self) -> tuple[str | None, list[str]]:
        won, errors = await race([self.attempt(name) for name in self.attempts], self.discard)
        return won, [str(error) for error in errors]

    async def discard(self, late: str) -> None:
        await trio.lowlevel.checkpoint()
        self.discarded.append(late)


async def test_the_first_one_alone_if_it_is_quick(autojump_clock: MockClock) -> None:
    track = Track(a=(0.2, 1.0), b=(0.0, 0.0))
    assert await track.run() == ("a", [])
    assert list(track.begun) == ["a"]


async def test_a_slow_connection_lets_the_next_begin_beside_it(autojump_clock: MockClock) -> None:
    track = Track(a=(30.0, 0.0), b=(30.0, 0.0), c=(0.1, 0.1))
    assert await track.run() == ("c", [])
    assert track.begun == {"a": 0.0, "b": 0.25, "c": 0.5}
    assert trio.current_time() == 0.7


async def test_each_has_its_own_head_start(autojump_clock: MockClock) -> None:
    track = Track(a=(9.0, 0.0), b=(0.1, 0.0))
    assert (await race([track.attempt("a", 1.0), track.attempt("b")], track.discard))[0] == "b"
    assert track.begun == {"a": 0.0, "b": 1.0}


async def test_a_failure_lets_the_next_begin_at_once(autojump_clock: MockClock) -> None:
    track = Track(a=(None, None), b=(0.1, None), c=(0.0, 0.0))
    assert await track.run() == ("c", ["a", "b"])
    assert track.begun == {"a": 0.0, "b": 0.0, "c": 0.1}


async def test_a_silent_handshake_lets_the_next_begin_after_a_while(autojump_clock: MockClock) -> None:
    track = Track(a=(0.1, 60.0), b=(0.0, 0.0))
    assert await track.run() == ("b", [])
    assert track.begun["b"] == 2.1


async def test_a_slow_one_may_still_win(autojump_clock: MockClock) -> None:
    assert await Track(a=(0.4, 0.0), b=(5.0, 0.0)).run() == ("a", [])


async def test_a_second_success_is_let_go(autojump_clock: MockClock) -> None:
    """In the very moment of the first: the last checkpoint of both was behind them."""
    track = Track(a=(0.0, 0.0), b=(0.0, 0.0))
    gate = trio.Event()

    async def attempt(_: trio.Event) -> str:
        await gate.wait()
        return "won"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_open_later, gate)
        won, _ = await race([Attempt(attempt), Attempt(attempt)], track.discard)
    assert (won, track.discarded) == ("won", ["won"])


async def test_a_success_is_let_go_if_all_is_cancelled_in_that_moment(autojump_clock: MockClock) -> None:
    track = Track()
    with trio.CancelScope() as scope:

        async def attempt(_: trio.Event) -> str:
            scope.cancel()
            return "won"

        await race([Attempt(attempt)], track.discard)
    assert scope.cancelled_caught
    assert track.discarded == ["won"]


async def test_if_all_fail_all_say_why_in_their_order(autojump_clock: MockClock) -> None:
    assert await Track(a=(3.0, None), b=(1.0, None)).run() == (None, ["a", "b"])
    assert await Track().run() == (None, [])


@pytest.mark.parametrize("connecting", [9.0, 0.1])
async def test_whoever_is_cancelled_takes_nothing_along(autojump_clock: MockClock, connecting: float) -> None:
    track = Track(a=(connecting, 9.0))
    with trio.move_on_after(0.5) as scope:
        await track.run()
    assert scope.cancelled_caught
    assert track.discarded == []


async def _open_later(gate: trio.Event) -> None:
    await trio.sleep(1)
    gate.set()
