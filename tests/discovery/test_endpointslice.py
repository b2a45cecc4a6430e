import copy
import json

import pytest
from fakes.endpointslices import Json, endpoint_slice, pod
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import V1EndpointSlice

from peatd.discovery.endpointslice import extract_peers_from_endpoint_slice
from peatd.discovery.events import PeerInfo
from peatd.errors import DiscoveryError, MalformedSlice
from peatd.names import Address, NodeId


def extract(endpoint_slice: object) -> list[PeerInfo]:
    return extract_peers_from_endpoint_slice(endpoint_slice)


def ports_of(*ports: tuple[str | None, int | None]) -> set[int]:
    item = endpoint_slice("a", pod("alice", "10.0.0.1"), ports=list(ports))
    return {address.port for peer in extract(item) for address in peer.addresses}


def test_an_endpoint_is_a_peer_named_after_its_pod() -> None:
    annotations = {"peat.formation": "alpha", "peat.relay_url": "https://relay", "other.io/x": "y"}
    item = endpoint_slice("a", pod("pod-alpha", "10.0.0.1"), ports=[(None, 8080)], annotations=annotations)
    assert extract(item) == [
        PeerInfo(NodeId("pod-alpha"), (Address("10.0.0.1", 8080),), "https://relay", {"formation": "alpha"})
    ]


def test_annotations_belong_to_every_endpoint_of_the_slice() -> None:
    item = endpoint_slice("a", pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), annotations={"peat.role": "edge"})
    assert [peer.metadata for peer in extract(item)] == [{"role": "edge"}, {"role": "edge"}]


def test_another_prefix_reads_other_annotations() -> None:
    item = endpoint_slice("a", pod("a", "10.0.0.1"), annotations={"peat.role": "edge", "mesh.role": "hub"})
    [peer] = extract_peers_from_endpoint_slice(item, "mesh.")
    assert peer.metadata == {"role": "hub"}


def test_an_endpoint_without_a_target_is_named_after_its_first_address_ip_or_not() -> None:
    item = endpoint_slice("a", pod(None, "10.0.0.1"), pod(None, "host.example", "10.0.0.2"))
    assert [peer.node_id for peer in extract(item)] == ["10.0.0.1", "host.example"]


def test_only_addresses_that_are_ips_count_and_an_endpoint_without_one_is_skipped() -> None:
    item = endpoint_slice(
        "a",
        pod("none"),
        pod("name-only", "host.example"),
        pod("odd", "010.0.0.1", "fe80::1%eth0", "10.0.0.256", ""),
        pod("both", "10.0.0.1", "host.example", "fd00::0:1"),
    )
    assert extract(item) == [PeerInfo(NodeId("both"), (Address("10.0.0.1", 11204), Address("fd00::1", 11204)))]


def test_the_port_named_peat_comes_before_iroh_quic_before_the_first_before_8080() -> None:
    assert ports_of(("http", 8081), ("iroh-quic", 11), ("peat", 22)) == {22}
    assert ports_of(("http", 8081), ("iroh-quic", 11)) == {11}
    assert ports_of(("http", 8081), ("other", 11)) == {8081}
    assert ports_of((None, 9090)) == {9090}
    assert ports_of() == {8080}


def test_a_port_without_a_number_is_8080_if_it_is_the_first_and_passed_over_if_named() -> None:
    assert ports_of(("http", None), ("other", 9090)) == {8080}
    assert ports_of(("http", 8081), ("peat", None)) == {8081}
    assert ports_of(("peat", None), ("iroh-quic", 11)) == {11}


@pytest.mark.parametrize("conditions", [{"ready": False}, {"ready": None}, {"ready": False, "terminating": True}])
def test_unready_and_terminating_endpoints_are_peers(conditions: dict[str, bool | None]) -> None:
    assert len(extract(endpoint_slice("a", pod("a", "10.0.0.1", **conditions)))) == 1


@pytest.mark.parametrize(
    "item", [{}, {"endpoints": None, "ports": None}, {"endpoints": [], "metadata": None}, endpoint_slice("a")]
)
def test_a_service_without_pods_has_no_peers(item: Json) -> None:
    assert extract(item) == []


def test_the_clients_model_reads_as_its_json_does() -> None:
    item = endpoint_slice("a", pod("alice", "10.0.0.1", uid="u"), annotations={"peat.relay_url": "r", "peat.x": "1"})
    assert extract(V1EndpointSlice.from_dict(copy.deepcopy(item))) == extract(item) != []


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        "x",
        object(),
        {"endpoints": {}},
        {"endpoints": [None]},
        {"endpoints": ["10.0.0.1"]},
        {"endpoints": [{"addresses": "10.0.0.1"}]},
        {"endpoints": [{"addresses": [1]}]},
        {"endpoints": [{"addresses": ["10.0.0.1"], "targetRef": "pod"}]},
        {"endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"name": 1}}]},
        {"ports": [{"port": "80"}]},
        {"ports": [{"port": True}]},
        {"ports": [{"port": 70000}]},
        {"ports": [{"port": -1}]},
        {"metadata": {"annotations": ["peat.x"]}},
        {"metadata": {"annotations": {"peat.x": 1}}},
    ],
)
def test_what_is_not_a_slice_is_a_value_error(item: object) -> None:
    with pytest.raises(MalformedSlice) as caught:
        extract(item)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DiscoveryError)


_KEYS = st.sampled_from(
    ["metadata", "annotations", "peat.x", "endpoints", "addresses", "targetRef", "name", "uid", "ports", "port"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("10.0.0.1")
_ANYTHING = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4))


@given(_ANYTHING)
def test_whatever_comes_is_peers_or_the_one_documented_error(item: object) -> None:
    try:
        peers = extract(item)
    except MalformedSlice:
        return
    assert all(peer.addresses for peer in peers)


def reference(item: Json) -> list[tuple[str, list[str], str | None, dict[str, str]]]:
    """Upstream's function as it stands in Rust, said again in Python, for slices without a named port."""
    peers = []
    ports = item["ports"]
    port = ports[0]["port"] if ports and ports[0]["port"] is not None else 8080
    for endpoint in item["endpoints"] or []:
        if not endpoint["addresses"]:
            continue
        node_id = endpoint.get("targetRef", {}).get("name", endpoint["addresses"][0])
        addresses = [f"{ip}:{port}" for ip in endpoint["addresses"] if ip.startswith("10.")]
        if not addresses:
            continue
        annotations = item["metadata"].get("annotations", {})
        metadata = {key[len("peat.") :]: value for key, value in annotations.items() if key.startswith("peat.")}
        relay_url = metadata.pop("relay_url", None)
        peers.append((node_id, addresses, relay_url, metadata))
    return peers


_PODS = st.builds(
    pod, st.none() | st.sampled_from("abc"), *[st.sampled_from(["10.0.0.1", "10.0.0.2", "host"])], ready=st.booleans()
)
_SLICES = st.builds(
    lambda pods, port, annotations: endpoint_slice("s", *pods, ports=port, annotations=annotations),
    st.lists(_PODS, max_size=4),
    st.lists(st.tuples(st.sampled_from([None, "http"]), st.none() | st.integers(1, 65535)), max_size=2),
    st.dictionaries(st.sampled_from(["peat.relay_url", "peat.x", "peat.", "x"]), st.text(max_size=4)),
)


@given(_SLICES)
def test_without_a_named_port_the_answers_are_upstreams(item: Json) -> None:
    ours = [
        (peer.node_id, [str(address) for address in peer.addresses], peer.relay_url, dict(peer.metadata))
        for peer in extract(json.loads(json.dumps(item)))
    ]
    assert ours == reference(item)
