"""The relay's end of a control connection."""

from collections.abc import AsyncIterator

import pytest
import trio
from fakes.relays import device_of
from trio.testing import MockClock, memory_stream_pair

from peatd.relay.control import SILENCE, attend
from peatd.relay.gate import Caller
from peatd.relay.protocol import Accepted, Frames, Incoming, Message, Ping, Pong, frame
from peatd.relay.switchboard import Seat

CALL = Incoming("00" * 32)


class Registered:
    """A node that answers each PING, and its seat at the relay."""

    def __init__(self) -> None:
        self.seat = Seat(Caller(device_of("bob"), frozenset()))
        self.heard: list[Message] = []
        self.left: float | None = None
        self.answers = True
        self._node, self._relay = memory_stream_pair()

    async def attend(self) -> None:
        await attend(self.seat, self._relay)
        self.left = trio.current_time()

    async def listen(self) -> None:
        frames = Frames()
        while True:
            while (message := frames.next()) is None:
                frames.receive(bytes(await self._node.receive_some()))
            self.heard.append(message)
            if isinstance(message, Ping) and self.answers:
                await self._node.send_all(frame(Pong()))


@pytest.fixture
async def bob(nursery: trio.Nursery) -> AsyncIterator[Registered]:
    made = Registered()
    nursery.start_soon(made.attend)
    nursery.start_soon(made.listen)
    yield made
    nursery.cancel_scope.cancel()


async def test_who_answers_stays(bob: Registered, autojump_clock: MockClock) -> None:
    await trio.sleep(600)
    assert bob.left is None
    assert bob.heard[0] == Accepted()
    assert 29 <= bob.heard.count(Ping()) <= 31


async def test_who_does_not_answer_is_taken_for_gone(bob: Registered, autojump_clock: MockClock) -> None:
    bob.answers = False
    await trio.sleep(600)
    assert bob.left == pytest.approx(SILENCE)


async def test_who_is_called_again_and_again_is_asked_whether_it_lives_all_the_same(
    bob: Registered, autojump_clock: MockClock
) -> None:
    """Calls are not answered here."""
    for _ in range(600):
        bob.seat.call(CALL)
        await trio.sleep(1)
    assert bob.left is None
    assert bob.heard.count(CALL) == 600
    assert 29 <= bob.heard.count(Ping()) <= 31
