"""Who belongs to a formation, in memory: the rules of a rotation, without files, certificates or peers."""

from collections.abc import Sequence

from peatd.api.custody import own_key
from peatd.api.custody_views import RevocationView, SecretsView
from peatd.errors import ConfigError, RotationRefused, SecretFixed
from peatd.formation import Formation
from peatd.names import DeviceId
from peatd.rotation import Remove, Step, after

OLD, NEW = b"o" * 32, b"n" * 32


class FakeCustody:
    """Attributes, for tests to set:

    fixed: why the secret cannot be changed.
    behind: peers that lack whatever is installed.
    """

    own_device = "00" * 16

    def __init__(self) -> None:
        self.fixed: str | None = None
        self.behind: list[str] = []
        self.formation = Formation("peat", (OLD,))
        self._revoked: dict[DeviceId, RevocationView] = {}

    def secrets(self) -> SecretsView:
        return SecretsView("peat", self.formation.fingerprints, "/data/formation-secret", self.fixed, None)

    async def take(self, step: Step, *, force: bool) -> None:
        if self.fixed is not None:
            raise SecretFixed(f"the formation secret cannot be changed from here: {self.fixed}")
        if isinstance(step, Remove) and self.behind and not force:
            raise RotationRefused(f"{', '.join(self.behind)} would be left behind")
        try:
            self.formation = Formation("peat", after(step, self.formation))
        except ConfigError as exc:
            raise RotationRefused(str(exc)) from exc

    def revoked(self) -> Sequence[RevocationView]:
        return list(self._revoked.values())

    async def revoke(self, device_id: DeviceId) -> tuple[RevocationView, bool]:
        if device_id == self.own_device:
            raise own_key(device_id)
        is_new = device_id not in self._revoked
        return self._revoked.setdefault(device_id, RevocationView(device_id, 1_767_225_600, self.own_device)), is_new
