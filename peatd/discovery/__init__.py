"""How nodes find each other. Importing this imports no Kubernetes client: only starting that source does."""

from peatd.discovery.endpointslice import extract_peers_from_endpoint_slice
from peatd.discovery.events import (
    DiscoveryEvent,
    DiscoveryStatus,
    DiscoveryStrategy,
    PeerFound,
    PeerInfo,
    PeerLost,
    PeerUpdated,
)
from peatd.discovery.hybrid import HybridDiscovery
from peatd.discovery.kubernetes import KubernetesDiscovery, KubernetesDiscoveryConfig
from peatd.discovery.static import StaticDiscovery
from peatd.errors import DiscoveryError, EventStreamConsumed
from peatd.names import StaticPeer

__all__ = [
    "DiscoveryError",
    "DiscoveryEvent",
    "DiscoveryStatus",
    "DiscoveryStrategy",
    "EventStreamConsumed",
    "HybridDiscovery",
    "KubernetesDiscovery",
    "KubernetesDiscoveryConfig",
    "PeerFound",
    "PeerInfo",
    "PeerLost",
    "PeerUpdated",
    "StaticDiscovery",
    "StaticPeer",
    "extract_peers_from_endpoint_slice",
]
