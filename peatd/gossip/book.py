"""All cards: the newest of each member, where each is reached, and what links are still to be told. Sans-IO."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b

from msgspec.structs import replace

from peatd.gossip.cards import Card, Tie, Version, address_of, named
from peatd.names import Address, NodeId
from peatd.wire.gossip import MAX_CARDS, MAX_MEMBERS, Held, SignedCard

_MAX_ADDRESSES = 4
"""Of one member: by names and networks of its own each neighbour may reach it elsewhere."""
_UNKNOWN: Version = (-1, 0)


@dataclass(slots=True, eq=False)
class Member:
    """Attributes:
    absent_since: on the caller's clock; None while it is within reach.
    declared: it was found dead, in the incarnation of its card (doubts.py).
    tied: the devices that it says it is linked with.
    """

    card: Card
    signed: SignedCard
    absent_since: float | None = None
    declared: bool = False
    tied: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.tied = frozenset(tie.device for tie in self.card.ties)

    @property
    def is_missed(self) -> bool:
        return self.absent_since is not None and not self.card.left

    @property
    def node_id(self) -> NodeId:
        return named(self.card)


@dataclass(slots=True, eq=False)
class Feed:
    """What one link is still to tell: a set, so that a slow peer gets the newest cards only.

    Attributes:
        theirs: which card of each member the peer is known to have.
    """

    wake: Callable[[], None]
    owed: dict[bytes, None] = field(default_factory=dict)
    theirs: dict[bytes, Version] = field(default_factory=dict)

    def has(self, held: Held, newest: Version) -> None:
        """The peer has this card, of which `newest` is the one that we have."""
        version = max(self.theirs.get(held.device, _UNKNOWN), (held.incarnation, held.counter))
        self.theirs[held.device] = version
        if version >= newest:
            self.owed.pop(held.device, None)


class Book:
    """Invariants:
    1. `digest` is the exclusive-or of all (device, version), hashed.
    2. A feed owes every card that was put into the book during its life, and that it has not told.

    Attributes:
        spread: is called when feeds owe something new, and is to call `wake`, now or soon.
    """

    def __init__(self) -> None:
        self._members: dict[bytes, Member] = {}
        self._held: dict[bytes, Held] = {}  # by what is signed: most of what is told has been told by others before
        self._addresses: dict[bytes, dict[str, None]] = {}
        self._feeds: dict[Feed, None] = {}  # in their order, or a seed would not replay
        self._digest = 0
        self.spread: Callable[[], object] = self.wake

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[tuple[bytes, Member]]:
        return iter(self._members.items())

    def get(self, device: bytes) -> Member | None:
        return self._members.get(device)

    def has(self, signed: SignedCard) -> Held | None:
        """Which card it is, if it is one of these."""
        return self._held.get(signed.body)

    def put(self, device: bytes, member: Member) -> None:
        """In the place of the card that was there, if any."""
        before = self._members.get(device)
        if before is not None:
            self._take_out(device, before)
        self._digest ^= _hash(device, member.card.version)  # Invariant 1.
        self._members[device] = member
        self._held[member.signed.body] = member.card.held()
        for tie in member.card.ties:
            if tie.address:
                self._learn_address(tie)
        for feed in self._feeds:
            feed.owed[device] = None  # Invariant 2.
        self.spread()

    def owing(self) -> Sequence[Feed]:
        """The links that have something to tell."""
        return [feed for feed in self._feeds if feed.owed]

    def wake(self) -> None:
        """Has all links tell what they owe."""
        for feed in self.owing():
            feed.wake()

    def drop(self, device: bytes) -> None:
        self._take_out(device, self._members.pop(device))
        self._addresses.pop(device, None)

    def _take_out(self, device: bytes, member: Member) -> None:
        self._digest ^= _hash(device, member.card.version)
        del self._held[member.signed.body]

    def addresses(self, device: bytes) -> tuple[Address, ...]:
        """Where others reach it, or have reached it; the last that was heard first."""
        said = map(address_of, reversed(self._addresses.get(device, {})))
        return tuple(address for address in said if address is not None)

    def _learn_address(self, tie: Tie) -> None:
        """As it was said: one that is never asked for need not be understood."""
        if tie.device not in self._addresses and len(self._addresses) >= MAX_MEMBERS:
            return
        known = self._addresses.setdefault(tie.device, {})
        known.pop(tie.address, None)
        known[tie.address] = None
        if len(known) > _MAX_ADDRESSES:
            del known[next(iter(known))]

    # For links -------------------------------------------------------------------------------------------------

    @property
    def digest(self) -> bytes:
        return self._digest.to_bytes(16, "big")

    @contextmanager
    def told(self, feed: Feed) -> Iterator[None]:
        """While it lasts, the feed is owed every card that is news."""
        self._feeds[feed] = None
        try:
            yield
        finally:
            self._feeds.pop(feed, None)

    def held(self) -> list[Held]:
        return list(self._held.values())

    def lacking(self, held: Iterable[Held]) -> list[bytes]:
        """Whose cards somebody that has these has not, or older ones."""
        theirs = {one.device: (one.incarnation, one.counter) for one in held}
        return [d for d, member in self._members.items() if theirs.get(d, _UNKNOWN) < member.card.version]

    def take(self, feed: Feed, now: float) -> Sequence[SignedCard]:
        """The next cards for a peer, which it is then known to have."""
        taken: list[SignedCard] = []
        while feed.owed and len(taken) < MAX_CARDS:
            device = next(iter(feed.owed))
            del feed.owed[device]
            member = self._members.get(device)
            if member is None or feed.theirs.get(device, _UNKNOWN) >= member.card.version:
                continue
            feed.theirs[device] = member.card.version
            since = member.absent_since
            taken.append(replace(member.signed, absent=0 if since is None else max(0, int(now - since))))
        return taken


def _hash(device: bytes, version: Version) -> int:
    said = device + version[0].to_bytes(8, "big") + version[1].to_bytes(8, "big")
    return int.from_bytes(blake2b(said, digest_size=16).digest(), "big")
