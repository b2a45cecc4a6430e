"""The message about what a node knows of all others' documents. Sans-IO; see messages.py, and `peatd.horizon`."""

from typing import Annotated

import msgspec

from peatd.wire.members import Count, Digest, Shape

MAX_KNOWN_NODES = 1024
"""Of which a node tells: 45 KB. A mesh has tens; of pods that come and go under new names, the latest."""


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Up to which number (`seq`, in an epoch of its own) the sender knows a node's documents: see horizon.py."""

    node: Digest
    epoch: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    seq: Count


class Horizon(Shape, frozen=True, tag=30):
    """What the sender knows of all nodes' documents, and what is to be known of its own.

    Attributes:
        epoch, seq: its own numbers: the latest that is on its disk.
        living: exclusive-or of the names and incarnations of all its living documents, hashed.
        floor: no incarnation that it has forgotten was higher.
    """

    epoch: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    seq: Count
    living: Digest
    floor: Count
    known: Annotated[list[Known], msgspec.Meta(max_length=MAX_KNOWN_NODES)]
