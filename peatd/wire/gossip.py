"""The messages about the mesh itself: who its members are, who is linked to whom, and who is in doubt. Sans-IO; see
messages.py, and `peatd.gossip` for what they mean."""

from typing import Annotated

import msgspec

from peatd.wire.members import Count, Digest, Shape

MAX_TIES = 256
"""Links that one member tells of: a mesh that is not full has tens at each node."""
MAX_MEMBERS = 4096
"""That a node knows: some 10 MB with sixteen links each. Beyond that it is told of nobody new."""
MAX_CARDS = 64
"""In one message: with all of them as long as they may be, it is one frame; to check them takes 7 ms."""
MAX_ACCUSATIONS = 64
"""In one message, likewise."""
MAX_CARD_BYTES = 12 * 1024

LAST_COUNT = 2**53 - 1
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class SignedCard(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A member's card (gossip/cards.py) as it has signed it: `body` is passed on byte by byte, so that a release which
    does not know all of it breaks no signature. `absent`: seconds since it was last within reach, 0 while it is."""

    body: Annotated[bytes, msgspec.Meta(max_length=MAX_CARD_BYTES)]
    signature: Signature
    absent: Count = 0


class Members(Shape, frozen=True, tag=40):
    """Cards that the receiver is not known to have."""

    cards: Annotated[list[SignedCard], msgspec.Meta(max_length=MAX_CARDS)]


class Held(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which card of a member the sender has."""

    device: Digest
    incarnation: Count
    counter: Count


class MembersHeld(Shape, frozen=True, tag=41):
    """All cards that the sender has: the receiver owes it those that are missing or older."""

    held: Annotated[list[Held], msgspec.Meta(max_length=MAX_MEMBERS)]


class MembersDigest(Shape, frozen=True, tag=42):
    """Of all cards that the sender has. Whoever has others answers with `MembersHeld`."""

    digest: Digest


class Accusation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`accuser` hears nothing of `device`, whose latest card is of this incarnation; signed by `accuser`."""

    device: Digest
    incarnation: Count
    accuser: Digest
    signature: Signature


class Accused(Shape, frozen=True, tag=43):
    """Who is not heard of any more by those it is linked to."""

    accusations: Annotated[list[Accusation], msgspec.Meta(max_length=MAX_ACCUSATIONS)]


class Probe(Shape, frozen=True, tag=44):
    """The sender hears nothing of this device: does the receiver, which is linked to it too?"""

    device: Digest


class Probed(Shape, frozen=True, tag=45):
    """The answer: whether it has proved that it lives."""

    device: Digest
    lives: bool


GossipMessage = Members | MembersHeld | MembersDigest | Accused | Probe | Probed
