"""Who knows a formation's secret, and nobody else, makes notices of its nodes."""

from dataclasses import replace

import pytest

from peatd.discovery.dnssd import Notice, Told, notice_packet, read_packet
from peatd.discovery.notice_proof import is_proven, prove
from peatd.formation import Formation
from peatd.names import DeviceId, NodeId

OLD, NEW, OTHER = b"\x2a" * 32, b"\x2b" * 32, b"\x2c" * 32
HOSTS = ("10.0.0.2", "2001:db8::1", "10.0.0.1")


def notice_of(formation: Formation) -> Notice:
    notice = Notice("a-1", NodeId("alice"), DeviceId("aa" * 16), 11204, formation.discovery_hashes, HOSTS)
    return prove(notice, formation.notice_keys)


def believes(formation: Formation, notice: Notice) -> bool:
    return is_proven(notice, formation.discovery_hashes, formation.notice_keys)


ALICE = notice_of(Formation("peat", (OLD,)))


def test_it_is_proven_for_all_who_share_a_secret_in_whatever_order() -> None:
    assert believes(Formation("peat", (OLD,)), ALICE)
    assert believes(Formation("peat", (NEW, OLD)), ALICE)
    assert believes(Formation("peat", (OLD,)), notice_of(Formation("peat", (NEW, OLD))))


def test_it_is_not_for_others() -> None:
    assert not believes(Formation("peat", (NEW,)), ALICE)
    assert not believes(Formation("fleet", (OLD,)), ALICE)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "a-2"},
        {"node_id": NodeId("bob")},
        {"device_id": DeviceId("bb" * 16)},
        {"port": 11205},
        {"hosts": ("10.0.0.66",)},
        {"hosts": (*HOSTS, "10.0.0.66")},
        {"proofs": ()},
        {"proofs": ("00" * 8,)},
        {"proofs": notice_of(Formation("peat", (OTHER,))).proofs},
    ],
    ids=str,
)
def test_nothing_of_it_can_be_changed(change: dict[str, object]) -> None:
    assert not believes(Formation("peat", (OLD,)), replace(ALICE, **change))  # type: ignore[arg-type]


def test_it_comes_through_a_packet() -> None:
    told = read_packet(notice_packet(ALICE, 25))
    assert isinstance(told, Told)
    [(read, _)] = told.notices
    assert believes(Formation("peat", (OLD,)), read)


def test_its_bytes_never_change() -> None:
    """Nodes of different releases meet by them."""
    assert ALICE.proofs == ("fe996793d93856a7",)
