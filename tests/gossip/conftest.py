"""Members of one mesh, without links."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from peatd.gossip.cards import Tie
from peatd.gossip.doubts import Doubts
from peatd.gossip.members import Members
from peatd.identity import Keypair
from peatd.names import DeviceId, NodeId
from peatd.wire.gossip import SignedCard

FORMATION = "peat"


def keypair(name: str) -> Keypair:
    return Keypair.from_seed(b"gossip", name)


def device(name: str) -> bytes:
    return bytes.fromhex(keypair(name).device_id)


@dataclass
class One:
    """One member's knowledge."""

    name: str
    incarnation: int = 1
    revoked: set[DeviceId] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.keypair, self.device = keypair(self.name), device(self.name)
        self.members = Members(
            self.keypair, NodeId(self.name), FORMATION, self.incarnation, lambda device: device in self.revoked
        )
        self.doubts = Doubts(self.members, FORMATION)

    @property
    def card(self) -> SignedCard:
        return self.members.own.signed

    def ties(self, *names: str, port: int = 11204) -> SignedCard:
        """Is linked with these from now on, and says so."""
        self.members.renew([Tie(device(name), f"{name}:11204") for name in names], port)
        return self.card

    def hears(self, *others: "One", now: float = 0.0) -> None:
        for other in others:
            self.members.hear(other.card, now)

    def missed(self) -> Sequence[str]:
        return [member.node_id for member in self.members.missed(float("inf"))]


@pytest.fixture
def alice() -> One:
    return One("alice")


@pytest.fixture
def bob() -> One:
    return One("bob")


@pytest.fixture
def carol() -> One:
    return One("carol")
