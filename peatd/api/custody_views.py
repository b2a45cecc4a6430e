"""The JSON of what the HTTP API tells about who belongs to the formation, and what it needs of a node for that."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from peatd.names import DeviceId
from peatd.rotation import Step


class SecretsView(msgspec.Struct, frozen=True):
    """The formation secrets of this node, as fingerprints.

    Attributes:
        secrets: that are accepted; the first is used.
        source: where they come from: a file's path or a variable's name.
        fixed: why this node cannot write there, and what to do instead; null if it can.
        failure: why what is there now is not used; null if it is.
    """

    formation: str
    secrets: Sequence[str]
    source: str
    fixed: str | None
    failure: str | None


class RevocationView(msgspec.Struct, frozen=True):
    """`revoked_at`: seconds since 1970, by the clock of `issuer`, the device id of the node that was told."""

    device_id: str
    revoked_at: int
    issuer: str


class RevocationsView(msgspec.Struct, frozen=True):
    revocations: Sequence[RevocationView]
    count: int


class Custody(Protocol):
    """What an operator may do about who belongs to the formation."""

    def secrets(self) -> SecretsView: ...

    async def take(self, step: Step, *, force: bool) -> None:
        """Does a step of a rotation.

        Raises:
            RotationRefused, SecretFixed: if it cannot be done; nothing has changed.
        """

    def revoked(self) -> Sequence[RevocationView]: ...

    async def revoke(self, device_id: DeviceId) -> tuple[RevocationView, bool]:
        """Revokes a key; also whether it was not revoked yet. Returns once it is on the disk.

        Raises:
            Refusal: if it is this node's own.
            RevocationsFull: if no more can be.
            Unavailable: if the disk fails.
        """
