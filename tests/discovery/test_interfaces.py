"""Which networks are LANs, and what is said and believed there."""

import pytest
from fakes.lan import interface

from peatd.discovery.interfaces import hosts_to_announce, lans, nearby, read_interfaces


def test_this_machine_has_a_loopback_which_is_no_lan() -> None:
    assert any(str(host.ip) == "127.0.0.1" for found in read_interfaces() for host in found.hosts)
    assert all(not host.ip.is_loopback for found in lans(read_interfaces()) for host in found.hosts)


@pytest.mark.parametrize("host", ["127.0.0.1/8", "169.254.3.4/16", "::1/128", "fe80::1/64", "0.0.0.0/0"])
def test_what_means_nothing_to_other_machines_is_left_out(host: str) -> None:
    assert lans([interface(host)]) == []
    (kept,) = lans([interface(host, "192.0.2.7/24")])
    assert [str(one) for one in kept.hosts] == ["192.0.2.7/24"]


@pytest.mark.parametrize(
    "name",
    ["docker0", "br-0a1b2c3d4e5f", "cni0", "cni-podman0", "veth12ab", "virbr0", "flannel.1", "cali0123", "lxdbr0"],
)
def test_bridges_of_containers_are_left_out(name: str) -> None:
    assert lans([interface("172.17.0.1/16", name=name)]) == []


@pytest.mark.parametrize("name", ["eth0", "wlan0", "enp3s0", "br0", "bond0", "eth0.7", "wlp2s0"])
def test_what_may_be_a_lan_is_one(name: str) -> None:
    assert len(lans([interface("10.0.0.1/8", name=name)])) == 1


@pytest.mark.parametrize(
    ("bound", "announced"),
    [
        ("0.0.0.0", ("192.0.2.7",)),
        ("::", ("192.0.2.7", "2001:db8::7")),
        ("192.0.2.7", ("192.0.2.7",)),
        ("2001:db8::7", ("2001:db8::7",)),
        ("127.0.0.1", ()),
    ],
)
def test_what_reaches_the_listener_is_announced(bound: str, announced: tuple[str, ...]) -> None:
    assert hosts_to_announce(interface("192.0.2.7/24", "2001:db8::7/64"), bound) == announced


def test_addresses_of_other_networks_are_not_believed() -> None:
    """Whoever speaks on a LAN could make us dial anybody."""
    lan = interface("192.0.2.7/24", "2001:db8::7/128")
    said = ("192.0.2.1", "198.51.100.1", "127.0.0.1", "2001:db8::1", "2001:db8:1::1", "fe80::1", "224.0.0.1")
    assert nearby(lan, said) == ("192.0.2.1", "2001:db8::1")
