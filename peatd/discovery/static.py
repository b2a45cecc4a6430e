"""Peers that the operator has listed, by IP address or by DNS name.

A listed peer is known from the start, whether its name resolves or not: while it does not, the name itself stands among
the addresses, so that whoever dials tries it. Names are looked up again every poll interval, since behind one stands
whatever the DNS says now; an address that a name had keeps counting while look-ups fail.
"""

import ipaddress
import random
from collections.abc import Sequence

import structlog
import trio

from peatd.discovery.events import DiscoveryStatus, PeerInfo
from peatd.discovery.roster import Roster, Rostered
from peatd.discovery.slices import merge_peers
from peatd.names import Address, NodeId, StaticPeer
from peatd.threads import needing_threads

_LOOK_UP_TIMEOUT = 10.0
"""Seconds; resolvers give up after 5 s a server, and a thread stands behind each look-up until then."""

_LOOK_UPS_AT_ONCE = 4
"""Each blocks a thread, and a hundred names are not to take all that trio has."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class StaticDiscovery(Rostered):
    """The `static` source of peers. Ready at once; entries of one name are one peer."""

    source = "static"

    def __init__(self, peers: Sequence[StaticPeer], *, poll_interval: float = 30.0) -> None:
        self._peers = tuple(peers)
        self._poll_interval = poll_interval
        super().__init__(Roster(self.source))
        self._started = False
        self._resolved: dict[Address, tuple[Address, ...]] = {}
        self._failed: dict[Address, str] = {}

    def status(self) -> DiscoveryStatus:
        if not self._started:
            return DiscoveryStatus(False, "not started")
        failed = [f"{address.host} does not resolve: {reason}" for address, reason in self._failed.items()]
        return DiscoveryStatus(True, "; ".join(failed) or None)

    async def start(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until stopped or cancelled.

        Raises:
            DiscoveryError: if it was started before.
        """
        with self._roster.running():
            self._started = True
            self._publish()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._roster.announce)
                task_status.started()
                await self._look_up_for_ever()

    async def _look_up_for_ever(self) -> None:
        names = list(dict.fromkeys(peer.address for peer in self._peers if not _is_ip(peer.address.host)))
        limit = trio.CapacityLimiter(_LOOK_UPS_AT_ONCE)
        while names:
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(self._look_up, name, limit)
            # Jitter: nodes that were started together do not ask the DNS together.
            await trio.sleep(self._poll_interval * random.uniform(0.8, 1.2))
        await trio.sleep_forever()

    async def _look_up(self, name: Address, limit: trio.CapacityLimiter) -> None:
        failure = f"no answer within {_LOOK_UP_TIMEOUT:.0f} s"
        async with limit:
            with trio.move_on_after(_LOOK_UP_TIMEOUT):
                try:
                    with needing_threads():
                        found = await trio.socket.getaddrinfo(name.host, name.port, type=trio.socket.SOCK_STREAM)
                except (OSError, UnicodeError) as exc:  # UnicodeError: a label of more than 63 characters
                    failure = str(exc)
                else:
                    # Sorted: DNS servers rotate their answers, and an order that turns is no change.
                    ips = sorted({str(socket_address[0]) for *_, socket_address in found})
                    self._resolve(name, tuple(Address(ip, name.port) for ip in ips))
                    return
        self._fail(name, failure)

    def _resolve(self, name: Address, addresses: tuple[Address, ...]) -> None:
        self._failed.pop(name, None)
        self._resolved[name] = addresses
        self._publish()

    def _fail(self, name: Address, reason: str) -> None:
        if name not in self._failed:
            _log.warning("static_peer_unresolved", address=str(name), reason=reason)
        self._failed[name] = reason
        self._publish()

    def _publish(self) -> None:
        listed: dict[NodeId, list[PeerInfo]] = {}
        for peer in self._peers:
            node_id = NodeId(peer.name or str(peer.address))
            listed.setdefault(node_id, []).append(PeerInfo(node_id, self._addresses(peer.address), peer.relay_url))
        self._roster.replace({node_id: merge_peers(node_id, infos) for node_id, infos in listed.items()})

    def _addresses(self, address: Address) -> tuple[Address, ...]:
        resolved = self._resolved.get(address, ())
        return resolved if resolved and address not in self._failed else (*resolved, address)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
