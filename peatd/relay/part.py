"""What a node has to do with relays, put together: its ways to peers, its registrations, and being one itself."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

import trio

from peatd.identity import Keypair
from peatd.limits import LimitHits
from peatd.links import Links
from peatd.measures import Kind, Measure
from peatd.membership import Membership
from peatd.names import Address
from peatd.peers import PeerTable, Sighting
from peatd.relay.asking import Asker
from peatd.relay.connecting import Outward
from peatd.relay.protocol import Signer
from peatd.relay.registration import REGISTERED, Registrations, RelayStanding
from peatd.relay.role import RelayRole
from peatd.relay.ways import Direct, Ways, go_direct
from peatd.settings.relays import RelaySettings
from peatd.transport.link import Link


class Relaying:
    """One node's.

    Args:
        direct: dials addresses.

    Raises:
        ConfigError: if a certificate of the settings cannot be read.
    """

    def __init__(
        self, settings: RelaySettings, membership: Membership, hits: LimitHits, links: Links, direct: Direct
    ) -> None:
        self._membership = membership
        self._links = links
        self._outward = Outward(settings.relay_ca_file, settings.https_proxy, settings.no_proxy)
        self._outward.check()
        self._asker: Asker | None = None
        self._ways = Ways(settings.relay, self._ask, membership.present, direct, links.declines)
        self._registrations: Registrations | None = None
        self._urls = settings.relay
        self._role = None
        if settings.relay_listen is not None:
            self._role = RelayRole(settings, hits, self._allowed, lambda device: device in membership.revocations)

    async def link(self, sighting: Sighting) -> Link:
        """A link with whom discovery knows so, whichever way.

        Raises:
            PeerError: why there is no way.
        """
        return await self._ways.link(sighting)

    async def run(
        self,
        peers: PeerTable,
        on_link: Callable[[Link], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[Address | None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Until cancelled; reports where it listens as a relay, if it is one.

        Raises:
            ConfigError: if the address cannot be bound.
        """
        async with trio.open_nursery() as nursery:
            bound: Address | None = None
            if self._role is not None:
                bound = await nursery.start(self._role.run)
            self._registrations = Registrations(self._urls, self._ask, self._membership.present, on_link)
            self._membership.watch_secrets(self._renew)
            nursery.start_soon(self._registrations.run)
            nursery.start_soon(go_direct, self._ways, self._links, peers)
            task_status.started(bound)

    def standings(self) -> Sequence[RelayStanding]:
        """How the node stands with each of its relays."""
        return [] if self._registrations is None else self._registrations.standings()

    def measures(self) -> Iterator[Measure]:
        standings = [((each.url.text,), float(each.state == REGISTERED)) for each in self.standings()]
        yield Measure("peat_relay_registered", Kind.GAUGE, "1 while registered at that relay.", standings, ("relay",))
        if self._role is not None:
            yield from self._role.measures()

    def _renew(self) -> None:
        self._asker = None
        if self._registrations is not None:
            self._registrations.renew()

    def _ask(self) -> Asker:
        if self._asker is None:
            credentials = self._membership.credentials
            self._asker = Asker(Signer(credentials.keypair, self._formation_keys()), self._outward)
        return self._asker

    def _formation_keys(self) -> tuple[Keypair, ...]:
        formation = self._membership.credentials.formation
        return tuple(Keypair.from_secret(formation.relay_secret(index)) for index in range(len(formation.secrets)))

    def _allowed(self) -> Collection[bytes]:
        return [voucher.public_key for voucher in self._ask().signer.formation_keys]
