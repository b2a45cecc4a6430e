"""What a source that announces this node has to know of it. Sans-IO."""

from dataclasses import dataclass, field

from peatd.names import Address, DeviceId, NodeId


@dataclass(frozen=True, slots=True)
class Ourselves:
    """This node, at this moment.

    Attributes:
        bound: where the mesh listens: an IP address, which may be that of any host.
        hashes: `Formation.discovery_hashes`.
        keys: `Formation.notice_keys`.
    """

    node_id: NodeId
    device_id: DeviceId
    bound: Address
    hashes: tuple[str, ...]
    keys: tuple[bytes, ...] = field(repr=False)
