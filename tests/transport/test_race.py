"""Several attempts, of which the first that succeeds counts."""

import trio
from trio.testing import MockClock

from peatd.transport.race import Attempt, race


class Track:
    """Attempts that take so long to connect, and then so long to succeed (None: never)."""

    def __init__(self, **targets: tuple[float | None, float | None]) -> None:
        self.targets = targets
        self.begun: dict[str, float] = {}
        self.surplus: list[str] = []

    async def run(self) -> str | None:
        return await race(list(self.targets), self._attempt, self._too_late)

    async def _attempt(self, one: Attempt[str]) -> str | None:
        self.begun[one.target] = trio.current_time()
        connecting, shaking = self.targets[one.target]
        if connecting is None:
            return None
        await trio.sleep(connecting)
        one.connected.set()
        if shaking is None:
            return None
        await trio.sleep(shaking)
        return one.target

    async def _too_late(self, won: str) -> None:
        self.surplus.append(won)


async def test_the_first_one_alone_if_it_is_quick(autojump_clock: MockClock) -> None:
    track = Track(a=(0.2, 1.0), b=(0.0, 0.0))
    assert await track.run() == "a"
    assert list(track.begun) == ["a"]


async def test_a_slow_connection_lets_the_next_begin_beside_it(autojump_clock: MockClock) -> None:
    track = Track(a=(30.0, 0.0), b=(30.0, 0.0), c=(0.1, 0.1))
    assert await track.run() == "c"
    assert track.begun == {"a": 0.0, "b": 0.25, "c": 0.5}
    assert trio.current_time() == 0.7


async def test_a_failure_lets_the_next_begin_at_once(autojump_clock: MockClock) -> None:
    track = Track(a=(None, None), b=(0.1, None), c=(0.0, 0.0))
    assert await track.run() == "c"
    assert track.begun == {"a": 0.0, "b": 0.0, "c": 0.1}


async def test_a_silent_handshake_lets_the_next_begin_after_a_while(autojump_clock: MockClock) -> None:
    track = Track(a=(0.1, 60.0), b=(0.0, 0.0))
    assert await track.run() == "b"
    assert track.begun["b"] == 2.1


async def test_a_slow_one_may_still_win(autojump_clock: MockClock) -> None:
    assert await Track(a=(0.4, 0.0), b=(5.0, 0.0)).run() == "a"


async def test_what_is_too_late_is_handed_back(autojump_clock: MockClock) -> None:
    """Its last checkpoint was behind it when the other won."""
    gate = trio.Event()
    surplus = []

    async def attempt(one: Attempt[str]) -> str:
        await gate.wait()
        return one.target

    async def too_late(won: str) -> None:
        surplus.append(won)

    async def open_gate() -> None:
        await trio.sleep(1)
        gate.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_gate)
        won = await race(["a", "b"], attempt, too_late)
    assert {won, *surplus} == {"a", "b"}


async def test_none_at_all(autojump_clock: MockClock) -> None:
    assert await Track(a=(None, None), b=(1.0, None)).run() is None
    assert await Track().run() is None
