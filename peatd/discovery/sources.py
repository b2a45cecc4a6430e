"""The sources of peers that the settings ask for."""

from collections.abc import Callable, Sequence

from peatd.config import Config
from peatd.discovery.events import DiscoveryStrategy
from peatd.discovery.kubernetes import KubernetesDiscovery, KubernetesDiscoveryConfig
from peatd.discovery.ourselves import Ourselves
from peatd.discovery.static import StaticDiscovery
from peatd.settings.values import KUBERNETES, MDNS, STATIC


def open_sources(
    config: Config, ourselves: Callable[[], Ourselves], members: DiscoveryStrategy
) -> Sequence[DiscoveryStrategy]:
    """One strategy for each source, in the order of the setting; and then that of the members, unless it is set that
    this node looks for nobody.

    Args:
        ourselves: for the sources that announce this node; called once they are started.
    """
    sources = [_source(name, config, ourselves) for name in config.discovery]
    return [*sources, members] if sources else []


def _source(name: str, config: Config, ourselves: Callable[[], Ourselves]) -> DiscoveryStrategy:
    if name == STATIC:
        return StaticDiscovery(config.peers, poll_interval=config.poll_interval)
    if name == MDNS:
        from peatd.discovery.mdns import MdnsDiscovery  # 6 MB, for those only who use it

        return MdnsDiscovery(ourselves)
    assert name == KUBERNETES
    return KubernetesDiscovery(
        KubernetesDiscoveryConfig(
            namespace=config.namespace,
            label_selector=config.label_selector,
            annotation_prefix=config.annotation_prefix,
            poll_interval=config.poll_interval,
            service_account_dir=config.service_account_dir,
            kubeconfig=config.kubeconfig,
        )
    )
