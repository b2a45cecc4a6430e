"""Nodes on a LAN, with real multicast: they need their secret, and nothing else."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.lan import Lan, lan
from e2e.nodes import PATIENCE, Formation, Node, formation_in, until, wait_equal, wait_linked

from peatd.discovery.dnssd import Notice, farewell_packet, notice_packet
from peatd.discovery.neighbours import MAX_UNPROVEN
from peatd.discovery.notice_proof import prove
from peatd.formation import Formation as Secrets
from peatd.formation import parse_formation_secret
from peatd.names import DeviceId, NodeId

FOUND_WITHIN, LOST_WITHIN = 3.0, 30.0
BUSY = 5
"""So many times as long things may take beside other tests; `--long` has the machine to itself."""


@pytest.fixture(scope="module")
def net() -> Iterator[Lan]:
    with lan() as made:
        yield made


@dataclass(frozen=True)
class Scene:
    """Three nodes, which were started together with nothing but the secret; of which one was killed in the end."""

    formation: Formation
    alice: Node
    bob: Node
    carol: Node
    linked_after: float
    """Seconds, since the last of them was ready."""
    killed_at: float


@pytest.fixture(scope="module")
def here(net: Lan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with formation_in(tmp_path_factory.mktemp("here")) as formation:
        alice, bob, carol = nodes = [net.node(formation, name).start() for name in ("alice", "bob", "carol")]
        for node in nodes:
            node.wait_ready()
        up = time.monotonic()
        wait_linked(*nodes)
        linked_after = time.monotonic() - up
        until(lambda: {peer["source"] for peer in alice.peers().values()} == {"mdns"}, "all are heard")
        alice.write("PUT", "notes/a", {"n": 1}, "?ack=replicated:2")
        wait_equal(nodes, "notes/a")
        carol.kill()
        yield Scene(formation, alice, bob, carol, linked_after, time.monotonic())


def has_failed(node: Node, peer: str) -> bool:
    """Whether it has dialled in vain; that is logged, too, and stays when the peer is forgotten."""
    return any(event["event"] == "cannot link" and event["peer"] == peer for event in node.events())


def states(node: Node) -> dict[str, str]:
    return {name: peer["state"] for name, peer in node.peers().items()}


def test_three_with_nothing_but_the_secret_find_each_other_soon(here: Scene, *, is_long: bool) -> None:
    print(f"linked {here.linked_after:.2f} s after the last was ready")
    assert here.linked_after < FOUND_WITHIN * (1 if is_long else BUSY)
    assert here.alice.peers()["bob"]["addresses"] == [here.bob.mesh]
    metrics = here.alice.ask("GET", "metrics").body.decode()
    assert 'peat_discovery_peers{source="mdns"}' in metrics
    assert 'peat_discovery_fresh{source="mdns"} 1' in metrics


def test_another_formation_on_the_lan_is_not_heard_of(net: Lan, here: Scene, tmp_path: Path) -> None:
    """Not even by nodes of the same names."""
    with formation_in(tmp_path) as there:
        alice, bob = (net.node(there, name).start().wait_ready() for name in ("alice", "bob"))
        until(lambda: (alice.linked(), bob.linked()) == ({"bob"}, {"alice"}), "they are linked")
        assert set(alice.peers()) == {"bob"}
        for node in [*here.formation.nodes, *there.nodes]:
            assert not node.has_logged("handshake failed")
            assert not node.has_logged("two nodes with one node id")
        alice.stop()
        bob.stop()


def test_what_is_not_true_costs_a_failed_dial(net: Lan, here: Scene) -> None:
    """Of strangers a few are tried: they know the hash, as all on the LAN do, and not the secret."""
    alice, bob = here.alice, here.bob
    secrets = Secrets("peat", parse_formation_secret(here.formation.secret_file.read_text(), "secret"))
    device = DeviceId("ee" * 16)

    def lie(name: str, host: str, *, is_members: bool = True) -> bytes:
        notice = Notice(f"lie-{name}", NodeId(name), device, 11204, secrets.discovery_hashes, (host,))
        return notice_packet(prove(notice, secrets.notice_keys) if is_members else notice, 10)

    bobs = DeviceId(bob.get("node")["device_id"])
    net.say(1, b"junk", *(lie(f"stranger{n}", net.address(200), is_members=False) for n in range(100)))
    until(lambda: any(name.startswith("stranger") for name in alice.peers()), "alice has heard of strangers")
    erin = net.node(here.formation, "erin").start().wait_ready()
    until(lambda: erin.linked() >= {"alice", "bob"}, "a newcomer is linked as soon as ever", within=FOUND_WITHIN * BUSY)
    erin.stop()
    net.say(1, *(lie(f"ghost{n}", net.address(200)) for n in range(3)))
    net.say(1, lie("bob", net.address(201)), lie("mallory", net.address(3)), farewell_packet(f"{bobs}-00000000"))
    until(lambda: "ghost0" in alice.peers(), "alice has heard it")
    until(lambda: has_failed(alice, "ghost0"), "alice has tried")
    assert sum(name.startswith("stranger") for name in alice.peers()) <= MAX_UNPROVEN
    assert alice.linked() >= {"bob"}
    alice.write("PATCH", "notes/a", {"n": 2}, "?ack=replicated:1")
    until(lambda: not any(name.startswith("ghost") for name in alice.peers()), "it is forgotten")
    assert not any(event["event"] == "peer unlinked" and event["peer"] == "bob" for event in alice.events())


def test_a_peer_by_several_names_and_sources_is_one(net: Lan, here: Scene) -> None:
    alice, bob = here.alice, here.bob
    names = (bob.mesh, f"hub@{bob.mesh}", "bob@[fd77::3]:11204")
    sources = ("--bind", "[::]:11204", *(word for name in names for word in ("--peer", name)))
    dave = net.node(here.formation, "dave", "--discovery", "static,mdns", *sources).start().wait_ready()
    until(lambda: dave.linked() == {"alice", "bob"}, "dave is linked")
    until(lambda: set(dave.peers()) == {"alice", "bob"}, "bob is one")
    until(lambda: dave.peers()["bob"]["source"] == "static,mdns", "both sources know him")
    assert bob.mesh in dave.peers()["bob"]["addresses"]
    assert not any(node.has_logged("handshake failed") for node in (alice, bob)), "none complains of a second dial"
    dave.stop()
    until(lambda: states(alice)["dave"] == "lost", "it has said that it goes", within=LOST_WITHIN / 2)


def test_who_was_killed_is_lost(here: Scene, *, is_long: bool) -> None:
    left = (LOST_WITHIN if is_long else PATIENCE) - (time.monotonic() - here.killed_at)
    assert states(here.alice)["carol"] != "linked"
    # Lost for a moment: then she is one of the members that are out of reach, who are dialled again and again.
    until(lambda: "mdns" not in here.alice.peers()["carol"]["source"], "she is lost", within=max(left, 1.0))


def test_whose_cable_was_out_is_found_again(net: Lan, here: Scene) -> None:
    alice, bob = here.alice, here.bob
    host = int(bob.mesh.rpartition(":")[0].rpartition(".")[2])
    net.unplug(host)
    until(lambda: "no LAN to look on" in bob.ask("GET", "ready").body.decode(), "bob sees that")
    assert bob.ask("GET", "ready").status == 200
    net.plug(host)
    until(lambda: "mdns" in bob.peers()["alice"]["source"], "bob hears alice again")
    alice.write("PATCH", "notes/a", {"back": 1}, "?ack=replicated:1&timeout=60")
