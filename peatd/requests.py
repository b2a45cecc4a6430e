"""What is asked of a document and what comes back, and both as jobs of a worker. Sans-IO."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from peatd.engine import protocol
from peatd.engine.protocol import Cut, Encoded, Merged, MergedInPieces, Refused, Reply, Viewed
from peatd.errors import DocumentEnded, InvalidEdit, MalformedUpdate, MissingUpdates, PeatError, TooLarge
from peatd.names import DocumentKey
from peatd.update import EMPTY_STATE_VECTOR, MAX_DOCUMENT_BYTES, Content
from peatd.worker_jobs import Job, Task

_ANY_BYTES = 2**62


@dataclass(frozen=True, slots=True)
class News:
    """What an update brought: empty bytes and content where nothing was new.

    Attributes:
        rest: what was too large for one update, each of which builds only on those before it.
        is_partial: something was left out, because it builds on what is not here.
    """

    update: bytes
    content: Content
    rest: "tuple[News, ...]" = ()
    is_partial: bool = False


NOTHING_NEW = News(b"", Content({}, {}, {}, {}))


@dataclass(frozen=True, slots=True)
class Put:
    """Makes the document's JSON equal to `value`."""

    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Patch:
    """Changes the document's JSON by an RFC 7396 merge patch."""

    merge_patch: Mapping[str, Any]


Edit = Put | Patch


def apply_job(
    key: DocumentKey,
    update: bytes,
    origin: str,
    answered: Callable[[Reply], object],
    failed: Callable[[PeatError], object],
    former: Collection[int] = (),
    piece_bytes: int = 0,
    partly: bool = False,
) -> Job:
    if len(update) > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"the update has {len(update)} bytes; {MAX_DOCUMENT_BYTES} are taken at most")
    return Job(
        key,
        Task.APPLY,
        lambda number: protocol.Apply(number, update, list(former), piece_bytes, partly),
        answered,
        failed,
        size_bytes=len(update),
        culprit=lambda: update,
        origin=origin,
    )


def edit_job(
    key: DocumentKey,
    edit: Edit,
    origin: str,
    answered: Callable[[Reply], object],
    failed: Callable[[PeatError], object],
) -> Job:
    value = edit.value if isinstance(edit, Put) else edit.merge_patch
    try:
        encoded = msgspec.msgpack.encode(value)
    except OverflowError as exc:  # of an integer that does not even fit into 64 bits
        raise InvalidEdit("the JSON has an integer beyond 2^53 - 1: write it as a string") from exc
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidEdit(f"the JSON cannot be held by a document: {exc}") from exc
    if len(encoded) > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"the JSON has {len(encoded)} bytes; {MAX_DOCUMENT_BYTES} are taken at most")
    request = protocol.Put if isinstance(edit, Put) else protocol.Patch
    return Job(
        key,
        Task.EDIT,
        lambda number: request(number, dict(value)),
        answered,
        failed,
        size_bytes=len(encoded),
        culprit=lambda: msgspec.json.encode(value),
        origin=origin,
    )


def diff_job(
    key: DocumentKey,
    state_vector: bytes,
    answered: Callable[[Reply], object],
    failed: Callable[[PeatError], object],
    piece_bytes: int = 0,
    origin: str = "",
) -> Job:
    return Job(
        key,
        Task.DIFF,
        lambda number: protocol.Diff(number, state_vector, piece_bytes),
        answered,
        failed,
        origin=origin,
        whole_bytes=(2 * piece_bytes or _ANY_BYTES) if state_vector == EMPTY_STATE_VECTOR else 0,
    )


def told(then: Callable[[Reply], object], failed: Callable[[PeatError], object]) -> Callable[[Reply], None]:
    """What to do with a reply that nobody waits for."""

    def answered(reply: Reply) -> None:
        if isinstance(reply, Refused):
            failed(refusal(reply))
        else:
            then(reply)

    return answered


def news(reply: Reply) -> News:
    if isinstance(reply, MergedInPieces):
        first, *rest = map(news, reply.pieces)
        return News(first.update, first.content, tuple(rest), reply.is_partial)
    assert isinstance(reply, Merged)
    return News(reply.news, reply.content(), is_partial=reply.is_partial)


def encoded(reply: Reply) -> bytes:
    assert isinstance(reply, Encoded)
    return reply.encoded


def pieces(reply: Reply) -> list[bytes]:
    if isinstance(reply, Encoded):  # of a log that holds it as it was asked for
        return [reply.encoded]
    assert isinstance(reply, Cut)
    return reply.pieces


def json_view(reply: Reply) -> Viewed:
    assert isinstance(reply, Viewed)
    return reply


def refusal(reply: Refused) -> PeatError:
    match reply.code:
        case protocol.MISSING:
            return MissingUpdates(reply.message, reply.state_vector)
        case protocol.INVALID:
            return InvalidEdit(reply.message)
        case protocol.TOO_LARGE:
            return TooLarge(reply.message)
        case protocol.FORMER:
            return DocumentEnded(reply.message)
    return MalformedUpdate(reply.message)
