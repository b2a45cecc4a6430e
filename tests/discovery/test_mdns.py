"""Nodes on one LAN find each other."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from fakes.lan import OTHER_SECRET, SECRET, FakeLan, Switch, interface, ourselves
from structlog.testing import capture_logs
from trio.testing import MockClock

from peatd.discovery.dnssd import Notice, notice_packet
from peatd.discovery.events import DiscoveryEvent, PeerFound, PeerInfo, PeerLost, PeerUpdated
from peatd.discovery.mdns import MdnsDiscovery
from peatd.discovery.neighbours import MAX_UNPROVEN
from peatd.discovery.notice_proof import prove
from peatd.discovery.ourselves import Ourselves
from peatd.errors import DiscoveryError
from peatd.names import Address, DeviceId, NodeId

FOUND_WITHIN, LOST_WITHIN = 3.0, 30.0


class Node:
    """One on the LAN; `ourselves` may be changed."""

    def __init__(self, switch: Switch, name: str, *hosts: str, secrets: tuple[bytes, ...] = (SECRET,)) -> None:
        self.lan: FakeLan = switch.machine(*hosts)
        self.ourselves: Ourselves = ourselves(name, *secrets, bound="::")
        self.discovery = MdnsDiscovery(lambda: self.ourselves, self.lan)
        self.events: list[DiscoveryEvent] = []
        self.scope = trio.CancelScope()

    def knows(self) -> dict[str, list[str]]:
        return {
            peer.node_id: [address.host for address in peer.addresses] for peer in self.discovery.discovered_peers()
        }

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                await nursery.start(self.discovery.start)
                task_status.started()

    async def _listen(self) -> None:
        async for event in self.discovery.event_stream():
            self.events.append(event)


@pytest.fixture
def switch() -> Switch:
    return Switch()


@asynccontextmanager
async def up(*nodes: Node) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as nursery:
        for node in nodes:
            await nursery.start(node.run)
        yield nursery
        nursery.cancel_scope.cancel()


async def test_three_find_each_other_soon(autojump_clock: MockClock, switch: Switch) -> None:
    names = ("alice", "bob", "carol")
    nodes = [Node(switch, name, f"10.0.0.{n}/24", f"fd00::{n}/64") for n, name in enumerate(names, 1)]
    async with up(*nodes):
        await trio.sleep(FOUND_WITHIN)
        assert [set(node.knows()) for node in nodes] == [set(names) - {name} for name in names]
        assert nodes[0].knows()["bob"] == ["10.0.0.2", "fd00::2"]
        await trio.sleep(600)
        assert [len(node.events) for node in nodes] == [2, 2, 2], "that they are there still is no news"
        assert all(node.discovery.status().message is None for node in nodes)


async def test_who_dies_without_a_word_is_lost(autojump_clock: MockClock, switch: Switch) -> None:
    alice, bob = Node(switch, "alice", "10.0.0.1/24"), Node(switch, "bob", "10.0.0.2/24")
    async with up(alice, bob):
        await trio.sleep(60)
        bob.lan.fault = OSError(errno.EPERM, "dead")  # his farewell does not come out either
        bob.scope.cancel()
        await trio.sleep(LOST_WITHIN)
        assert isinstance(alice.events[0], PeerFound)
        assert alice.events[1:] == [PeerLost(NodeId("bob"))]


async def test_who_stops_says_so(autojump_clock: MockClock, switch: Switch) -> None:
    alice, bob = Node(switch, "alice", "10.0.0.1/24"), Node(switch, "bob", "10.0.0.2/24")
    async with up(alice, bob):
        await trio.sleep(60)
        bob.discovery.stop()
        await trio.sleep(3)
        assert alice.knows() == {}
        assert bob.lan.joined == []


async def test_two_formations_on_one_lan_do_not_hear_of_each_other(autojump_clock: MockClock, switch: Switch) -> None:
    nodes = [
        Node(switch, name, f"10.0.0.{n}/24", secrets=(secret,))
        for n, (name, secret) in enumerate(
            [("alice", SECRET), ("bob", SECRET), ("alice", OTHER_SECRET), ("bob", OTHER_SECRET)], 1
        )
    ]
    async with up(*nodes):
        await trio.sleep(60)
        assert [node.knows() for node in nodes] == [
            {"bob": ["10.0.0.2"]},
            {"alice": ["10.0.0.1"]},
            {"bob": ["10.0.0.4"]},
            {"alice": ["10.0.0.3"]},
        ]
        assert all(node.discovery.status().message is None for node in nodes), "they may have the same names"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [((SECRET,), (SECRET, OTHER_SECRET)), ((SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET))],
)
async def test_while_a_secret_is_rotated_all_find_each_other(
    autojump_clock: MockClock, switch: Switch, ours: tuple[bytes, ...], theirs: tuple[bytes, ...]
) -> None:
    alice = Node(switch, "alice", "10.0.0.1/24", secrets=ours)
    bob = Node(switch, "bob", "10.0.0.2/24", secrets=theirs)
    async with up(alice, bob):
        await trio.sleep(FOUND_WITHIN)
        assert (set(alice.knows()), set(bob.knows())) == ({"bob"}, {"alice"})


async def test_who_goes_over_to_another_key_stays_known(autojump_clock: MockClock, switch: Switch) -> None:
    alice = Node(switch, "alice", "10.0.0.1/24", secrets=(OTHER_SECRET, SECRET))
    bob = Node(switch, "bob", "10.0.0.2/24")
    async with up(alice, bob):
        await trio.sleep(10)
        bob.ourselves = ourselves("bob", OTHER_SECRET)
        await trio.sleep(60)
        assert alice.knows() == {"bob": ["10.0.0.2"]}
        assert [type(event) for event in alice.events] == [PeerFound]


async def test_another_address_is_known_soon_and_the_old_one_no_more(autojump_clock: MockClock, switch: Switch) -> None:
    alice, bob = Node(switch, "alice", "10.0.0.1/24"), Node(switch, "bob", "10.0.0.2/24")
    async with up(alice, bob):
        await trio.sleep(60)
        bob.lan.present = [interface("10.0.0.9/24")]
        await trio.sleep(5)
        assert set(alice.knows()["bob"]) == {"10.0.0.2", "10.0.0.9"}
        await trio.sleep(LOST_WITHIN)
        assert alice.knows() == {"bob": ["10.0.0.9"]}
        assert [type(event) for event in alice.events] == [PeerFound, PeerUpdated, PeerUpdated]


async def test_an_interface_may_come_and_go(autojump_clock: MockClock, switch: Switch) -> None:
    alice, bob = Node(switch, "alice"), Node(switch, "bob", "10.0.0.2/24")
    alice.lan.present = []
    async with up(alice, bob):
        await trio.sleep(10)
        assert alice.knows() == {}
        assert alice.discovery.status().ready
        assert alice.discovery.status().message == "there is no LAN to look on"
        for _ in range(3):
            alice.lan.present = [interface("10.0.0.1/24")]
            await trio.sleep(5)
            assert (set(alice.knows()), set(bob.knows())) == ({"bob"}, {"alice"})
            alice.lan.present = []
            await trio.sleep(LOST_WITHIN)
            assert (alice.knows(), bob.knows(), alice.lan.joined) == ({}, {}, [])


async def test_a_network_that_cannot_be_used_is_told_and_tried_again(autojump_clock: MockClock, switch: Switch) -> None:
    alice, bob = Node(switch, "alice", "10.0.0.1/24"), Node(switch, "bob", "10.0.0.2/24")
    alice.lan.fault = OSError(errno.EPERM, "Operation not permitted")
    async with up(alice, bob):
        await trio.sleep(10)
        assert "eth0 (IPv4): Operation not permitted" in str(alice.discovery.status().message)
        alice.lan.fault = None
        await trio.sleep(5)
        assert set(alice.knows()) == {"bob"}
        alice.lan.fault = OSError(errno.ENETDOWN, "Network is down")
        await trio.sleep(60)
        assert "eth0 (IPv4): cannot send: Network is down" in str(alice.discovery.status().message)
        alice.lan.fault = None
        await trio.sleep(60)
        assert alice.discovery.status().message is None


async def test_a_machine_on_two_lans_is_one_peer_with_an_address_on_each(
    autojump_clock: MockClock, switch: Switch
) -> None:
    alice, bob = Node(switch, "alice"), Node(switch, "bob")
    alice.lan.present = [interface("10.0.0.1/24"), interface("10.1.0.1/24", name="eth1", index=3)]
    bob.lan.present = [interface("10.0.0.2/24"), interface("10.1.0.2/24", name="eth1", index=3)]
    async with up(alice, bob):
        await trio.sleep(FOUND_WITHIN)
        assert {name: set(hosts) for name, hosts in alice.knows().items()} == {"bob": {"10.0.0.2", "10.1.0.2"}}
        bob.lan.present.pop()
        await trio.sleep(LOST_WITHIN)
        assert alice.knows() == {"bob": ["10.0.0.2"]}


async def test_who_listens_where_no_lan_reaches_it_finds_and_is_not_found(
    autojump_clock: MockClock, switch: Switch
) -> None:
    alice, bob = Node(switch, "alice", "10.0.0.1/24"), Node(switch, "bob", "10.0.0.2/24")
    alice.ourselves = ourselves("alice", bound="127.0.0.1")
    async with up(alice, bob):
        await trio.sleep(10)
        assert (set(alice.knows()), bob.knows()) == ({"bob"}, {})
        assert "the mesh listens on 127.0.0.1" in str(alice.discovery.status().message)


async def test_two_nodes_of_one_name_are_told_of_each_other_and_both_are_found(
    autojump_clock: MockClock, switch: Switch
) -> None:
    one, other, bob = (Node(switch, name, f"10.0.0.{n}/24") for n, name in enumerate(("alice", "alice", "bob"), 1))
    with capture_logs() as logs:
        async with up(one, other, bob):
            await trio.sleep(120)
            assert set(bob.knows()["alice"]) == {"10.0.0.1", "10.0.0.2"}
            assert one.discovery.status().message == "another node is announced by this node's id, at 10.0.0.2:11204"
            told = [entry for entry in logs if entry["event"] == "two nodes with one node id"]
            assert sorted(entry["addresses"] for entry in told) == [["10.0.0.1:11204"], ["10.0.0.2:11204"]]
            other.discovery.stop()
            await trio.sleep(LOST_WITHIN)
            assert one.discovery.status().message is None


async def test_what_is_not_proven_takes_no_room_from_who_is_there(autojump_clock: MockClock, switch: Switch) -> None:
    """All hear the hashes. A newcomer is found as soon as ever; old news may be said again by anybody."""
    alice, bob = Node(switch, "alice", "10.0.0.1/24"), Node(switch, "bob", "10.0.0.2/24")
    ours = alice.ourselves
    device = DeviceId("ee" * 16)
    async with up(alice) as nursery:
        for n in range(900):
            ghost = Notice(f"g{n}", NodeId(f"g{n}"), device, 11204, ours.hashes, (f"10.0.0.{n % 250}",))
            switch.carry(notice_packet(ghost, 120))
            switch.carry(notice_packet(prove(ghost, ourselves("eve", OTHER_SECRET).keys), 120))
        await trio.sleep(1)
        assert 0 < len(alice.knows()) <= MAX_UNPROVEN
        assert "no room for more nodes" in str(alice.discovery.status().message)
        await nursery.start(bob.run)
        await trio.sleep(FOUND_WITHIN)
        assert "bob" in alice.knows()
        assert set(bob.knows()) == {"alice"}


async def test_who_is_registered_by_hand_need_not_prove_it(autojump_clock: MockClock, switch: Switch) -> None:
    alice = Node(switch, "alice", "10.0.0.1/24")
    async with up(alice):
        hashes = alice.ourselves.hashes
        switch.carry(
            notice_packet(Notice("c", NodeId("carol"), DeviceId("cc" * 16), 11204, hashes, ("10.0.0.3",)), 120)
        )
        await trio.sleep(1)
        assert alice.knows() == {"carol": ["10.0.0.3"]}


async def test_what_members_say_stands_beside_what_is_true(autojump_clock: MockClock, switch: Switch) -> None:
    alice, bob = Node(switch, "alice", "10.0.0.1/24"), Node(switch, "bob", "10.0.0.2/24")
    ours = alice.ourselves
    device = DeviceId("ee" * 16)

    def said(name: str, host: str, label: str | None = None) -> Notice:
        return prove(Notice(label or name, NodeId(name), device, 11204, ours.hashes, (host,)), ours.keys)

    ghosts = [said(f"g{n}", f"10.0.0.{n % 250}") for n in range(900)]
    lie, far = said("bob", "10.0.0.66", label="lie"), said("far", "198.51.100.7")
    async with up(alice, bob):
        await trio.sleep(10)
        switch.carry(notice_packet(lie, 25))
        switch.carry(notice_packet(far, 25))
        switch.carry(b"nonsense")
        for ghost in ghosts:
            switch.carry(notice_packet(ghost, 25))
        await trio.sleep(1)
        assert set(alice.knows()["bob"]) == {"10.0.0.2", "10.0.0.66"}
        assert "far" not in alice.knows()
        assert len(alice.knows()) < 260
        assert "no room for more nodes" in str(alice.discovery.status().message)
        await trio.sleep(LOST_WITHIN)
        assert alice.knows() == {"bob": ["10.0.0.2"]}
        await trio.sleep(60)
        assert alice.discovery.status().message is None


async def test_a_name_that_no_record_holds_is_refused(switch: Switch) -> None:
    node = Node(switch, "n" * 248, "10.0.0.1/24")
    with pytest.raises(DiscoveryError, match="248 characters: 247 are the most"):
        await node.discovery.start()


async def test_its_events_say_where(autojump_clock: MockClock, switch: Switch) -> None:
    alice, bob = Node(switch, "alice", "10.0.0.1/24"), Node(switch, "bob", "10.0.0.2/24")
    async with up(alice, bob):
        await trio.sleep(FOUND_WITHIN)
        assert alice.events == [PeerFound(PeerInfo(NodeId("bob"), (Address("10.0.0.2", 11204),)))]
