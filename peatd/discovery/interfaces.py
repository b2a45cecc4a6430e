"""The networks that this machine is on: which of them are LANs, and what a node says of itself there."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache

import ifaddr

_BRIDGES = (
    *("docker*", "podman*", "br-*", "cni*", "veth*", "virbr*", "vnet*", "lxcbr*", "lxdbr*", "lxc*", "incusbr*"),
    *("flannel*", "cali*", "cilium*", "weave*", "kube-*", "nodelocaldns*", "vxlan*", "geneve*", "ovn*", "nerdctl*"),
)
"""What container engines, hypervisors and cluster networks call theirs. Behind them are no LANs: an address there means
nothing on another machine, or another one's container."""

_REMEMBERED = 1024
"""Whose addresses they are, and whether they are of this LAN: of all who are there it is asked again and again."""

_ANY = {"0.0.0.0": (4,), "::": (4, 6)}
"""IP versions of those who reach a listener on it."""

Host = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface, and its addresses with their networks."""

    name: str
    index: int
    hosts: tuple[Host, ...]

    def speaks(self, version: int) -> bool:
        """Whether peers here may be reached by this IP version."""
        return any(host.version == version for host in self.hosts)

    def is_near(self, text: str) -> bool:
        """Whether an address is one of this network, so that whoever speaks here may speak of it."""
        address = ipaddress.ip_address(text)
        return any(_is_near(host, address) for host in self.hosts)


def read_interfaces() -> list[Interface]:
    """All interfaces as the system has them.

    Raises:
        OSError: if it does not tell.
    """
    return [
        Interface(adapter.name, adapter.index or 0, tuple(_host(ip) for ip in adapter.ips))
        for adapter in ifaddr.get_adapters()
    ]


def lans(interfaces: Iterable[Interface]) -> list[Interface]:
    """Those behind which other machines may be, with the addresses that mean something to them."""
    found = []
    for interface in interfaces:
        hosts = tuple(host for host in interface.hosts if _is_dialable(host))
        if hosts and not any(fnmatch(interface.name, pattern) for pattern in _BRIDGES):
            found.append(Interface(interface.name, interface.index, hosts))
    return found


def hosts_to_announce(interface: Interface, bound: str) -> tuple[str, ...]:
    """At which of a LAN's addresses a listener that is bound to an IP address is reached."""
    texts = (str(host.ip) for host in interface.hosts)
    if bound in _ANY:
        return tuple(str(host.ip) for host in interface.hosts if host.version in _ANY[bound])
    return tuple(text for text in texts if text == bound)


@lru_cache(maxsize=_REMEMBERED)
def nearby(interface: Interface, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Of the addresses that somebody on this LAN announces those that are of this LAN."""
    return tuple(host for host in hosts if interface.is_near(host))


def _host(ip: ifaddr.IP) -> Host:
    text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
    return ipaddress.ip_interface(f"{text.partition('%')[0]}/{ip.network_prefix}")


def _is_dialable(host: Host) -> bool:
    ip = host.ip
    return not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved)


def _is_near(host: Host, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if host.version != address.version or not _is_dialable(ipaddress.ip_interface(address)):
        return False
    if isinstance(host, ipaddress.IPv6Interface):
        # DHCPv6 gives addresses without a network: those of one LAN share the first half (RFC 4291, 2.5.1).
        return int(host.ip) >> 64 == int(address) >> 64
    return address in host.network
