"""What a node and its engine process say to each other: requests down, one reply for each up, in order. Sans-IO.

A frame is a four-byte big-endian length and one msgpack array. Both ends are ours and of one version, so the frames
need no compatibility. But the library that the process holds takes hostile bytes, and may do anything to the memory of
it: the node believes no reply that does not parse, is longer than any or does not fit its request. A document is named
by a number that the node gives it at `Open` and never uses again: lives of one name cannot be confused.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from peatd.update import Content

_LENGTH = struct.Struct(">I")


_MAX_FRAME_BYTES = 512 * 1024 * 1024
"""Several times the largest document as JSON; a lie beyond it is not waited for."""


class Garbled(Exception):
    """The other end said what it cannot have meant."""


class _Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The base of all requests and replies."""


class Open(_Frame, frozen=True, tag=1):
    """Loads a document from its log. Rows that build on what is not there are left out. Answer: `Opened`, `BadRow`.

    Attributes:
        client, clock: who edits it here, if its log has all that this client did, up to the clock. Else somebody new.
    """

    document: int
    snapshot: bytes
    updates: list[bytes]
    client: int = 0
    clock: int = 0


class Apply(_Frame, frozen=True, tag=2):
    """Answer: `Merged`, `MergedInPieces`, `Refused` or `Panicked`. It is refused if it holds anything of the clients in
    `former`. With `piece_bytes` (see `cut.py`) the news come in pieces of about that size. `partly`: what builds on
    what is not here is left out, instead of refusing all."""

    document: int
    update: bytes
    former: list[int] = []
    piece_bytes: int = 0
    partly: bool = False


class Diff(_Frame, frozen=True, tag=3):
    """Answer: `Encoded`, or with `piece_bytes` (see `cut.py`) `Cut`; `Refused` or `Panicked`."""

    document: int
    state_vector: bytes
    piece_bytes: int = 0


class Snapshot(_Frame, frozen=True, tag=4):
    """All of the document, proven by loading it again. Answer: `Encoded` or `Panicked`."""

    document: int


class Read(_Frame, frozen=True, tag=5):
    """Answer: `Viewed` or `Panicked`."""

    document: int


class Put(_Frame, frozen=True, tag=6):
    """Makes the root map `data` equal to `value`. Answer: `Merged`, `Refused` or `Panicked`."""

    document: int
    value: dict[str, Any]


class Patch(_Frame, frozen=True, tag=7):
    """Applies an RFC 7396 merge patch to the root map `data`. Answer: `Merged`, `Refused` or `Panicked`."""

    document: int
    merge_patch: dict[str, Any]


class Close(_Frame, frozen=True, tag=8):
    """Forgets a document. Answer: `Done`."""

    document: int


class Audit(_Frame, frozen=True, tag=9):
    """Finds the row of a log after which the whole can no longer be encoded and loaded again. The document is not
    opened. Answer: `Done` if there is none, or `BadRow`."""

    document: int
    snapshot: bytes
    updates: list[bytes]


Request = Open | Apply | Diff | Snapshot | Read | Put | Patch | Close | Audit


_LARGE_BYTES = 16 * 1024
"""Of an update that can take a second. One with fewer structs than fit in it cannot, but in a hostile document."""


def stands_alone(request: Request) -> bool:
    """Whether it may take long. Before and after such a request the engine writes all its replies at once: if it is
    silent then, this is what it is at, and needs no second try to be found guilty."""
    match request:
        case Apply(update=update):
            return len(update) >= _LARGE_BYTES
        case Diff() | Close():
            return False
    return True


class Done(_Frame, frozen=True, tag=1):
    pass


class BadRow(_Frame, frozen=True, tag=2):
    """A row of the log cannot be held: `index` into the updates, -1 is the snapshot. The document is not open."""

    index: int
    reason: str


class Merged(_Frame, frozen=True, tag=3):
    """The news (empty: nothing was new) and what it holds. `is_partial`: something was left out."""

    news: bytes
    starts: dict[int, int]
    ends: dict[int, int]
    needs: dict[int, int]
    deletes: dict[int, list[tuple[int, int]]]
    is_partial: bool = False

    def content(self) -> Content:
        return Content(self.starts, self.ends, self.needs, self.deletes)


class MergedInPieces(_Frame, frozen=True, tag=11):
    """The news as several updates, each of which builds only on those before it. None is empty."""

    pieces: list[Merged]
    is_partial: bool


class Encoded(_Frame, frozen=True, tag=4):
    encoded: bytes


class Cut(_Frame, frozen=True, tag=10):
    """A diff as updates each of which builds on those before it."""

    pieces: list[bytes]


class Viewed(_Frame, frozen=True, tag=5):
    """A document as JSON texts: an object for the root map `data`, and one of the other roots by name. The node passes
    them on as they are: as Python's objects they would take up to fifty times as much."""

    document_json: bytes
    roots_json: bytes

    @property
    def document(self) -> dict[str, Any]:
        return _read_object(self.document_json)

    @property
    def roots(self) -> dict[str, Any]:
        return _read_object(self.roots_json)


def viewed(document: Mapping[str, Any], roots: Mapping[str, Any]) -> Viewed:
    """Equal of what is equal."""
    return Viewed(*(msgspec.json.encode(value, order="deterministic") for value in (document, roots)))


def _read_object(json: bytes) -> dict[str, Any]:
    return msgspec.json.decode(json, type=dict[str, Any])


class Refused(_Frame, frozen=True, tag=6):
    """The request cannot be done and changed nothing. `code` is one of those below."""

    code: str
    message: str
    state_vector: bytes = b""


class Panicked(_Frame, frozen=True, tag=7):
    """The library failed in the middle. The document is closed, as what is in memory may be half-changed."""

    reason: str


class Opened(_Frame, frozen=True, tag=9):
    """The document is open; `reach` is a `Reach`, encoded."""

    reach: bytes


class NotOpen(_Frame, frozen=True, tag=8):
    """The document was closed by an earlier request in the pipe. Nothing was done: open it and ask again."""


MALFORMED, MISSING, INVALID, TOO_LARGE, FORMER = "malformed", "missing", "invalid", "too-large", "former"
"""What `Refused.code` can be: a malformed update or state vector, missing updates, an invalid edit, beyond a limit,
content of clients that must not come back."""

Reply = Done | Opened | BadRow | Merged | MergedInPieces | Encoded | Cut | Viewed | Refused | Panicked | NotOpen


def news_bytes(reply: Reply) -> int:
    """How much the document has grown by what was asked."""
    match reply:
        case Merged():
            return len(reply.news)
        case MergedInPieces():
            return sum(len(piece.news) for piece in reply.pieces)
    return 0


_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_is_json = msgspec.json.Decoder(msgspec.Raw)  # makes nothing of it, and is forty times as fast as who does


def frame(message: Request | Reply) -> bytes:
    """The bytes of one message.

    Raises:
        TypeError, ValueError, OverflowError, RecursionError: for JSON that msgpack cannot carry either.
    """
    encoded = _encoder.encode(message)
    return _LENGTH.pack(len(encoded)) + encoded


class Frames:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_received",)

    def __init__(self) -> None:
        self._received = bytearray()

    def receive(self, chunk: bytes) -> Iterator[memoryview]:
        """The frames that are complete now. Each view is good only until the next one is asked for.

        Raises:
            Garbled: if one is longer than any.
        """
        self._received += chunk
        position = 0
        with memoryview(self._received) as view:
            while len(view) - position >= 4:
                (size,) = _LENGTH.unpack_from(view, position)
                if size > _MAX_FRAME_BYTES:
                    raise Garbled(f"it announced {size} bytes")
                if size > len(view) - position - 4:
                    break
                with view[position + 4 : position + 4 + size] as body:
                    yield body
                position += 4 + size
        del self._received[:position]


def decode_request(body: memoryview) -> Request:
    return _request_decoder.decode(body)


def decode_replies(frames: Iterable[memoryview]) -> Iterator[Reply]:
    """Raises: Garbled, if one is no reply, whatever the bytes."""
    for body in frames:
        try:
            reply = _reply_decoder.decode(body)
            if isinstance(reply, Viewed):
                _is_json.decode(reply.document_json)
                _is_json.decode(reply.roots_json)
            yield reply
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise Garbled(f"it said what is no reply: {exc}") from exc
