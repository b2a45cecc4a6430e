"""How this node stands in its formation at this moment: by which secrets and which key, and which keys are revoked.

A peer's link stands as long as

* its key is not revoked,
* our key is the one that it was made with, and
* each secret that it was proven by is still accepted.

Whoever keeps something that follows from these (links, the dialer, what peers were told) watches, and looks again.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from secrets import token_bytes

import structlog
from msgspec.structs import replace

from peatd import __version__
from peatd.claims import Claim, Verdict
from peatd.formation import Formation
from peatd.identity import Keypair
from peatd.names import DeviceId, Fingerprint, NodeId
from peatd.papers.minting import mint_apart
from peatd.papers.order import Order, Papers
from peatd.revocations import Revocation, Revocations, sign, verify
from peatd.transport.link import LinkPeer
from peatd.transport.tls import Credentials, order_papers
from peatd.wire.messages import MAX_FRAME_BYTES, PROTOCOL, Hello

log = structlog.get_logger()

_MAX_TOLD = 64
"""Secrets that HELLO names; a rotation accepts two or three."""

Mint = Callable[[Order], Awaitable[tuple[Papers, ...]]]


async def credentials_of(
    formation: Formation, node_id: NodeId, own_key: Keypair | None, mint: Mint = mint_apart
) -> Credentials:
    """What a node shows: with a key that follows from the first secret, unless it has one of its own.

    A rotation therefore changes the key. It must: who holds the old secret can derive the old key, read the node's new
    leaf off the wire, and with both sit between two nodes unseen.

    Raises:
        OSError: if the process that mints certificates failed.
    """
    keypair = own_key or Keypair.from_seed(formation.secrets[0], node_id)
    return Credentials(keypair, formation, await mint(order_papers(keypair, formation)))


def hello_of(node_id: NodeId, formation: str, restricted: Collection[str] = ()) -> Hello:
    """What a run of a node says first on its links, but for the secrets and links: this release knows all messages."""
    instance = token_bytes(16)
    return Hello(
        *(PROTOCOL, node_id, formation, instance, MAX_FRAME_BYTES, __version__),
        awareness=True,
        horizon=True,
        gossip=True,
        summaries=True,
        interest=True,
        restricted=sorted(restricted),
    )


class Membership:
    """One node's.

    Invariants:
        1. Credentials, HELLO and fingerprints belong together: they change at once, and whoever watches is told then.

    Args:
        hello: what HELLO says, but for the secrets and links.
        own_key: the node's key if it does not follow from the secret.
    """

    def __init__(
        self,
        credentials: Credentials,
        hello: Hello,
        revocations: Revocations,
        *,
        own_key: Keypair | None = None,
        mint: Mint = mint_apart,
    ) -> None:
        self.revocations = revocations
        self.links: Callable[[], tuple[int, int]] = lambda: (0, 0)
        """How many there are, and may be."""
        self._node_id = NodeId(hello.node_id)
        self._own_key = own_key
        self._mint = mint
        self._watchers: list[Callable[[], None]] = []
        self._secret_watchers: list[Callable[[], None]] = []
        self._take(credentials, hello)

    @property
    def device_id(self) -> DeviceId:
        return self.credentials.keypair.device_id

    @property
    def claim(self) -> Claim:
        """Ourselves, as `judge` wants us."""
        return Claim(self._node_id, self.device_id, self.hello.instance, initiating=False)

    def follows(self, claim: Claim) -> bool:
        """Whether its key follows from its node id and a secret that is accepted here."""
        secrets = self.credentials.formation.secrets
        return any(Keypair.from_seed(secret, claim.node_id).device_id == claim.device_id for secret in secrets)

    def present(self) -> tuple[Credentials, Hello]:
        """What is shown to whoever we meet now."""
        links, most = self.links()
        return self.credentials, replace(self.hello, links=links, max_links=most)

    def client_token_keys(self) -> Sequence[bytes]:
        """That tokens of clients may be signed with."""
        return self._client_token_keys

    def watch(self, watcher: Callable[[], None]) -> None:
        """From now on this is called after every change, in the order of the calls; it must not fail."""
        self._watchers.append(watcher)

    def watch_secrets(self, watcher: Callable[[], None]) -> None:
        """As `watch`, for those whom revocations do not concern; they are called after all others."""
        self._secret_watchers.append(watcher)

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """As `watch`, for a block."""
        self.watch(watcher)
        try:
            yield
        finally:
            self._watchers.remove(watcher)

    def judged(self, peer: LinkPeer) -> Verdict | None:
        """Why a link with this peer does not stand; None if it does."""
        if peer.device_id in self.revocations:
            return Verdict.REVOKED
        is_ours = peer.met_as in (None, self.device_id)
        return None if is_ours and set(peer.proven_by) <= set(self.fingerprints) else Verdict.ROTATED

    def revoked(self) -> str | None:
        """Whether it is this node itself whose key is revoked: in a sentence, if so."""
        found = self.revocations.get(self.device_id)
        if found is None:
            return None
        return (
            f"this node's key was revoked at {found.issuer}: no peer links with it; give it another key, or remove it"
        )

    # What changes it. ------------------------------------------------------------------------------------------

    async def exchange(self, secrets: tuple[bytes, ...]) -> bool:
        """Goes over to these secrets, the first used; whether that changes anything.

        Raises:
            OSError: if the process that mints certificates failed. Then nothing has changed.
        """
        before = self.credentials.formation
        if secrets == before.secrets:
            return False
        formation = Formation(before.name, secrets)
        self._take(await credentials_of(formation, self._node_id, self._own_key, self._mint), self.hello)
        self.revocations.sign_again(formation)
        log.info("formation secrets changed", accepts=list(self.fingerprints), device_id=self.device_id)
        self._tell()
        for watcher in self._secret_watchers:
            watcher()
        return True

    def revoke(self, device_id: DeviceId) -> Revocation:
        """Revokes a key, here at once and elsewhere as soon as it is heard of there.

        Raises:
            RevocationsFull: if no more can be.
        """
        entry = sign(
            Revocation(device_id, int(time.time()), self.device_id),
            self.credentials.formation,
            self.fingerprints[0],
        )
        self._add([entry])
        found = self.revocations.get(device_id)
        assert found is not None
        return found

    def heard_revoked(self, entries: Sequence[Revocation]) -> None:
        """A peer says that these are revoked.

        Raises:
            RevocationForged: if one of them is not signed by the formation. Those before it count.
            RevocationsFull: if there is no place for them.
        """
        fresh = [entry for entry in entries if entry.device_id not in self.revocations]
        checked = []
        try:
            for entry in fresh:
                verify(entry, self.credentials.formation)
                checked.append(entry)
        finally:
            self._add(checked)

    def signed_for(self, entries: Sequence[Revocation], by: Fingerprint) -> list[Revocation]:
        """The entries, signed so that whoever accepts the secret `by`, which we accept too, believes them."""
        formation = self.credentials.formation
        return [entry if entry.by == by else sign(entry, formation, by) for entry in entries]

    def _add(self, entries: Sequence[Revocation]) -> None:
        added = []
        try:
            added = [entry for entry in entries if self.revocations.add(entry)]
        finally:
            for entry in added:
                log.warning("key revoked", device_id=entry.device_id, issuer=entry.issuer)
            if added:
                if any(entry.device_id == self.device_id for entry in added):
                    log.error("this node's key was revoked", hint="no peer links with it: give it another key")
                self._tell()

    def _take(self, credentials: Credentials, hello: Hello) -> None:
        """Invariant 1."""
        self.credentials = credentials
        self.fingerprints = credentials.formation.fingerprints
        self.hello = replace(hello, secrets=list(self.fingerprints[:_MAX_TOLD]))
        self._client_token_keys = credentials.formation.client_token_keys()

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            watcher()
