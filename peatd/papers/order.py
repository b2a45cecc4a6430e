"""What is asked of the minting process, and what it answers. Sans-IO."""

from dataclasses import dataclass, field

from peatd.names import DeviceId


@dataclass(frozen=True, slots=True)
class Order:
    """Papers for the node with this Ed25519 secret: of each of these CAs, which are their secrets too."""

    node_secret: bytes = field(repr=False)
    device_id: DeviceId
    ca_secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A node's certificate, and the key that it needs to be of use."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Papers:
    """Of one CA: its certificate, for trusting others, and the leaf that it signed, for showing."""

    authority_pem: bytes
    leaf: Leaf
