"""A network of streams, as the socket layer shows one: bytes arrive late, in order, or not at all.

What is cut is a *direction*, from one node to another. Bytes that are on their way there wait, and arrive when it is
mended, as TCP's do; a link that gives up meanwhile closes into the void. TLS and the proof of membership are below this
seam and have tests of their own: a link begins proven.
"""

import math
import random
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio
from fakes.links import peer

from peatd.errors import Unreachable
from peatd.names import Address
from peatd.transport.dial import CONNECT_DEADLINE, NO_ANSWER, REFUSED
from peatd.transport.link import Link

PORT = 11204
_SOCKET_BYTES = 256 * 1024
"""What the kernels of both ends take before a sender has to wait."""

Direction = tuple[str, str]
Welcome = Callable[[Link], object]


class Pipe:
    """One direction of one connection.

    Attributes:
        pace: bytes a second; what a slow peer reads.
        is_refused: the receiver is gone, and its kernel says so to whoever sends.
        is_void: the receiver is gone, and nobody says so: what is sent piles up.
        is_reset: the receiver is told that the connection is gone; what was on its way to it is lost.
        is_silent: the receiver hears nothing any more.
        is_closed: the sender has closed; what is on its way arrives.
        last_words: when something arrived whose sender was gone by then.
    """

    def __init__(self, network: "Network", direction: Direction) -> None:
        self.is_refused = self.is_void = self.is_reset = self.is_silent = self.is_closed = False
        self.pace: float | None = None
        self.direction = direction
        self.waiting_bytes = 0
        self.last_words = -math.inf
        self._network = network
        self._latency = network.latency()
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._arrives = 0.0
        self._bell = trio.Event()

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        while self.waiting_bytes >= _SOCKET_BYTES and not self.is_refused:
            await self._bell.wait()
        if self.is_refused and not self._network.is_cut(self.direction):
            raise trio.BrokenResourceError("connection reset by peer")
        if self.is_closed:
            raise trio.ClosedResourceError
        self.waiting_bytes += len(data)
        if not self.is_void:
            took = len(data) / self.pace if self.pace else 0.0
            self._arrives = max(self._arrives, trio.current_time() + self._latency) + took
            self._chunks.append((self._arrives, data))
            if len(self._chunks) == 1:
                self.ring()

    async def receive(self) -> bytes:
        if self._chunks or self.is_closed or self.is_reset:  # else it waits in any case
            await trio.lowlevel.checkpoint()
        while not self.is_reset:
            if self.is_silent or self._network.is_cut(self.direction):
                await self._bell.wait()
            elif self._chunks:
                arrives, data = self._chunks[0]
                if arrives <= trio.current_time():
                    return self._take(data)
                with trio.move_on_at(arrives):
                    await self._bell.wait()
            elif self.is_closed:
                return b""
            else:
                await self._bell.wait()
        raise trio.BrokenResourceError("connection reset by peer")

    def _take(self, data: bytes) -> bytes:
        self._chunks.popleft()
        self.waiting_bytes -= len(data)
        if self.is_closed:
            self.last_words = trio.current_time()
        self._network.delivered(self.direction, data)
        self.ring()
        return data

    def sender_closes(self) -> None:
        self.is_closed = True
        self.ring()

    def sender_dies(self, *, silently: bool, resets: bool) -> None:
        self.is_silent, self.is_reset = silently, resets and not silently
        self.is_closed = self.is_refused = True
        self.ring()

    def receiver_leaves(self, *, silently: bool) -> None:
        self.is_void, self.is_refused = silently, not silently
        self.is_reset = True
        self.ring()

    def reset(self) -> None:
        self.is_reset = self.is_refused = True
        self.ring()

    def ring(self) -> None:
        if self._bell.statistics().tasks_waiting:
            self._bell.set()
            self._bell = trio.Event()


class Socket(trio.abc.Stream):
    """One end of a connection."""

    def __init__(self, outgoing: Pipe, incoming: Pipe) -> None:
        self._outgoing, self._incoming = outgoing, incoming

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._outgoing.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._incoming.receive()

    async def aclose(self) -> None:
        self._outgoing.sender_closes()
        self._incoming.receiver_leaves(silently=False)
        await trio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True)
class _Connection:
    """`lives`: by the name of each end, which life of it that is."""

    lives: dict[str, bytes]
    out: Pipe
    back: Pipe

    @property
    def pipes(self) -> tuple[Pipe, Pipe]:
        return self.out, self.back


class Network:
    """All connections, and what is wrong between whom.

    Attributes:
        deliveries, delivered_bytes: so far.
        checksum: over all that was delivered, when and where: two runs of a seed have the same.
    """

    def __init__(self, chance: random.Random, longest_latency: float) -> None:
        self.restricted: frozenset[str] = frozenset()  # of every node
        self.deliveries = self.delivered_bytes = self.checksum = 0
        self._chance, self._longest_latency = chance, longest_latency
        self._listeners: dict[str, tuple[bytes, Welcome]] = {}
        self._cut: set[Direction] = set()
        self._paces: dict[Direction, float] = {}
        self._connections: list[_Connection] = []

    def latency(self) -> float:
        return self._chance.uniform(0.0001, self._longest_latency)

    def is_cut(self, direction: Direction) -> bool:
        return direction in self._cut

    def delivered(self, direction: Direction, data: bytes) -> None:
        self.deliveries += 1
        self.delivered_bytes += len(data)
        told = f"{trio.current_time()!r} {direction}".encode()
        self.checksum = zlib.crc32(data, zlib.crc32(told, self.checksum))

    # Nodes -----------------------------------------------------------------------------------------------------

    def listen(self, name: str, instance: bytes, welcome: Welcome) -> None:
        self._listeners[name] = (instance, welcome)

    async def dial(self, name: str, address: Address) -> Link:
        """Raises: Unreachable."""
        there = address.host
        for direction in ((name, there), (there, name)):
            if direction in self._cut:
                await trio.sleep(CONNECT_DEADLINE)
                raise Unreachable(f"{address}: no answer within {CONNECT_DEADLINE:.0f} s", code=NO_ANSWER)
        await trio.sleep(self.latency())
        if there not in self._listeners or name not in self._listeners:
            raise Unreachable(f"{address}: connection refused", code=REFUSED)
        out, back = Pipe(self, (name, there)), Pipe(self, (there, name))
        out.pace, back.pace = self._paces.get((name, there)), self._paces.get((there, name))
        (ours, _), (theirs, welcome) = self._listeners[name], self._listeners[there]
        self._connections.append(_Connection({name: ours, there: theirs}, out, back))
        dialled = peer(there, initiating=True, restricted=self.restricted)
        dialling = peer(name, initiating=False, restricted=self.restricted)
        dialling = replace(dialling, instance=ours, hears_awareness=True)
        welcome(Link(Socket(back, out), dialling, Address(name, 40000)))
        try:
            await trio.sleep(self.latency())
        except trio.Cancelled:
            out.reset()
            back.reset()
            raise
        if self._listeners.get(there, (theirs, welcome))[0] != theirs:
            # It was started again before the end of the handshake arrived: its kernel knows nothing of this connection.
            out.reset()
            back.reset()
            raise Unreachable(f"{address}: connection reset", code=REFUSED)
        return Link(Socket(out, back), replace(dialled, instance=theirs, hears_awareness=True), address)

    def leave(self, name: str, *, silently: bool) -> None:
        """The node is gone. Its peers are told by its kernel, unless that is gone too."""
        self._listeners.pop(name, None)
        resets = self._chance.random() < 0.5
        for pipe in self._pipes_of(name):
            if pipe.direction[0] == name:
                pipe.sender_dies(silently=silently, resets=resets)
            else:
                pipe.receiver_leaves(silently=silently)

    def answer_for(self, name: str) -> None:
        """The machine is up again and knows nothing of the old connections: it resets those who use them."""
        for pipe in self._pipes_of(name):
            pipe.reset()

    def has_heard_ghosts(self, name: str, observer: str, *, since: float) -> bool:
        """Whether the observer was told something since then by a life of the node that is over."""
        present = self._listeners[name][0] if name in self._listeners else b""
        return any(
            pipe.last_words >= since
            for connection in self._connections
            if connection.lives.keys() == {name, observer} and connection.lives[name] != present
            for pipe in connection.pipes
            if pipe.direction == (name, observer)
        )

    def _pipes_of(self, name: str) -> list[Pipe]:
        return [pipe for connection in self._connections for pipe in connection.pipes if name in pipe.direction]

    # What goes wrong -------------------------------------------------------------------------------------------

    def cut(self, *directions: Direction) -> None:
        self._cut.update(directions)

    def mend(self, *directions: Direction) -> None:
        self._cut.difference_update(directions)
        self._ring()

    def slow(self, direction: Direction, pace: float | None) -> None:
        """From now on this direction takes so many bytes a second; None: as many as there are."""
        self._paces.pop(direction, None)
        if pace is not None:
            self._paces[direction] = pace
        for connection in self._connections:
            for pipe in connection.pipes:
                if pipe.direction == direction:
                    pipe.pace = pace

    def mend_all(self) -> None:
        self._cut.clear()
        for direction in list(self._paces):
            self.slow(direction, None)
        self._ring()

    def _ring(self) -> None:
        for connection in self._connections:
            for pipe in connection.pipes:
                pipe.ring()
