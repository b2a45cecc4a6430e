"""Which link stays, when two ends or two nodes claim the same. Sans-IO."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from peatd.names import DeviceId, NodeId


class Verdict(enum.Enum):
    """What to do with a new link."""

    KEEP = "keep"
    REPLACE = "replace"
    """Keep it, and end the link that we have with this peer."""
    DUPLICATE = "duplicate-link"
    SELF = "self"
    TWIN = "duplicate-node-id"
    """Another node goes by the same node id, or runs with the same key."""
    ENOUGH = "enough-links"
    """It has as many links as it may, and whoever comes has enough of them too: it is linked by way of others."""
    REVOKED = "revoked"
    """Its key is not to be let in any more."""
    FULL = "full"
    """As many are linked as there is room for."""
    ROTATED = "rotated"
    """It stands on a secret or a key that was exchanged meanwhile: dial again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the other end of a link is. `initiating`: we dialled it. `relayed`: by a relay."""

    node_id: NodeId
    device_id: DeviceId
    instance: bytes
    initiating: bool
    relayed: bool = False


def judge(new: Claim, present: list[Claim], own: Claim, follows: Callable[[Claim], bool]) -> Verdict:
    """Which link stays. Both ends come to the same answer, each on its own.

    Args:
        new: the other end of a link that has just proved itself.
        present: the other ends of all links that are up.
        own: ourselves (`initiating` has no meaning here).
        follows: whether the key of this one follows from its node id and a formation secret that is accepted here.
            Else it is a key of its own, which no rotation changes: whoever shows another one is somebody else, whatever
            it says of itself.
    """
    if new.device_id == own.device_id or new.node_id == own.node_id:
        return Verdict.SELF if new.instance == own.instance else Verdict.TWIN
    for old in present:
        if old.device_id == new.device_id and old.instance == new.instance:
            return Verdict.REPLACE if _newer_stays(new, old, own.device_id) else Verdict.DUPLICATE
        if old.node_id == new.node_id and old.instance == new.instance and follows(old):
            return Verdict.REPLACE  # the same process, with another key: its formation secret was rotated
        if old.device_id == new.device_id or old.node_id == new.node_id:
            # Its first holder may have died without a word: whoever asks has that found out.
            return Verdict.TWIN
    return Verdict.KEEP


def _newer_stays(new: Claim, old: Claim, own_device: DeviceId) -> bool:
    if new.relayed != old.relayed:
        return old.relayed  # the direct one is better; should it be dead, whoever asks has that found out
    if new.initiating == old.initiating:
        return True  # its end has dialled again: it has given up the old one
    return new.initiating == (own_device < new.device_id)
