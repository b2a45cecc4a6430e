"""How long a link gathers before its next batch. Sans-IO.

A change of a document that two people edit goes out at once. Where a crowd does, changes come faster than eyes can
follow, each batch of them costs this node and every peer a millisecond of processor time, and what is told of a hundred
changes in ten batches is as good as in a hundred.
"""

from collections.abc import Iterable, Mapping

from peatd.names import DocumentName
from peatd.wire.messages import Message, Presence, Updates

A_CLIENT = 0.0002
"""Seconds for each client that is here at the document: nothing for a few, and with a hundred the longest."""
LONGEST = 0.02
"""A screen shows a picture every 17 ms."""
_SHORTEST = 0.001
"""Less is not worth a timer."""


def pause_after(batch: Iterable[Message], audience: Mapping[DocumentName, int]) -> float:
    """Seconds from this batch until the next may be taken.

    Args:
        audience: how many clients are at a document on this node.
    """
    crowd = max(
        (audience.get(DocumentName(told.name), 0) for told in batch if isinstance(told, Updates | Presence)), default=0
    )
    pause = min(crowd * A_CLIENT, LONGEST)
    return pause if pause >= _SHORTEST else 0.0
