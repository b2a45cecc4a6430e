"""Members as a source of peers: whoever is beyond reach is dialled again where others have reached it.

So a mesh that was cut in two becomes one again although discovery, which has its own idea of who is where, may know
only part of it. Whom discovery knows is dialled for ever in any case, and needs no second name here.
"""

from collections.abc import Callable, Sequence

import trio

from peatd.discovery.events import DiscoveryStatus, PeerInfo
from peatd.discovery.roster import Roster, Rostered
from peatd.gossip.book import Member
from peatd.gossip.members import Members
from peatd.names import DeviceId, NodeId
from peatd.view import View

_LOOK = 2.0
"""Seconds between looks who is missed."""


class MissedMembers(Rostered):
    """The `members` source of peers; ready at once.

    Args:
        is_sighted: whether another source knows that node.
    """

    source = "members"

    def __init__(self, members: Members, is_sighted: Callable[[NodeId, DeviceId], bool], view: View) -> None:
        self._members = members
        self._is_sighted = is_sighted
        self._view = view
        super().__init__(Roster(self.source))

    def status(self) -> DiscoveryStatus:
        return DiscoveryStatus(True)

    async def start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until stopped or cancelled."""
        with self._roster.running():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._roster.announce)
                task_status.started()
                while True:
                    self._look()
                    await trio.sleep(_LOOK)

    def _wished(self) -> Sequence[Member]:
        """With few links in a mesh that is not full, any member will do: where a node was told to go, there may be no
        place."""
        if not self._view.is_short:
            return self._members.missed(trio.current_time())
        return [member for _, member in self._members.others() if not member.card.left]

    def _look(self) -> None:
        known = {peer.node_id for peer in self._roster.peers()}
        missed: dict[NodeId, PeerInfo] = {}
        for member in self._wished():
            device = member.card.device_id
            addresses = self._members.book.addresses(bytes.fromhex(device))
            is_ours = member.node_id in known or not self._is_sighted(member.node_id, device)
            if addresses and is_ours:
                missed[member.node_id] = PeerInfo(member.node_id, addresses)
        self._roster.replace(missed)
