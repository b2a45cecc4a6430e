"""A member of the formation that lies: it has the secret, speaks the protocol, and means none of it."""

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import trio
from fakes.conversation import Side
from fakes.hostile_updates import Hostile
from fakes.links import memory_links
from fakes.replicas import Replica

from peatd.reach import EMPTY_DIGEST, MAX_FORMER, encode_state_vector
from peatd.wire.messages import (
    MAX_PRESENCE_CLOCK,
    Compare,
    Durable,
    Equal,
    Message,
    Offer,
    Offered,
    Piece,
    Ping,
    Pong,
    Presence,
    Present,
    Reached,
    State,
    Tombstone,
    Updates,
)

_HIGHEST = 2**53 - 1
_COUNTS = (0, 1, 2, 3, 2**31, 2**32, _HIGHEST)
_LONG = f"{'c' * 255}/{'d' * 255}"


@asynccontextmanager
async def lying_to(replica: Replica, name: str = "mallory") -> AsyncIterator[Side]:
    """A link to the replica; what it hears is thrown away, what it says is up to the test."""
    theirs, ours = memory_links(name, replica.name)
    side = Side(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.links.keep, ours)
        nursery.start_soon(side.run)
        nursery.start_soon(_listen, side)
        yield side
        nursery.cancel_scope.cancel()


async def _listen(side: Side) -> None:
    async for _ in side.inbox.messages:
        pass


class Liar:
    """Makes messages that are well-formed, and nonsense.

    Args:
        chance: everything follows from it.
        names: of the documents that it speaks of.
    """

    def __init__(self, chance: random.Random, names: Sequence[str]) -> None:
        self._chance = chance
        self._names = (*names, _LONG)
        self._hostile = Hostile(chance)

    def messages(self, count: int) -> Iterator[Message]:
        kinds = (
            *(self._updates, self._piece, self._state, self._tombstone, self._offer, self._compare),
            *(self._durable, self._presence, self._small),
        )
        for _ in range(count):
            yield self._chance.choice(kinds)()

    def _name(self) -> str:
        return self._chance.choice(self._names)

    def _count(self) -> int:
        return self._chance.choice(_COUNTS)

    def _incarnation(self) -> int:
        return self._chance.choice((1, 1, 1, 1, 2, self._count()))

    def _digest(self) -> bytes:
        return self._chance.choice((EMPTY_DIGEST, bytes(16), self._chance.randbytes(16)))

    def _former(self) -> list[int]:
        size = self._chance.choice((0, 0, 1, 3, MAX_FORMER))
        return list(range(size)) if size == MAX_FORMER else [self._chance.getrandbits(32) for _ in range(size)]

    def _vector(self) -> bytes:
        clients = {self._chance.choice((1, 2, 3, 2**32 - 1)): self._chance.choice((0, 1, 7, 2**31 - 1)) for _ in "ab"}
        return self._chance.choice((encode_state_vector(clients), b"", b"\x00", b"\xff\xff", self._chance.randbytes(9)))

    def _updates(self) -> Message:
        updates = list(self._hostile.updates(self._chance.choice((0, 1, 1, 2))))
        return Updates(self._name(), self._incarnation(), self._count(), self._count(), updates)

    def _piece(self) -> Message:
        total, offset = self._chance.choice(((10, 0), (5, 0), (5, 5), (2**26, 0), (2**53 - 1, 0), (0, 0)))
        part = bytes(self._chance.choice((0, 5)))
        return Piece(self._name(), self._incarnation(), self._count(), self._count(), total, offset, part)

    def _state(self) -> Message:
        asks = self._chance.random() < 0.5
        return State(
            *(self._name(), self._incarnation(), self._vector(), self._digest(), self._count(), self._count()),
            answer=asks,
            former=self._former(),
        )

    def _tombstone(self) -> Message:
        return Tombstone(self._name(), self._incarnation(), self._count(), self._former())

    def _offer(self) -> Message:
        offered = [
            Offered(self._name(), self._incarnation(), self._chance.random() < 0.3, self._digest())
            for _ in range(self._chance.choice((0, 1, 4)))
        ]
        return Offer(self._chance.choice(("", "0", "f" * 64, "zz")), offered)

    def _compare(self) -> Message:
        return Compare(
            self._chance.choice(("", "", "a", "f" * 64, "nonsense")), [self._chance.randbytes(16) for _ in range(16)]
        )

    def _durable(self) -> Message:
        return Durable([Reached(self._name(), self._incarnation(), self._count()) for _ in range(3)])

    def _presence(self) -> Message:
        states = (b"", b"{}", b'{"user":"eve"}')
        clocks = (0, 1, 2**35, MAX_PRESENCE_CLOCK)
        clients = (1, 2, 2**32 - 1)
        present = [Present(c, self._chance.choice(clocks), self._chance.choice(states)) for c in clients]
        return Presence(self._name(), present)

    def _small(self) -> Message:
        return self._chance.choice((Equal(), Ping(_HIGHEST), Pong(_HIGHEST)))
