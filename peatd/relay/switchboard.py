"""At the relay: who is registered, and which circuits there are.

A circuit begins in the task of the connection that dials. It tells the registered node of a token; the connection that
shows the token hands its stream over and waits; the dialling task joins the two.
"""

import secrets
from collections import Counter
from dataclasses import dataclass, field

import trio

from peatd.errors import RelayError
from peatd.limits import Limit, LimitHits
from peatd.names import DeviceId
from peatd.relay.allowance import Allowance
from peatd.relay.gate import Caller
from peatd.relay.protocol import (
    BUSY,
    GONE,
    MAX_REASON,
    NO_ANSWER,
    NOT_HERE,
    REPLACED,
    TOKEN_BYTES,
    Accepted,
    Incoming,
    Refused,
    frame,
)
from peatd.relay.splice import Pay, splice

ANSWER_DEADLINE = 10.0
"""Seconds for a registered node to take a circuit: its own way to us."""
MAX_CIRCUITS_OF_ONE = 64
"""Circuits of one node, whoever has dialled: a mesh has few links each, and a link takes one."""
MAX_CIRCUITS_OF_TWO = 8
"""Circuits between the same two nodes. They need one; those of a life that ended without a word last until they are
idle. So nobody takes all the circuits, or all the patience, that a third has for others."""
MAX_WAITING_OF_ONE = 16
"""Circuits that wait for one node to take them; who comes then takes the place of the one that waits for longest."""
_FAREWELL_DEADLINE = 1.0


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Attributes:
    registrations, circuits: in all.
    rate: bytes a second that one node may send; 0 is without end.
    total_rate: that all may send together; likewise.
    """

    registrations: int = 1024
    circuits: int = 1024
    rate: int = 0
    total_rate: int = 0


@dataclass(eq=False)
class Seat:
    """A node that is registered, as long as its control connection lasts.

    Attributes:
        calls: what it has to be told of; bounded by `MAX_WAITING_OF_ONE`.
    """

    caller: Caller
    calls: list[Incoming] = field(default_factory=list)
    has_calls: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    is_replaced: bool = False

    def call(self, incoming: Incoming) -> None:
        self.calls = [*self.calls[-MAX_WAITING_OF_ONE + 1 :], incoming]  # those before have given way
        self.has_calls.set()

    def take(self) -> list[Incoming]:
        """What it has to be told of now."""
        calls, self.calls = self.calls, []
        self.has_calls = trio.Event()
        return calls


@dataclass(eq=False)
class _Waiting:
    """A circuit that nobody has taken yet."""

    dialler: DeviceId
    target: DeviceId
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    taken: trio.Event = field(default_factory=trio.Event)
    over: trio.Event = field(default_factory=trio.Event)
    stream: trio.abc.HalfCloseableStream | None = None

    @property
    def both(self) -> frozenset[DeviceId]:
        return frozenset((self.dialler, self.target))


@dataclass(slots=True)
class Tally:
    """What a relay has done since the start."""

    circuits: int = 0
    passed_bytes: int = 0


class Switchboard:
    """One relay's.

    Invariants:
        1. Of one device one seat is taken; by who registered last, for it has proved that it has the key.
        2. There are at most `limits.registrations` seats, `limits.circuits` circuits (those that wait count), and of
           one device `MAX_CIRCUITS_OF_ONE`, of any two `MAX_CIRCUITS_OF_TWO`.
        3. A token is good once, and for the device that it was told to.
    """

    def __init__(self, limits: RelayLimits, hits: LimitHits) -> None:
        self.tally = Tally()
        self._limits = limits
        self._hits = hits
        self._seats: dict[DeviceId, Seat] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._circuits: dict[DeviceId, int] = {}
        self._of_two: Counter[frozenset[DeviceId]] = Counter()
        self._circuit_count = 0
        self._allowances: dict[DeviceId, Allowance] = {}
        self._all = Allowance(limits.total_rate, trio.current_time())

    @property
    def registrations(self) -> int:
        return len(self._seats)

    @property
    def circuits(self) -> int:
        return self._circuit_count

    def register(self, caller: Caller) -> Seat:
        """
        Raises:
            RelayError: `busy`.
        """
        old = self._seats.get(caller.device_id)
        if old is None and len(self._seats) >= self._limits.registrations:
            raise self._busy(Limit.RELAY_REGISTRATIONS, f"{self._limits.registrations} nodes are registered")
        if old is not None:
            old.is_replaced = True
            old.scope.cancel()
        seat = self._seats[caller.device_id] = Seat(caller)  # Invariant 1.
        return seat

    def leave(self, seat: Seat) -> None:
        if self._seats.get(seat.caller.device_id) is seat:
            del self._seats[seat.caller.device_id]

    async def dial(self, caller: Caller, target: str, stream: trio.abc.HalfCloseableStream) -> None:
        """Joins the caller's stream with whoever is registered under that id, until one of them ends.

        Raises:
            RelayError: `not-here`, `no-answer` or `busy`.
        """
        seat = self._seats.get(DeviceId(target))
        if seat is None or not seat.caller.formations & caller.formations:
            raise RelayError("that node is not registered at this relay", NOT_HERE)
        self._make_room(caller.device_id, seat.caller.device_id)
        waiting, token = _Waiting(caller.device_id, seat.caller.device_id), secrets.token_hex(TOKEN_BYTES)
        self._begin(waiting, token)
        try:
            seat.call(Incoming(token))
            with trio.move_on_after(ANSWER_DEADLINE), waiting.scope:
                await waiting.taken.wait()
            if waiting.stream is None:
                raise RelayError("that node is registered here, but does not answer", NO_ANSWER)
            await self._join(waiting, stream, waiting.stream)
        finally:
            self._end(waiting, token)

    async def accept(self, caller: Caller, token: str, stream: trio.abc.HalfCloseableStream) -> None:
        """Hands the caller's stream to the circuit that its token stands for, until that is over.

        Raises:
            RelayError: `gone`.
        """
        waiting = self._waiting.get(token)
        if waiting is None or waiting.target != caller.device_id:  # Invariant 3.
            raise RelayError("nobody waits for this circuit any more", GONE)
        del self._waiting[token]
        waiting.stream = stream
        waiting.taken.set()
        await waiting.over.wait()

    async def _join(
        self, waiting: _Waiting, one: trio.abc.HalfCloseableStream, other: trio.abc.HalfCloseableStream
    ) -> None:
        try:
            for stream in (other, one):
                await stream.send_all(frame(Accepted()))
        except trio.BrokenResourceError:
            return
        self.tally.circuits += 1
        await splice(one, other, self._pay(waiting.dialler), self._pay(waiting.target))

    def _pay(self, device_id: DeviceId) -> Pay:
        allowance = self._allowances[device_id]

        async def pay(size_bytes: int) -> None:
            self.tally.passed_bytes += size_bytes
            now = trio.current_time()
            pause = max(allowance.spend(size_bytes, now), self._all.spend(size_bytes, now))
            if pause:
                self._hits.hit(Limit.RELAY_RATE, f"{device_id} or all together send more than they may: it has to wait")
                await trio.sleep(pause)

        return pay

    def _make_room(self, dialler: DeviceId, target: DeviceId) -> None:
        """Invariant 2."""
        if self._circuit_count >= self._limits.circuits:
            raise self._busy(Limit.RELAY_CIRCUITS, f"there are {self._limits.circuits} circuits")
        if self._of_two[frozenset((dialler, target))] >= MAX_CIRCUITS_OF_TWO:
            raise self._busy(Limit.RELAY_CIRCUITS, f"node {dialler} has {MAX_CIRCUITS_OF_TWO} circuits with {target}")
        for device_id in (dialler, target):
            if self._circuits.get(device_id, 0) >= MAX_CIRCUITS_OF_ONE:
                raise self._busy(Limit.RELAY_CIRCUITS, f"node {device_id} has {MAX_CIRCUITS_OF_ONE} circuits")
        of_target = [waiting for waiting in self._waiting.values() if waiting.target == target]
        if len(of_target) >= MAX_WAITING_OF_ONE:
            self._hits.hit(Limit.RELAY_CIRCUITS, f"{MAX_WAITING_OF_ONE} wait for {target}: the first gives way")
            of_target[0].scope.cancel()

    def _begin(self, waiting: _Waiting, token: str) -> None:
        self._waiting[token] = waiting
        self._circuit_count += 1
        self._of_two[waiting.both] += 1
        for device_id in (waiting.dialler, waiting.target):
            self._circuits[device_id] = self._circuits.get(device_id, 0) + 1
            if device_id not in self._allowances:
                self._allowances[device_id] = Allowance(self._limits.rate, trio.current_time())

    def _end(self, waiting: _Waiting, token: str) -> None:
        self._waiting.pop(token, None)
        waiting.over.set()
        self._circuit_count -= 1
        self._of_two[waiting.both] -= 1
        if not self._of_two[waiting.both]:
            del self._of_two[waiting.both]
        for device_id in (waiting.dialler, waiting.target):
            self._circuits[device_id] -= 1
            if not self._circuits[device_id]:
                del self._circuits[device_id]
                del self._allowances[device_id]

    def _busy(self, limit: Limit, why: str) -> RelayError:
        self._hits.hit(limit, f"{why}: no more for now")
        return RelayError(f"the relay is busy: {why}", BUSY)


async def say_refused(stream: trio.abc.Stream, error: RelayError) -> None:
    """Best effort: the other side's operator should read it."""
    with trio.move_on_after(_FAREWELL_DEADLINE, shield=True):
        try:
            await stream.send_all(frame(Refused(error.code, str(error)[:MAX_REASON])))
        except (trio.BrokenResourceError, trio.BusyResourceError, trio.ClosedResourceError):
            return


def replaced() -> RelayError:
    return RelayError("the node has registered here once more: is its key in use twice?", REPLACED)
