"""The JSON of `/topology`: see views.py."""

from collections.abc import Sequence
from typing import Literal

import msgspec

MemberState = Literal["self", "reachable", "suspected", "unreachable", "left"]


class TopologyLink(msgspec.Struct, frozen=True, rename={"from_id": "from", "to_id": "to"}):
    from_id: str
    to_id: str
    rtt_ms: float | None


class MemberView(msgspec.Struct, frozen=True):
    """A member of the mesh. `suspected`: others hear nothing of it, and it has not answered yet. `unreachable`: no way
    of links leads to it, for `unreachable_secs`."""

    id: str
    device_id: str
    state: MemberState
    unreachable_secs: float | None


class TopologyView(msgspec.Struct, frozen=True):
    """`links`: those of this node first, then those of which both ends say that they are there. `members`: this node
    first, as far as it has heard of them."""

    peer_count: int
    role: str
    hierarchy_level: int
    links: Sequence[TopologyLink]
    members: Sequence[MemberView]
