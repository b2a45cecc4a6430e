"""The members of the mesh as this node knows them, and who of them is within reach. Sans-IO.

Who is within reach follows from the cards: a link is there when both ends say so, and a member is within reach when a
way of such links leads to it. So nobody has to tell that somebody died: who had a link with it stop saying so. And when
the mesh is cut in two, each side sees the whole other side beyond reach, though it hears nothing more from there.

Rules:
1. Who is beyond reach is remembered for a day, so that an operator sees it and it is dialled again; how long it has
   been so is told along, or two nodes would remind each other for ever.
2. Who has left in order is beyond reach, but missed by nobody.
3. Of two devices with one node id, the one within reach is the node: a rotation gives a node another key.
4. There are `MAX_MEMBERS` at most. When all places are taken, only whom we are linked with gets one, of whom was
   absent for longest.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from peatd.gossip.book import Book, Member
from peatd.gossip.cards import Card, Tie, Version, beyond, check, opened, seal
from peatd.identity import Keypair
from peatd.names import DeviceId, NodeId
from peatd.wire.gossip import MAX_MEMBERS, MAX_TIES, Held, SignedCard

REMEMBERED_FOR = 86_400.0
"""Seconds (rule 1)."""
_NEARLY = 0.9
"""Of that: whoever was absent for longer is no news to anybody."""
_MOMENT = 3.0
"""Seconds: until then it may be a node that starts, or starts again."""
LEFT_FOR = 600.0
"""Seconds that one who has left is remembered: until all have heard of it."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a look at the cards has changed."""

    gone: Sequence[NodeId] = ()
    back: Sequence[NodeId] = ()


class Members:
    """All of them, this node first.

    Invariants:
        1. Of each device the card with the highest version that was heard; of a revoked one none.
        2. Who is within reach is as the cards say, since the last `review`.

    Args:
        incarnation: higher than in earlier runs, if the clock is right.
        is_revoked: whether that device belongs here no more.

    Attributes:
        refused: cards for which there was no place.
        own_device: this node's device id, as bytes.
        present, present_names: who else is within reach, by device id and by node id.
        is_full: all of these are linked with each other and with this node.
    """

    def __init__(
        self,
        keypair: Keypair,
        node_id: NodeId,
        formation: str,
        incarnation: int,
        is_revoked: Callable[[DeviceId], bool],
    ) -> None:
        self.refused = 0
        self.present: frozenset[bytes] = frozenset()
        self.present_names: frozenset[NodeId] = frozenset()
        self.is_full = True
        self._disputed: Version | None = None
        self.book = Book()
        self._formation = formation
        self._is_revoked = is_revoked
        self._is_dirty = False
        self._begin(keypair, Card(keypair.public_key, node_id, incarnation, 0, 0, []))

    # This node -------------------------------------------------------------------------------------------------

    @property
    def own(self) -> Member:
        own = self.book.get(self.own_device)
        assert own is not None
        return own

    def renew(self, ties: Sequence[Tie], port: int) -> bool:
        """Has this node's card say so, and refutes what was heard of this node; whether that was news."""
        card = self.own.card
        said = sorted(ties, key=lambda tie: tie.device)[:MAX_TIES]
        if self._disputed is None and port == card.port and _gist(said) == _gist(card.ties):
            return False
        version = (card.incarnation, card.counter + 1)
        if self._disputed is not None:
            version, self._disputed = (beyond(max(self._disputed, card.version)), 0), None
        self._say(replace(card, incarnation=version[0], counter=version[1], ties=said, port=port))
        return True

    def dispute(self, heard: Version) -> None:
        """Somebody has a newer card of ours, or one of this version is said to be of a dead node: the next card says
        that we live. Not at once: whoever makes us sign must not be able to do so without end."""
        if heard >= (self.own.card.incarnation, 0):
            self._disputed = max(heard, self._disputed or heard)

    def leave(self) -> None:
        """Says that this node goes, in order."""
        card = self.own.card
        self._say(replace(card, counter=card.counter + 1, ties=[], left=True))

    def rekeyed(self, keypair: Keypair) -> None:
        """This node goes by another key from now on: as another member."""
        self.leave()
        card = self.own.card
        self._begin(keypair, replace(card, key=keypair.public_key, left=False))

    def _begin(self, keypair: Keypair, card: Card) -> None:
        self._keypair = keypair
        self.own_device = bytes.fromhex(keypair.device_id)
        self._say(card)

    def _say(self, card: Card) -> None:
        self._put(self.own_device, Member(card, seal(card, self._keypair, self._formation)))

    # What is heard ---------------------------------------------------------------------------------------------

    def hear(self, signed: SignedCard, now: float) -> Held:
        """Takes in what somebody tells; gives which card that is.

        Raises:
            WireError: if it is no card.
            CardForged: if it is news, and not signed by its member.
        """
        had = self.book.has(signed)
        if had is not None:
            return had
        card = opened(signed)
        held = card.held()
        device, known = held.device, self.book.get(held.device)
        if known is not None and card.version <= known.card.version:
            return held  # it is from the past
        if self._is_revoked(card.device_id) or (known is None and not self._has_place(device, signed.absent)):
            return held
        check(signed, card, self._formation)
        if device == self.own_device:
            self.dispute(card.version)
            return held
        if known is None:
            self._make_place()
        is_known = known is not None and (known.absent_since is None or known.card.incarnation == card.incarnation)
        absent_since = known.absent_since if known is not None and is_known else now - signed.absent
        declared = known is not None and known.declared and known.card.incarnation == card.incarnation
        self._put(device, Member(card, signed, absent_since, declared))
        return held

    def _has_place(self, device: bytes, absent: int) -> bool:
        if absent > _NEARLY * REMEMBERED_FOR:
            return False  # rule 1
        if len(self.book) < MAX_MEMBERS or device in self.own.tied:
            return True
        self.refused += 1
        return False

    def _make_place(self) -> None:
        if len(self.book) >= MAX_MEMBERS:  # rule 4
            since = {device: member.absent_since for device, member in self.others()}
            self._drop(min(since, key=lambda device: (since[device] is None, since[device] or 0.0)))

    def _put(self, device: bytes, member: Member) -> None:
        self.book.put(device, member)
        self._is_dirty = True

    def _drop(self, device: bytes) -> None:
        self.book.drop(device)
        self._is_dirty = True

    # What is known ---------------------------------------------------------------------------------------------

    def others(self) -> Iterator[tuple[bytes, Member]]:
        """All but this node."""
        return ((device, member) for device, member in self.book if device != self.own_device)

    def all(self) -> Sequence[Member]:
        return [self.own, *(member for _, member in self.others())]

    def lately(self, now: float, grace: float) -> frozenset[bytes]:
        """Device ids of this node and of whom was within reach in the last `grace` seconds."""
        absent = ((device, member.absent_since) for device, member in self.others())
        return frozenset({self.own_device, *(d for d, since in absent if since is None or now - since < grace)})

    def missed(self, now: float) -> Sequence[Member]:
        """Who has been beyond reach for more than a moment and has not left, the longest absent first."""
        missed = [m for _, m in self.others() if m.is_missed and now - (m.absent_since or 0.0) > _MOMENT]
        return sorted(missed, key=lambda member: member.absent_since or 0.0)

    def declare(self, device: bytes) -> None:
        """It is dead, in its present incarnation."""
        member = self.book.get(device)
        if member is not None and device != self.own_device:
            member.declared = True
            self._is_dirty = True

    def review(self, now: float) -> Review:
        """Looks who is within reach, and forgets whom nobody need remember."""
        self._forget(now)
        if not self._is_dirty:
            return Review()
        self._is_dirty = False
        reach = self._within_reach()
        gone, back = [], []
        for device, member in self.others():
            if device in reach:
                if member.absent_since is not None and now - member.absent_since > _MOMENT:
                    back.append(member.node_id)
                member.absent_since = None
            elif member.absent_since is None:
                member.absent_since = now
                if not member.card.left:
                    gone.append(member.node_id)
        self._drop_predecessors()
        present = {device: member.node_id for device, member in self.others() if member.absent_since is None}
        self.present, self.present_names = frozenset(present), frozenset(present.values())
        self.is_full = self._is_full({*present, self.own_device})
        return Review(gone, back)

    def _within_reach(self) -> set[bytes]:
        reach, found = {self.own_device}, [self.own_device]
        while found:
            here = found.pop()
            member = self.book.get(here)
            assert member is not None
            for device in member.tied - reach:
                there = self.book.get(device)
                if there is None or there.card.left or there.declared:
                    continue
                if here in there.tied or here == self.own_device:  # of our own links we need no other witness
                    reach.add(device)
                    found.append(device)
        return reach

    def _is_full(self, devices: set[bytes]) -> bool:
        members = ((device, self.book.get(device)) for device in devices)
        return all(member is not None and member.tied >= devices - {device} for device, member in members)

    def _drop_predecessors(self) -> None:
        """Rule 3."""
        present = {member.node_id for _, member in self.book if member.absent_since is None}
        for device, member in list(self.others()):
            if member.absent_since is not None and member.node_id in present:
                self._drop(device)

    def _forget(self, now: float) -> None:
        for device, member in list(self.others()):
            since, lasts = member.absent_since, LEFT_FOR if member.card.left else REMEMBERED_FOR
            if self._is_revoked(member.card.device_id) or (since is not None and now - since > lasts):
                self._drop(device)


def _gist(ties: Iterable[Tie]) -> list[tuple[bytes, str, bool]]:
    """What of them is worth a new card: not how long a round trip took last."""
    return [(tie.device, tie.address, tie.rtt_us > 0) for tie in ties]
