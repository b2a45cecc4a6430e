"""Nodes on a LAN, with real multicast: they need their secret, and nothing else."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.lan import Lan, lan
from e2e.nodes import Formation, Node, formation_in, until, wait_equal

from peatd.discovery.dnssd import Notice, farewell_packet, notice_packet
from peatd.formation import Formation as Secrets
from peatd.formation import parse_formation_secret
from peatd.names import DeviceId, NodeId

FOUND_WITHIN, LOST_WITHIN = 3.0, 30.0


@pytest.fixture(scope="module")
def net() -> Iterator[Lan]:
    with lan() as made:
        yield made


@pytest.fixture(scope="module")
def here(net: Lan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Formation]:
    """Three nodes, which were started together."""
    with formation_in(tmp_path_factory.mktemp("here")) as formation:
        for name in ("alice", "bob", "carol"):
            net.node(formation, name).start()
        for node in formation.nodes:
            node.wait_ready()
        yield formation


def states(node: Node) -> dict[str, str]:
    return {name: peer["state"] for name, peer in node.peers().items()}


def unlinked(node: Node) -> int:
    return sum(event["event"] == "peer unlinked" for event in node.events())


def test_three_with_nothing_but_the_secret_find_each_other_soon(here: Formation) -> None:
    alice, bob, carol = here.nodes
    up = time.monotonic()
    others = {"alice", "bob", "carol"}
    for node in here.nodes:
        until(lambda node=node: node.linked() == others - {node.name}, "all are linked", within=20)  # type: ignore[misc]
    taken = time.monotonic() - up
    print(f"linked {taken:.2f} s after the last was ready")
    assert taken < FOUND_WITHIN
    assert {peer["source"] for peer in alice.peers().values()} == {"mdns"}
    assert alice.peers()["bob"]["addresses"] == [bob.mesh]
    alice.write("PUT", "notes/a", {"n": 1}, "?ack=replicated:2")
    wait_equal([alice, bob, carol], "notes/a")
    metrics = alice.ask("GET", "metrics").body.decode()
    assert 'peat_discovery_peers{source="mdns"} 2' in metrics
    assert 'peat_discovery_fresh{source="mdns"} 1' in metrics


def test_another_formation_on_the_lan_is_not_heard_of(net: Lan, here: Formation, tmp_path: Path) -> None:
    """Not even by nodes of the same names."""
    with formation_in(tmp_path) as there:
        alice, bob = (net.node(there, name).start().wait_ready() for name in ("alice", "bob"))
        until(lambda: (alice.linked(), bob.linked()) == ({"bob"}, {"alice"}), "they are linked", within=20)
        assert set(alice.peers()) == {"bob"}
        for node in [*here.nodes, *there.nodes]:
            assert not node.has_logged("handshake failed")
            assert not node.has_logged("two nodes with one node id")
        alice.stop()
        bob.stop()


def test_what_a_stranger_says_costs_a_failed_dial(net: Lan, here: Formation) -> None:
    """It knows the hash, as all on the LAN do."""
    alice, bob, _ = here.nodes
    before = unlinked(alice)
    secrets = parse_formation_secret(here.secret_file.read_text(), "secret")
    hashes = Secrets("peat", secrets).discovery_hashes
    device = DeviceId("ee" * 16)

    def lie(name: str, host: str) -> bytes:
        return notice_packet(Notice(f"lie-{name}", NodeId(name), device, 11204, hashes, (host,)), 10)

    bobs = DeviceId(bob.get("node")["device_id"])
    net.say(1, b"junk", *(lie(f"ghost{n}", net.address(200)) for n in range(5)))
    net.say(1, lie("bob", net.address(201)), lie("mallory", net.address(3)), farewell_packet(f"{bobs}-00000000"))
    until(lambda: "ghost0" in alice.peers(), "alice has heard it")
    until(lambda: alice.peers()["ghost0"]["error"], "alice has tried")
    assert alice.linked() >= {"bob", "carol"}
    alice.write("PATCH", "notes/a", {"n": 2}, "?ack=replicated:2")
    until(lambda: not any(name.startswith("ghost") for name in alice.peers()), "it is forgotten", within=LOST_WITHIN)
    assert set(alice.peers()) == {"bob", "carol"}
    assert unlinked(alice) == before


def test_a_peer_by_several_names_and_sources_is_one(net: Lan, here: Formation) -> None:
    alice, bob, carol = here.nodes
    sources = (
        "--peer",
        bob.mesh,
        "--peer",
        f"hub@{bob.mesh}",
        "--peer",
        f"bob@[fd77::{3}]:11204",
        "--bind",
        "[::]:11204",
    )
    dave = net.node(here, "dave", "--discovery", "static,mdns", *sources).start().wait_ready()
    until(lambda: dave.linked() == {"alice", "bob", "carol"}, "dave is linked", within=20)
    until(lambda: set(dave.peers()) == {"alice", "bob", "carol"}, "bob is one", within=20)
    found = dave.peers()["bob"]
    assert found["source"] == "static,mdns"
    assert bob.mesh in found["addresses"]
    dave.stop()
    until(lambda: states(alice)["dave"] == "lost", "it has said that it goes", within=10)


def test_who_is_killed_is_lost_and_whose_cable_is_out_comes_back(net: Lan, here: Formation) -> None:
    alice, bob, carol = here.nodes
    carol.kill()
    killed = time.monotonic()
    until(lambda: states(alice)["carol"] == "backing-off", "the link is gone at once", within=5)
    host = int(bob.mesh.rpartition(":")[0].rpartition(".")[2])
    net.unplug(host)
    until(lambda: "no LAN to look on" in str(bob.get("ready")), "bob sees that he has no LAN", within=10)
    assert bob.ask("GET", "ready").status == 200
    until(lambda: states(alice)["carol"] == "lost", "she is lost", within=LOST_WITHIN - (time.monotonic() - killed))
    print(f"lost {time.monotonic() - killed:.1f} s after the kill")
    net.plug(host)
    until(lambda: "mdns" in alice.peers()["bob"]["source"], "alice hears bob again", within=10)
    until(lambda: bob.linked() == {"alice"} == {*bob.linked()}, "they are linked", within=40)
