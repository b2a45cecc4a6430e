"""What an operator may do about who belongs to the formation. Implements `api.views.Custody`."""

from collections.abc import Sequence

import structlog
import trio

from peatd.api.custody import own_key
from peatd.api.custody_views import RevocationView, SecretsView
from peatd.errors import ConfigError, RotationRefused, Unavailable
from peatd.membership import Membership
from peatd.names import DeviceId, Fingerprint
from peatd.peers import Peer, PeerTable
from peatd.revocation_file import RevocationFile
from peatd.revocations import Revocation
from peatd.rotation import Remove, Step
from peatd.secret_watch import SecretWatch

log = structlog.get_logger()

_MAX_NAMED = 5


class Custody:
    """A view of the node's parts; it owns none of them."""

    def __init__(self, membership: Membership, watch: SecretWatch, file: RevocationFile, peers: PeerTable) -> None:
        self.membership = membership
        self.watch = watch
        self._file = file
        self._peers = peers

    def secrets(self) -> SecretsView:
        watch = self.watch
        return SecretsView(
            formation=self.membership.credentials.formation.name,
            secrets=self.membership.fingerprints,
            source=watch.source.name,
            fixed=watch.source.fixed(),
            failure=watch.failure,
        )

    async def take(self, step: Step, *, force: bool) -> None:
        if isinstance(step, Remove) and not force and len(self.membership.fingerprints) > 1:
            self._refuse_to_leave_behind(step.fingerprint)
        try:
            await self.watch.take(step)
        except ConfigError as exc:
            raise RotationRefused(str(exc)) from exc
        except OSError as exc:
            raise Unavailable(f"the file is written, and not used yet: {exc}; it is tried again") from exc
        log.info("rotation step", step=type(step).__name__.lower(), accepts=list(self.membership.fingerprints))

    def behind(self, fingerprint: Fingerprint) -> Sequence[Peer]:
        """The peers, linked or known, that are not known to accept this secret. Revoked ones do not count."""
        revoked = self.membership.revocations
        return [
            peer
            for peer in self._peers.all(trio.current_time())
            if fingerprint not in peer.accepts and (peer.device_id or peer.answered_by) not in revoked
        ]

    def revoked(self) -> Sequence[RevocationView]:
        return [_view(entry) for entry in self.membership.revocations]

    async def revoke(self, device_id: DeviceId) -> tuple[RevocationView, bool]:
        if device_id == self.membership.device_id:
            raise own_key(device_id)
        is_new = device_id not in self.membership.revocations
        entry = self.membership.revoke(device_id)
        await self._file.saved()
        return _view(entry), is_new

    def _refuse_to_leave_behind(self, fingerprint: Fingerprint) -> None:
        behind = self.behind(fingerprint)
        if behind:
            names = ", ".join(peer.node_id for peer in behind[:_MAX_NAMED])
            more = f" and {len(behind) - _MAX_NAMED} more" if len(behind) > _MAX_NAMED else ""
            raise RotationRefused(
                f"{names}{more} would be left behind: not known to accept the secret {fingerprint[:32]}. "
                "Install it there first, revoke who shall not come back, or force the step"
            )


def _view(entry: Revocation) -> RevocationView:
    return RevocationView(entry.device_id, entry.at, entry.issuer)
