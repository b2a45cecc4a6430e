"""What a node tells of the whole mesh: its members, and the links between others."""

from collections.abc import Iterator, Sequence

from peatd.api.topology_views import MemberState, MemberView, TopologyLink
from peatd.gossip.book import Member
from peatd.gossip.doubts import Doubts
from peatd.gossip.gossip import Gossip
from peatd.gossip.members import Members


def member_views(gossip: Gossip, now: float) -> Sequence[MemberView]:
    """All members, this node first, then by node id."""
    own, *others = gossip.members.all()
    first = MemberView(own.node_id, own.card.device_id, "self", None)
    return [first, *(_view(member, gossip.doubts, now) for member in sorted(others, key=lambda m: m.node_id))]


def far_links(members: Members) -> Iterator[TopologyLink]:
    """The links between others: each once, and only those of which both ends say that they are there."""
    known = {device: member for device, member in members.others() if member.absent_since is None}
    for device, member in sorted(known.items(), key=lambda item: item[1].node_id):
        for tie in member.card.ties:
            other = known.get(tie.device)
            if other is not None and device in other.tied and (member.node_id, device) < (other.node_id, tie.device):
                rtt_ms = round(tie.rtt_us / 1000, 3) if tie.rtt_us else None
                yield TopologyLink(member.node_id, other.node_id, rtt_ms)


def _view(member: Member, doubts: Doubts, now: float) -> MemberView:
    device, since = member.card.device_id, member.absent_since
    absent = round(max(0.0, now - since), 3) if since is not None and member.is_missed else None
    return MemberView(member.node_id, device, _state(member, doubts, bytes.fromhex(device)), absent)


def _state(member: Member, doubts: Doubts, device: bytes) -> MemberState:
    if member.card.left:
        return "left"
    if member.absent_since is not None:
        return "unreachable"
    return "suspected" if doubts.of(device) else "reachable"
