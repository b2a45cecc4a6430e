"""The messages that nodes send each other: msgpack, one tagged array each. Sans-IO.

Rules:
1. A message is a frozen struct; its tag is fixed for ever, and a field is only ever added at the end, with a default.
2. Whatever the bytes, `decode` returns a message or raises `WireError`.
3. State vectors, diffs and updates are Yjs v1 bytes, opaque here.
"""

from typing import Annotated

import msgspec

from peatd.errors import InvalidName, WireError
from peatd.names import DocumentName, parse_document_name
from peatd.wire.gossip import GossipMessage
from peatd.wire.horizon import Horizon
from peatd.wire.interest import Collections, InterestMessage
from peatd.wire.members import Accepts, Count, Digest, Fingerprints, Revoked, RevokedDigest, Shape

PROTOCOL = 1
"""What HELLO says of these rules and messages. Another number is another protocol."""

MAX_FRAME_BYTES = 1024 * 1024
"""No message is longer. Declared lengths beyond it end the link before anything is allocated."""

MAX_STATE_BYTES = 64 * 1024  # of one client's awareness state: a cursor has a few hundred bytes, a small picture fits

MAX_PRESENCE_CLOCK = 2**40
"""Of an awareness state: a client can tell 2^35, and nodes add what it takes to be above what was known. Far below what
a message and a stock client can hold: one peer's lie must not make others speak nonsense."""

Name = Annotated[str, msgspec.Meta(max_length=511)]
ClientId = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]  # of a Yjs client

Former = Annotated[list[ClientId], msgspec.Meta(max_length=10_000)]
"""Yjs clients of a document's lives that are over."""

MAX_HAVING = 1024
"""Documents in one summary: half a frame with the longest names."""
_MAX_LISTED = 65_536
"""Entries of one list: far beyond what one frame of real ones holds, so that a frame of empty ones stays small in
memory too."""

# Shown to operators and logged as it is, so it holds nothing that moves a cursor. msgspec searches, hence the anchors.
_Printable = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00-\x1f\x7f-\x9f]*\Z")]


class Hello(Shape, frozen=True, tag=1):
    """The first message in both directions, once the proof has passed.

    Attributes:
        instance: 16 random bytes of this process: tells a twin with our node id from ourselves.
        awareness: it knows `Presence`; whoever does not would end the link over one.
        horizon: it knows `Horizon`, likewise.
        secrets: those that it accepts, the one that it uses first. Whoever names any knows `Accepts`, `Revoked` and
            `RevokedDigest`; who does not would end the link over one.
        gossip: it knows the messages of gossip.py, likewise.
        summaries: it knows `Having`, `Graft` and `Prune`, likewise.
        interest: it knows those of interest.py, likewise; `restricted`: the collections that it does not hold whole.
        links, max_links: how many it has now, and keeps at most; 0 where its release does not say.
    """

    protocol: Count
    node_id: Annotated[_Printable, msgspec.Meta(min_length=1, max_length=253)]
    formation: Annotated[str, msgspec.Meta(max_length=253)]
    instance: Digest
    max_frame_bytes: Count
    version: Annotated[_Printable, msgspec.Meta(max_length=64)]
    awareness: bool = False
    horizon: bool = False
    secrets: Fingerprints = msgspec.field(default_factory=list)
    gossip: bool = False
    summaries: bool = False
    interest: bool = False
    restricted: Collections = msgspec.field(default_factory=list)
    links: Count = 0
    max_links: Count = 0


class Ping(Shape, frozen=True, tag=2):
    token: Count


class Pong(Shape, frozen=True, tag=3):
    token: Count


class Goaway(Shape, frozen=True, tag=4):
    """We end this link on purpose. `code` is for programs, `message` for people."""

    code: Annotated[_Printable, msgspec.Meta(max_length=64)]
    message: Annotated[_Printable, msgspec.Meta(max_length=1024)]


class Compare(Shape, frozen=True, tag=10):
    """The 16 digests below one node of the sender's digest tree; `prefix` is that node's path in hex digits."""

    prefix: Annotated[str, msgspec.Meta(max_length=64)]
    children: Annotated[list[Digest], msgspec.Meta(min_length=16, max_length=16)]


class Equal(Shape, frozen=True, tag=17):
    """The answer to a `Compare` of the root in which nothing differed."""


class Offered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One document as the sender has it. `digest` covers the state vector and the delete set.

    Attributes:
        age: of a deleted one: seconds since then, at least.
    """

    name: Name
    incarnation: Count
    deleted: bool
    digest: Digest
    age: Count = 0


class Offer(Shape, frozen=True, tag=11):
    """All documents that the sender has below `prefix`: what is not named here it does not have."""

    prefix: Annotated[str, msgspec.Meta(max_length=64)]
    documents: Annotated[list[Offered], msgspec.Meta(max_length=4096)]


class Having(Shape, frozen=True, tag=46):
    """Documents as the sender has them, some of whose changes it did not push: others will have. Nothing is said of
    documents that are not named."""

    documents: Annotated[list[Offered], msgspec.Meta(max_length=MAX_HAVING)]


class Graft(Shape, frozen=True, tag=47):
    """The sender lacked something of which it was only told: it wants to be pushed everything again."""


class Prune(Shape, frozen=True, tag=48):
    """An update of this document brought the sender nothing: it has it from elsewhere sooner."""

    name: Name


class State(Shape, frozen=True, tag=12):
    """What the sender has of a document: the receiver owes it the rest.

    Attributes:
        version: the sender's; it comes back in `Durable` once the receiver has all of this state on its disk.
        round: counts the sender's states of this document on this link. Updates echo the last one seen, so that an
            update sent before a failure at the receiver is not mistaken for the answer to it.
        answer: the sender wants the receiver's state back.
        former: clients of the document's earlier lives.
    """

    name: Name
    incarnation: Count
    state_vector: bytes
    digest: Digest
    version: Count
    round: Count
    answer: bool
    former: Former = msgspec.field(default_factory=list)


class Updates(Shape, frozen=True, tag=13):
    """Updates to merge in this order. `version` is the sender's: it comes back in `Durable`. `is_pushed`: they came to
    the sender as changes do, and not because states were compared."""

    name: Name
    incarnation: Count
    version: Count
    round: Count
    updates: Annotated[list[bytes], msgspec.Meta(max_length=_MAX_LISTED)]
    is_pushed: bool = True


class Piece(Shape, frozen=True, tag=14):
    """A part of one large update: pieces of a document come in order, the first at offset 0."""

    name: Name
    incarnation: Count
    version: Count
    round: Count
    total_bytes: Count
    offset: Count
    part: bytes


class Tombstone(Shape, frozen=True, tag=15):
    """The document's incarnation, and all before it, are deleted.

    Attributes:
        version: the sender's; it comes back in `Durable` once the end is on the receiver's disk.
        former: clients of the lives that are over.
        age: seconds since it was deleted, at least.
    """

    name: Name
    incarnation: Count
    version: Count = 0
    former: Former = msgspec.field(default_factory=list)
    age: Count = 0


class Reached(msgspec.Struct, frozen=True, array_like=True, gc=False):
    name: Name
    incarnation: Count
    version: Count


class Durable(Shape, frozen=True, tag=16):
    """All that the receiver sent of these documents, up to these versions of its, is on the sender's disk."""

    documents: Annotated[list[Reached], msgspec.Meta(max_length=_MAX_LISTED)]


class Present(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A Yjs client's awareness state: JSON, empty when the client has gone."""

    client: ClientId
    clock: Annotated[int, msgspec.Meta(ge=0, le=MAX_PRESENCE_CLOCK)]
    state: Annotated[bytes, msgspec.Meta(max_length=MAX_STATE_BYTES)]


class Presence(Shape, frozen=True, tag=18):
    """What clients of one node show at a document, the latest of each. Never stored.

    Attributes:
        home: the device id of that node; empty if it is the sender.
    """

    name: Name
    clients: Annotated[list[Present], msgspec.Meta(max_length=_MAX_LISTED)]
    home: Annotated[bytes, msgspec.Meta(max_length=16)] = b""


Message = (
    Hello
    | Ping
    | Pong
    | Goaway
    | Compare
    | Offer
    | State
    | Updates
    | Piece
    | Tombstone
    | Durable
    | Equal
    | Presence
    | Horizon
    | Accepts
    | Revoked
    | RevokedDigest
    | GossipMessage
    | Having
    | Graft
    | Prune
    | InterestMessage
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    return _encoder.encode(message)


def encode_into(message: Message, buffer: bytearray) -> None:
    """Appends the encoded message to `buffer`, without a copy of its own."""
    _encoder.encode_into(message, buffer, -1)


def decode(frame: bytes | memoryview) -> Message:
    """One frame's message.

    Raises:
        WireError: if it is not one, whatever the bytes.
    """
    try:
        message: Message = _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise WireError(f"not a message of this protocol: {exc}") from exc
    return message


def named(name: str) -> DocumentName:
    """The document that a message names.

    Raises:
        WireError: if that is no name.
    """
    try:
        return parse_document_name(name)
    except InvalidName as exc:
        raise WireError(str(exc)) from exc
