"""How a peer is reached: directly, else by a relay; and directly again as soon as that can be.

Rules:
1. Directly comes first. A relay is asked when that has failed, or has taken `HEAD_START`.
2. Of several relays the first that leads to the peer is taken: its own, then ours, those that failed lately last.
3. Only circuits are raced, never handshakes on them: no peer sees a link by a relay that is given up a moment later.
4. Whoever is at the far end of a circuit proves its device id, and it has to be the one that was asked for.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog
import trio

from peatd.dial_order import dial_order
from peatd.errors import Declined, HandshakeError, PeerError, RelayError
from peatd.identity import Keypair
from peatd.links import Links
from peatd.names import Address, DeviceId
from peatd.peers import PeerTable, Sighting
from peatd.relay.asking import Asker
from peatd.relay.protocol import NOT_HERE
from peatd.relay_url import RelayUrl
from peatd.transport.converse import dismiss
from peatd.transport.dial import initiate_over
from peatd.transport.establish import Declines
from peatd.transport.link import Link, LinkPeer
from peatd.transport.race import Attempt, race
from peatd.transport.tls import Credentials
from peatd.wire.messages import Hello

log = structlog.get_logger()

HEAD_START = 1.0
"""Seconds: a direct connection takes one round trip, or three where the first packets are lost."""
STAGGER = 0.5
"""Seconds that a relay has before the next one is asked as well."""
RETRY_INTERVAL = 10.0
"""Seconds, ±25 %, between two tries to reach directly who is linked by a relay: with the five that a connection may
take, a way that has opened is used in half a minute. A SYN costs nothing."""
_LATELY = 60.0
"""Seconds for which a relay that failed comes after the others."""

ELSEWHERE = "elsewhere"
UNKNOWN = "unknown"

Direct = Callable[[Sequence[Address]], Awaitable[Link]]


@dataclass(frozen=True, slots=True)
class _Circuit:
    url: RelayUrl
    device_id: DeviceId
    stream: trio.abc.Stream


class Ways:
    """One node's ways to its peers.

    Args:
        urls: our relays.
        asker: asks in the node's name, as it is now.
        present: what is shown to whoever we meet.
        direct: dials addresses.
        declines: why we want no link with whom we have reached.
    """

    def __init__(
        self,
        urls: Sequence[RelayUrl],
        asker: Callable[[], Asker],
        present: Callable[[], tuple[Credentials, Hello]],
        direct: Direct,
        declines: Declines = lambda _: None,
    ) -> None:
        self._urls = tuple(urls)
        self._asker = asker
        self._present = present
        self._direct = direct
        self._declines = declines
        self._failed: dict[RelayUrl, float] = {}

    async def link(self, sighting: Sighting) -> Link:
        """A link with whom discovery knows so.

        Raises:
            PeerError: why there is no way. A `Declined` if we are linked with whom it leads to.
        """
        relays, failures = self._relays(sighting.info.relay_url)
        expected = self._expected(sighting)
        direct = Attempt(lambda _: self._try_directly(sighting), HEAD_START)
        attempts = [direct, *(self._attempt(url, expected) for url in relays)]
        while attempts:
            raced = await race(attempts, _discard)
            found, errors = raced
            failures = [*errors, *failures]
            if found is None:
                break
            if isinstance(found, Link):
                return found
            if isinstance(found, Declined):
                raise found
            try:
                return await self._initiate(found)
            except Declined:
                raise
            except PeerError as exc:
                failures.append(exc)
                self._failed[found.url] = trio.current_time()
            relays.remove(found.url)
            attempts = [self._attempt(url, expected) for url in relays]
        raise _joined(failures)

    async def _try_directly(self, sighting: Sighting) -> "_Found":
        try:
            return await self._direct(dial_order(sighting.info.addresses, sighting.last_good))
        except Declined as declined:
            return declined  # we are linked with whom we have found: no relay needs to be asked

    async def directly(self, addresses: Sequence[Address], device_id: DeviceId) -> Link | None:
        """A direct link with whom these addresses are said to lead to; None if they do not, now."""
        try:
            link = await self._direct(addresses)
        except PeerError:
            return None
        if link.peer.device_id == device_id:
            return link
        await dismiss(link, ELSEWHERE, f"you are not {device_id}, who was thought to be here")
        return None

    def _relays(self, peers: str | None) -> tuple[list[RelayUrl], list[PeerError]]:
        """In the order in which they are asked; what discovery says is only known to be text."""
        failures: list[PeerError] = []
        urls = list(self._urls)
        if peers is not None:
            try:
                urls = [RelayUrl.parse(peers), *urls]
            except ValueError as exc:
                failures.append(RelayError(f"its relay_url {exc}", UNKNOWN))
        now = trio.current_time()
        failed_lately = {url for url in urls if now - self._failed.get(url, -_LATELY) < _LATELY}
        return sorted(dict.fromkeys(urls), key=failed_lately.__contains__), failures

    def _expected(self, sighting: Sighting) -> list[DeviceId]:
        """Who may be meant: whoever answered there last, and whose key follows from the name."""
        credentials, _ = self._present()
        derived = (Keypair.from_seed(secret, sighting.info.node_id) for secret in credentials.formation.secrets)
        known = [sighting.device_id] if sighting.device_id is not None else []
        return list(dict.fromkeys((*known, *(keypair.device_id for keypair in derived))))

    def _attempt(self, url: RelayUrl, expected: Sequence[DeviceId]) -> "Attempt[_Found]":
        return Attempt(lambda _: self._circuit(url, expected), STAGGER)

    async def _circuit(self, url: RelayUrl, expected: Sequence[DeviceId]) -> "_Found":
        try:
            for device_id in expected[:-1]:
                try:
                    return await self._open(url, device_id)
                except RelayError as exc:
                    if exc.code != NOT_HERE:
                        raise
            return await self._open(url, expected[-1])
        except RelayError as exc:
            if exc.code != NOT_HERE:
                self._failed[url] = trio.current_time()
            raise

    async def _open(self, url: RelayUrl, device_id: DeviceId) -> _Circuit:
        return _Circuit(url, device_id, await self._asker().dial(url, device_id))

    async def _initiate(self, circuit: _Circuit) -> Link:
        first: list[trio.abc.Stream] = [circuit.stream]

        async def stream() -> trio.abc.Stream:
            """A second one where the peer accepts another of our secrets than the first."""
            return first.pop() if first else (await self._open(circuit.url, circuit.device_id)).stream

        def declines(peer: LinkPeer) -> str | None:
            return self._declines(replace(peer, via=circuit.url.text))

        try:
            link = await initiate_over(stream, *self._present(), circuit.url.address, declines)
        except Declined:
            raise
        except HandshakeError as exc:
            raise HandshakeError(f"{circuit.url}: {exc}", exc.code) from exc
        if link.peer.device_id != circuit.device_id:
            await trio.aclose_forcefully(link.stream)
            led = f"{link.peer.node_id} ({link.peer.device_id})"
            raise RelayError(f"{circuit.url}: it led to {led} instead of {circuit.device_id}", ELSEWHERE)
        link.peer = replace(link.peer, via=circuit.url.text)
        return link


_Found = Link | _Circuit | Declined


async def _discard(late: _Found) -> None:
    if not isinstance(late, Declined):
        await trio.aclose_forcefully(late.stream)


def _joined(failures: Sequence[PeerError]) -> PeerError:
    if len(failures) == 1:
        return failures[0]
    return RelayError("; ".join(map(str, failures)), UNKNOWN)


async def go_direct(ways: Ways, links: Links, peers: PeerTable) -> None:
    """Tries again and again whether whoever is linked by a relay can be reached directly by now. The direct link is
    made first, then the other one makes room (`claims.py`)."""
    tried: set[DeviceId] = set()

    async def try_again(device_id: DeviceId, addresses: Sequence[Address]) -> None:
        tried.add(device_id)
        try:
            link = await ways.directly(addresses, device_id)
        finally:
            tried.discard(device_id)
        if link is not None:
            log.info("peer reached directly", peer=link.peer.node_id, device_id=device_id, address=str(link.address))
            await links.keep(link)

    async with trio.open_nursery() as nursery:
        while True:
            await trio.sleep(RETRY_INTERVAL * random.uniform(0.75, 1.25))
            relayed = {link.peer.device_id for link, _ in links.live() if link.peer.via is not None} - tried
            for peer in peers.all(trio.current_time()) if relayed else ():
                # Whom no source knows has no address but the relay's.
                if peer.device_id in relayed and peer.is_sighted:
                    nursery.start_soon(try_again, peer.device_id, peer.addresses)
