"""Which replies are answers to a request. Sans-IO."""

from collections.abc import Mapping

from peatd.engine.protocol import (
    Apply,
    Audit,
    BadRow,
    Close,
    Cut,
    Diff,
    Done,
    Encoded,
    Merged,
    MergedInPieces,
    NotOpen,
    Open,
    Opened,
    Panicked,
    Patch,
    Put,
    Read,
    Refused,
    Reply,
    Request,
    Snapshot,
    Viewed,
)

_ANSWERS: Mapping[type[Request], tuple[type[Reply], ...]] = {
    Open: (Opened, BadRow),
    Apply: (Merged, MergedInPieces, Refused, Panicked, NotOpen),
    Diff: (Encoded, Cut, Refused, Panicked, NotOpen),
    Snapshot: (Encoded, Panicked, NotOpen),
    Read: (Viewed, Refused, Panicked, NotOpen),
    Put: (Merged, Refused, Panicked, NotOpen),
    Patch: (Merged, Refused, Panicked, NotOpen),
    Close: (Done,),
    Audit: (Done, BadRow),
}


def fits(request: Request, reply: Reply) -> bool:
    """Whether this is an answer to that."""
    if isinstance(request, Diff) and isinstance(reply, Encoded | Cut):
        return isinstance(reply, Cut) == bool(request.piece_bytes)
    return isinstance(reply, _ANSWERS[type(request)])
