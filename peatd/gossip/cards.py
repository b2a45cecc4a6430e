"""A member's card: what it says of itself, signed by its node key. Sans-IO.

    signed   `peatd member v1` ‖ formation name ‖ body, each behind its length in 4 bytes

The body is msgpack. A key is its device id's (identity.py), so a card speaks for exactly one device.

Rules:
1. A card has a version, (incarnation, counter), and only a higher one replaces it: nothing from the past counts. The
   counter grows with every change of what it says; the incarnation begins with the second in which the node started.
2. Clocks may be wrong, so a node that meets a newer card of its own takes a still higher incarnation. So it does, too,
   when it is accused of being dead.
3. A signature is checked only of a card that is newer than what we have.
"""

from typing import Annotated

import msgspec

from peatd.errors import CardForged, InvalidName, WireError
from peatd.identity import Keypair, device_id, has_signed
from peatd.names import Address, DeviceId, NodeId
from peatd.wire.gossip import LAST_COUNT, MAX_TIES, Accusation, Held, SignedCard
from peatd.wire.members import Count, Digest

Version = tuple[int, int]
"""(incarnation, counter)."""

_CARD = b"peatd member v1"
_ACCUSATION = b"peatd accusation v1"
_Printable = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"


class Tie(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A link of the member.

    Attributes:
        address: where it reaches that device, `HOST:PORT`; empty where it does not know.
        rtt_us: round trip in microseconds; 0 where it was not measured.
    """

    device: Digest
    address: Annotated[str, msgspec.Meta(max_length=280)] = ""
    rtt_us: Count = 0


class Card(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a member says of itself.

    Attributes:
        port: on which it listens for peers; 0 while it does not.
        left: it has gone, in order: nobody need look for it.
    """

    key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    node_id: Annotated[str, msgspec.Meta(min_length=1, max_length=253, pattern=_Printable)]
    incarnation: Count
    counter: Count
    port: Annotated[int, msgspec.Meta(ge=0, lt=65536)]
    ties: Annotated[list[Tie], msgspec.Meta(max_length=MAX_TIES)]
    left: bool = False

    @property
    def version(self) -> Version:
        return self.incarnation, self.counter

    @property
    def device_id(self) -> DeviceId:
        return device_id(self.key)

    def held(self) -> Held:
        return Held(bytes.fromhex(self.device_id), self.incarnation, self.counter)


def seal(card: Card, keypair: Keypair, formation: str) -> SignedCard:
    body = _encoder.encode(card)
    return SignedCard(body, keypair.sign(_framed(_CARD, formation.encode(), body)))


def opened(signed: SignedCard) -> Card:
    """What it says, if it is to be believed (`check`).

    Raises:
        WireError: if it is no card.
    """
    try:
        return _decoder.decode(signed.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise WireError(f"not a member's card: {exc}") from exc


def check(signed: SignedCard, card: Card, formation: str) -> None:
    """
    Raises:
        CardForged: if the member has not signed it.
    """
    if not has_signed(card.key, _framed(_CARD, formation.encode(), signed.body), signed.signature):
        raise CardForged(f"the card of {card.node_id[:80]!r} is not signed by its key")


def accuse(device: DeviceId, incarnation: int, keypair: Keypair, formation: str) -> Accusation:
    accused, accuser = bytes.fromhex(device), bytes.fromhex(keypair.device_id)
    said = _accusation(accused, incarnation, accuser, formation)
    return Accusation(accused, incarnation, accuser, keypair.sign(said))


def is_signed(accusation: Accusation, accuser_key: bytes, formation: str) -> bool:
    """Whether whoever it names has made it."""
    said = _accusation(accusation.device, accusation.incarnation, accusation.accuser, formation)
    return has_signed(accuser_key, said, accusation.signature)


def beyond(version: Version) -> int:
    """An incarnation that is higher."""
    return min(version[0] + 1, LAST_COUNT)


def address_of(said: str) -> Address | None:
    """What a tie says; None if that is no address."""
    try:
        return Address.parse(said)
    except InvalidName:
        return None


def named(card: Card) -> NodeId:
    return NodeId(card.node_id)


def _accusation(device: bytes, incarnation: int, accuser: bytes, formation: str) -> bytes:
    return _framed(_ACCUSATION, formation.encode(), device, incarnation.to_bytes(8, "big"), accuser)


def _framed(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Card)
