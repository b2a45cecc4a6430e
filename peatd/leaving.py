"""The last things that a node does for those who use it, and for its peers, before its links end. See drain.py.

Peers get what they are owed *now*: under the steady writes of others there is always something, and there would be no
end of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
import trio

from peatd.drain import Drain
from peatd.exchange import PeerExchange
from peatd.links import Links
from peatd.names import DocumentKey, NodeId
from peatd.replication import Replication

log = structlog.get_logger()

_GOODBYE = 0.5
"""Seconds for writes in progress, and for clients that were told to go elsewhere."""
_FLUSH = 1.0
"""Seconds for peers to confirm what they are owed. What they do not get now, they get when we are back, or from another
node."""
_LOOK = 0.05
"""Seconds until it looks again although no peer has confirmed anything: some debts turn out to be none, in silence."""


async def take_leave(drain: Drain, delay: float, links: Links, replication: Replication) -> None:
    """Lets load balancers notice for `delay` seconds, then lets nobody in any more and gives live peers what they are
    owed, in at most 1.5 s."""
    log.info("node stopping", drain_delay=delay)
    drain.announce()
    await trio.sleep(delay)
    with trio.move_on_after(_GOODBYE):
        await drain.close()
    flush = Flush(links, replication)
    with trio.move_on_after(_FLUSH):
        await flush.wait()
        await _say_last(links)
    if owed := flush.owed():
        log.warning("stopping with peers owed documents", documents=owed, hint="they get them when it is back")


async def _say_last(links: Links) -> None:
    """Has the peers know of all that was made here: what of it is deleted while we are away does not come back then."""
    for _, exchange in links.live():
        exchange.say_horizon()
    await trio.sleep(_LOOK)  # for the writers of the links


@dataclass(slots=True)
class _Debt:
    """What one linked peer is owed: these versions of documents, and word that what it sent is on our disk."""

    peer: NodeId
    exchange: PeerExchange
    versions: dict[DocumentKey, int]
    through_seq: int

    @property
    def is_settled(self) -> bool:
        return not self.versions and not self.exchange.is_to_confirm(self.through_seq)

    def strike_out(self) -> None:
        """Forgets what the peer has by now."""
        sync = self.exchange.sync
        owed = sync.debt()
        self.versions = {
            key: version
            for key, version in self.versions.items()
            if key.name in owed and not sync.is_durable(key, version)
        }


class Flush:
    """One flush: begins with what is owed when it is made."""

    def __init__(self, links: Links, replication: Replication) -> None:
        self._links = links
        self._replication = replication
        through = replication.store.last_seq
        self._debts = [
            _Debt(link.peer.node_id, exchange, self._versions(exchange), through) for link, exchange in links.live()
        ]

    async def wait(self) -> None:
        """Returns when nothing of it is owed any more, or to nobody who is still linked. Bound it: a peer may stall."""
        while self._look():
            with trio.move_on_after(_LOOK):
                await self._replication.confirmations.wait()

    def owed(self) -> Mapping[NodeId, int]:
        """How many documents each peer that is still linked is still owed."""
        self._look()
        return {debt.peer: len(debt.versions) for debt in self._debts if debt.versions}

    def _look(self) -> bool:
        """Whether anything is owed still."""
        live = {exchange for _, exchange in self._links.live()}
        for debt in self._debts:
            debt.exchange.summaries.hurry()  # what others have brought is theirs to deliver: it only has to be named
            debt.strike_out()
        self._debts = [debt for debt in self._debts if debt.exchange in live and not debt.is_settled]
        return bool(self._debts)

    def _versions(self, exchange: PeerExchange) -> dict[DocumentKey, int]:
        entries = (self._replication.table.get(name) for name in exchange.sync.debt())
        return {entry.key: entry.version for entry in entries if entry is not None}
