"""The engine without its process: the same bytes in and out, at the seam where `peatd.worker` has a process."""

import random

import trio

from peatd.engine.engine import Engine
from peatd.engine.library import Library
from peatd.engine.protocol import Done, Frames, decode_request, frame

_KILLED = -9
_RESIDENT_BYTES = 20 * 1024 * 1024


class EngineHere:
    """Has the interface of `worker_process.WorkerProcess`. Requests are handled when their replies are asked for.

    Args:
        delay: seconds that a batch of requests takes.
    """

    def __init__(self, library: Library, chance: random.Random, delay: float) -> None:
        self.pid = 0
        self.last_words = ""
        self._engine = Engine(library, lambda: chance.getrandbits(32))
        self._chance, self._delay = chance, delay
        self._frames = Frames()
        self._received = bytearray()
        self._ready = frame(Done())  # says that it is up
        self._is_killed = self._is_finished = False
        self._bell = trio.Event()

    async def send(self, data: bytes | bytearray) -> None:
        await trio.lowlevel.checkpoint()
        self.send_at_once(data)

    def send_at_once(self, data: bytes | bytearray) -> int:
        self._received += data
        self._ring()
        return len(data)

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._is_killed:
            if self._ready:
                replies, self._ready = self._ready, b""
                return replies
            if self._received:
                await trio.sleep(self._chance.choice((0.0, self._delay)))
                self._work()
            elif self._is_finished:
                break
            else:
                await self._bell.wait()
        return b""

    def _work(self) -> None:
        received, self._received = bytes(self._received), bytearray()
        requests = [decode_request(body) for body in self._frames.receive(received)]
        self._ready = b"".join(frame(self._engine.handle(request)) for request in requests)

    async def listen(self) -> None:
        while not (self._is_killed or self._is_finished):
            await self._bell.wait()

    def finish(self) -> None:
        self._is_finished = True
        self._ring()

    def kill(self) -> None:
        self._is_killed = True
        self._ring()

    async def end(self) -> int:
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()
        is_killed, self._is_killed = self._is_killed, True
        self._ring()
        return _KILLED if is_killed else 0

    def cpu_time(self) -> float:
        return 0.0

    def is_stopped(self) -> bool:
        return False

    def resident_bytes(self) -> int:
        return _RESIDENT_BYTES

    def _ring(self) -> None:
        self._bell.set()
        self._bell = trio.Event()
