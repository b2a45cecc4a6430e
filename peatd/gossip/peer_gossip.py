"""Gossip over one link: cards, accusations and questions to the peer, and its to us.

Each end begins with what it has; from then on it tells what is news to the peer. Every now and then the initiating end
tells the digest of its cards, and should the other have others, both tell again what they have.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from peatd.gossip.book import Feed
from peatd.gossip.doubts import MAX_ACCUSERS, Doubts
from peatd.gossip.members import Members
from peatd.transport.link import Link
from peatd.wire.gossip import (
    MAX_ACCUSATIONS,
    Accusation,
    Accused,
    Held,
    MembersDigest,
    MembersHeld,
    Probe,
    Probed,
)
from peatd.wire.gossip import (
    Members as Cards,
)
from peatd.wire.messages import Message

_MAX_TOLD = 4096
"""Accusations that are remembered as told; then they are told again."""


class Prober(Protocol):
    """Who finds out for a peer whether another one lives."""

    def probe(self, device: bytes, answer: Callable[[bool], None]) -> None:
        """Calls `answer` once it is known."""


class PeerGossip:
    """One peer's side of gossip. A peer whose release does not know of it is told nothing."""

    def __init__(self, link: Link, members: Members, doubts: Doubts, prober: Prober) -> None:
        self.link = link
        self.device = bytes.fromhex(link.peer.device_id)
        self.is_heard = link.peer.gossips
        self._members, self._doubts, self._prober = members, doubts, prober
        self._feed = Feed(self._owe_cards)
        self._owes_cards = False
        self._owes_held = self.is_heard
        self._owes_digest = self._has_compared = False
        self._accused: dict[bytes, None] = {}
        self._told: set[Accusation] = set()
        self._questions: dict[bytes, None] = {}
        self._answers: dict[bytes, bool] = {}
        self._wake: Callable[[], None] = lambda: None

    @contextmanager
    def told(self, wake: Callable[[], None]) -> Iterator[None]:
        """While it lasts, there is something to take whenever `wake` was called."""
        if not self.is_heard:
            yield
            return
        self._wake = wake
        self._accused = dict.fromkeys(self._doubts.accused())
        with self._members.book.told(self._feed), self._doubts.told(self._accuse):
            yield

    def ask(self, device: bytes) -> None:
        """Has the peer say whether it hears that device."""
        self._questions[device] = None
        self._wake()

    def compare(self) -> None:
        """Has the peer say what it has, if that is not what we have."""
        self._owes_digest = True
        self._wake()

    def take(self) -> list[Message]:
        """What to send next."""
        if not self.is_heard:
            return []
        taken: list[Message] = [Probe(device) for device in self._questions]
        taken += [Probed(device, lives) for device, lives in self._answers.items()]
        self._questions.clear()
        self._answers.clear()
        if accusations := self._untold():
            taken.append(Accused(accusations))
        if self._owes_held:
            taken.append(MembersHeld(self._members.book.held()))
        if self._owes_digest:
            self._has_compared = True
            taken.append(MembersDigest(self._members.book.digest))
        self._owes_held = self._owes_digest = False
        if self._owes_cards and (cards := self._members.book.take(self._feed, trio.current_time())):
            taken.append(Cards(list(cards)))
        self._owes_cards = self._owes_cards and bool(self._feed.owed)
        return taken

    def received(self, message: Message) -> None:
        """What the peer tells.

        Raises:
            WireError, CardForged: if it tells what no member has said.
        """
        match message:
            case Cards():
                for signed in message.cards:
                    self._has(self._members.hear(signed, trio.current_time()))
            case MembersHeld():
                self._compare(message)
            case MembersDigest():
                self._owe_held(message.digest != self._members.book.digest)
            case Accused():
                for accusation in message.accusations:
                    self._remember(accusation)
                    self._doubts.hear(accusation, trio.current_time())
            case Probe():
                self._prober.probe(message.device, lambda lives: self._answer(message.device, lives))
            case Probed(device, lives):
                if lives:
                    self._doubts.vouched(device)

    def _compare(self, theirs: MembersHeld) -> None:
        for held in theirs.held:
            self._has(held)
        for device in self._members.book.lacking(theirs.held):
            self._feed.owed[device] = None
        self._owe_cards()
        self._owe_held(self._has_compared)
        self._has_compared = False

    def _has(self, held: Held) -> None:
        member = self._members.book.get(held.device)
        if member is not None:  # what we refuse to know is not remembered here either
            self._feed.has(held, member.card.version)

    def _owe_held(self, owes: bool) -> None:
        self._owes_held = self._owes_held or owes
        self._wake()

    def _owe_cards(self) -> None:
        """Not with whatever else is sent: most of what is told early has been told by others."""
        self._owes_cards = True
        self._wake()

    def _answer(self, device: bytes, lives: bool) -> None:
        self._answers[device] = lives
        self._wake()

    def _accuse(self, device: bytes) -> None:
        self._accused[device] = None
        self._wake()

    def _untold(self) -> list[Accusation]:
        untold: list[Accusation] = []
        while self._accused and len(untold) < MAX_ACCUSATIONS - MAX_ACCUSERS:
            device = next(iter(self._accused))
            del self._accused[device]
            untold += [one for one in self._doubts.of(device) if one not in self._told]
        for accusation in untold:
            self._remember(accusation)
        return untold

    def _remember(self, accusation: Accusation) -> None:
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        self._told.add(accusation)
