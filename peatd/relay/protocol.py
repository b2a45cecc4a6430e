"""What is said to a relay, and by it. Sans-IO.

    node → relay   OPENING (plain TCP) or a WebSocket handshake with SUBPROTOCOL
    relay → node   CHALLENGE nonce
    node → relay   REQUEST op, target, and who asks, signed
    relay → node   ACCEPTED, or REFUSED with a reason

    op         target               after ACCEPTED
    register   the node's own id    this is its control connection: the relay says INCOMING and PING, the node PONG
    dial       a device id          bytes to and from the node with that id
    accept     a token of INCOMING  bytes to and from the node that dialled

A frame is the length of what follows, 2 bytes big-endian, and one message: msgpack, a tagged array.

Rules:
1. A request is signed with the node's key, over all that it says, the relay's name and the relay's fresh nonce: nothing
   can be replayed, at this relay or at another, or taken for another op or target.
2. It is signed, too, by a key for each formation secret that its node accepts (`Formation.relay_secret`). A relay knows
   the public halves of those whom it serves, so it need not know a secret.
3. A relay learns ids and sizes. The link inside proves who is at its end, so a relay that lies leads nowhere.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from peatd.errors import WireError
from peatd.identity import Keypair

OPENING = b"peat-relay/1\n"
"""What a node says first on plain TCP: so that a relay's port can also be one for HTTP."""
SUBPROTOCOL = "peat-relay.1"

MAX_FRAME_BYTES = 2048
"""A request with eight vouchers has 1.2 KB. No message is longer."""
LENGTH_BYTES = 2
NONCE_BYTES = 32
TOKEN_BYTES = 32
MAX_VOUCHERS = 8
"""Secrets that one node accepts at once; a rotation takes two or three."""

REGISTER: Final = "register"
DIAL: Final = "dial"
ACCEPT: Final = "accept"
Op = Literal["register", "dial", "accept"]

# Why a relay refuses. ------------------------------------------------------------------------------------------
NOT_HERE = "not-here"
"""Nobody with that id is registered, or nobody of a formation of the asker's."""
NO_ANSWER = "no-answer"
"""Who is registered did not take the circuit."""
GONE = "gone"
"""The token is none, or no more."""
FORBIDDEN = "forbidden"
"""No formation that is served here has vouched for it, or it is not signed."""
NAME = "name"
"""The relay does not go by the name that the node has for it."""
BUSY = "busy"
"""A limit."""
REPLACED = "replaced"
"""The node has registered anew."""

MAX_REASON = 512
"""Characters of a sentence for people."""

_DOMAIN = b"peatd relay v1"

_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
# Shown to operators and logged as it is, so it holds nothing that moves a cursor.
_Printable = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00-\x1f\x7f-\x9f]*\Z")]


class _Shape(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How all messages are written."""


class Challenge(_Shape, frozen=True, tag=1):
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


class Voucher(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A formation's word for who asks: its relay key, and the signature by it of what the request says."""

    key: _Key
    signature: _Signature


class Request(_Shape, frozen=True, tag=2):
    """Attributes:
    name: what the node calls the relay: `HOST:PORT` of its URL.
    """

    op: Op
    target: Annotated[str, msgspec.Meta(max_length=64)]
    name: Annotated[_Printable, msgspec.Meta(max_length=320)]
    public_key: _Key
    signature: _Signature
    vouchers: Annotated[list[Voucher], msgspec.Meta(max_length=MAX_VOUCHERS)]


class Accepted(_Shape, frozen=True, tag=3):
    pass


class Refused(_Shape, frozen=True, tag=4):
    """`code` is for programs, `message` for people."""

    code: Annotated[_Printable, msgspec.Meta(max_length=64)]
    message: Annotated[_Printable, msgspec.Meta(max_length=MAX_REASON)]


class Incoming(_Shape, frozen=True, tag=5):
    """Somebody has dialled; whoever shows the token (hex) takes it."""

    token: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Ping(_Shape, frozen=True, tag=6):
    pass


class Pong(_Shape, frozen=True, tag=7):
    pass


Message = Challenge | Request | Accepted | Refused | Incoming | Ping | Pong

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def frame(message: Message) -> bytes:
    encoded = _encoder.encode(message)
    assert len(encoded) <= MAX_FRAME_BYTES
    return len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded


class Frames:
    """The receiving half of a connection, until it carries a circuit.

    Invariants:
        1. What is kept is at most what was received last, and one frame that is not complete.
    """

    def __init__(self) -> None:
        self._kept = bytearray()

    def receive(self, received: bytes) -> None:
        self._kept += received

    def next(self) -> Message | None:
        """The next message; None if more bytes are needed.

        Raises:
            WireError: if they are not of this protocol, whatever they are.
        """
        if len(self._kept) < LENGTH_BYTES:
            return None
        length = int.from_bytes(self._kept[:LENGTH_BYTES], "big")
        if length > MAX_FRAME_BYTES:
            raise WireError("it does not speak as a relay and its nodes do")
        end = LENGTH_BYTES + length
        if len(self._kept) < end:
            return None
        encoded = bytes(self._kept[LENGTH_BYTES:end])
        del self._kept[:end]
        try:
            message: Message = _decoder.decode(encoded)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise WireError(f"it does not speak as a relay and its nodes do: {exc}") from exc
        return message

    def rest(self) -> bytes:
        """What came behind the last message: the first bytes of a circuit."""
        rest = bytes(self._kept)
        self._kept.clear()
        return rest


@dataclass(frozen=True, slots=True)
class Signer:
    """What a node signs its requests with: its own key, and one for each formation secret that it accepts."""

    keypair: Keypair
    formation_keys: tuple[Keypair, ...]

    def request(self, op: Op, target: str, name: str, nonce: bytes) -> Request:
        """A request, for the relay of that name, in answer to its challenge."""
        public_key = self.keypair.public_key
        signed = signed_bytes(op, target, name, nonce, public_key)
        vouchers = [Voucher(key.public_key, key.sign(signed)) for key in self.formation_keys[:MAX_VOUCHERS]]
        return Request(op, target, name, public_key, self.keypair.sign(signed), vouchers)


def signed_bytes(op: str, target: str, name: str, nonce: bytes, public_key: bytes) -> bytes:
    """What a request's signatures are about."""
    fields = (_DOMAIN, op.encode(), target.encode(), name.encode(), nonce, public_key)
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)
