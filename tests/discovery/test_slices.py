from fakes.endpointslices import Json, endpoint_slice, pod
from hypothesis import given
from hypothesis import strategies as st

from peatd.discovery.endpointslice import parse_endpoint_slice
from peatd.discovery.events import PeerInfo
from peatd.discovery.slices import SliceTable, merge_peers
from peatd.names import Address, NodeId


def table_of(*slices: Json) -> SliceTable:
    table = SliceTable()
    table.replace({one["metadata"]["name"]: parse_endpoint_slice(one, "peat.") for one in slices})
    return table


def addresses_of(*slices: Json) -> dict[str, list[str]]:
    return {name: [str(one) for one in peer.addresses] for name, peer in table_of(*slices).peers().items()}


def test_dual_stack_is_one_peer_with_both_addresses() -> None:
    four = endpoint_slice("mesh-4", pod("alice", "10.0.0.1"))
    six = endpoint_slice("mesh-6", pod("alice", "fd00::1"))
    assert addresses_of(six, four) == {"alice": ["10.0.0.1:11204", "[fd00::1]:11204"]}


def test_dual_stack_without_a_name_is_one_peer_by_its_uid() -> None:
    four = endpoint_slice("mesh-4", {**pod("x", "10.0.0.1"), "targetRef": {"uid": "u"}})
    six = endpoint_slice("mesh-6", {**pod("x", "fd00::1"), "targetRef": {"uid": "u"}})
    assert addresses_of(four, six) == {"10.0.0.1": ["10.0.0.1:11204", "[fd00::1]:11204"]}
    named = endpoint_slice("mesh-n", pod("alice", "fd00::1", uid="u"))
    assert addresses_of(four, named) == {"alice": ["10.0.0.1:11204", "[fd00::1]:11204"]}


def test_many_endpoints_span_slices() -> None:
    first = endpoint_slice("mesh-a", *(pod(f"pod-{n}", f"10.0.0.{n}") for n in range(100)))
    second = endpoint_slice("mesh-b", *(pod(f"pod-{n}", f"10.0.0.{n}") for n in range(100, 150)))
    assert len(table_of(first, second).peers()) == 150


def test_a_service_with_another_port_adds_no_address_to_a_pod_of_the_mesh_service() -> None:
    mesh = endpoint_slice("peat-mesh-headless-x", pod("alice", "10.0.0.1"))
    http = endpoint_slice("peat-mesh-api-x", pod("alice", "10.0.0.1"), pod("bob", "10.0.0.2"), ports=[("http", 8081)])
    assert addresses_of(http, mesh) == {"alice": ["10.0.0.1:11204"], "bob": ["10.0.0.2:8081"]}


def test_peat_comes_before_iroh_quic_across_slices_too() -> None:
    upstream = endpoint_slice("a", pod("alice", "10.0.0.1"), ports=[("iroh-quic", 11)])
    ours = endpoint_slice("b", pod("alice", "10.0.0.1"), ports=[("peat", 22)])
    assert addresses_of(upstream, ours) == {"alice": ["10.0.0.1:22"]}


def test_a_peer_is_lost_only_when_no_slice_holds_it() -> None:
    table = table_of(endpoint_slice("a", pod("alice", "10.0.0.1")), endpoint_slice("b", pod("alice", "10.0.0.1")))
    table.remove("a")
    assert list(table.peers()) == ["alice"]
    table.remove("b")
    table.remove("never-there")
    assert table.peers() == {}


def test_an_unreadable_slice_stays_as_it_was_while_it_is_listed() -> None:
    table = table_of(endpoint_slice("a", pod("alice", "10.0.0.1")), endpoint_slice("b", pod("bob", "10.0.0.2")))
    table.replace({}, unread=["a", "new"])
    assert list(table.peers()) == ["alice"]


def test_peers_of_several_sources_merge_in_order() -> None:
    one, two = Address("10.0.0.1", 1), Address("10.0.0.2", 2)
    first = PeerInfo(NodeId("alice"), (one,), None, {"a": "1"})
    second = PeerInfo(NodeId("x"), (two, one), "r", {"a": "2", "b": "3"})
    merged = merge_peers(NodeId("alice"), [first, second])
    assert merged == PeerInfo(NodeId("alice"), (one, two), "r", {"a": "1", "b": "3"})


_NAMES = st.sampled_from(["alice", "bob", "carol"])
_CONTENTS = st.builds(
    lambda pods, port: endpoint_slice("s", *(pod(name, f"10.0.0.{n}") for name, n in pods), ports=[port]),
    st.lists(st.tuples(_NAMES, st.integers(1, 4)), max_size=3),
    st.sampled_from([("peat", 11204), ("iroh-quic", 7), ("http", 8081)]),
)
_STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.none() | _CONTENTS), max_size=12)


@given(_STEPS)
def test_whatever_the_churn_the_peers_are_those_that_some_slice_holds(steps: list[tuple[str, Json | None]]) -> None:
    table, model = SliceTable(), dict[str, Json]()
    for name, content in steps:
        if content is None:
            table.remove(name)
            model.pop(name, None)
        else:
            table.put(name, parse_endpoint_slice(content, "peat."))
            model[name] = content
    peers = table.peers()
    held = [
        (endpoint["targetRef"]["name"], endpoint["addresses"][0], one["ports"][0])
        for one in model.values()
        for endpoint in one["endpoints"] or ()
    ]
    assert set(peers) == {name for name, _, _ in held}
    for node_id, peer in peers.items():
        mine = [(ip, port) for name, ip, port in held if name == node_id]
        best = min(mine, key=lambda one: ["peat", "iroh-quic", "http"].index(one[1]["name"]))[1]["name"]
        assert set(peer.addresses) == {Address(ip, port["port"]) for ip, port in mine if port["name"] == best}
