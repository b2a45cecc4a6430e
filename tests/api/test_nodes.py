"""This node, its peers and the topology, in the shapes of the interface contract; and what is not there."""

import pytest


async def test_the_node_tells_of_itself(node):
    await node.ask("PUT", "/documents/a/b", body=b"{}")
    reply = await node.ask("GET", "/node")
    assert reply.json == {
        "node_id": "peat-mesh-0",
        "device_id": "00" * 16,
        "public_key": "11" * 32,
        "formation": "peat",
        "uptime_secs": 12,
        "version": "0.1.0",
        "addresses": {"api": "127.0.0.1:8081", "mesh": "0.0.0.0:11204", "clients": None},
        "documents": 1,
        "digest": f"{1:032x}",
        "secrets": list(node.mesh.secrets),
        "relays": [
            {"url": "https://relay.example.org", "state": "registered", "since_secs": 12.0, "error": None},
        ],
    }


async def test_peers_are_counted_and_can_be_found_by_either_id(node):
    listed = (await node.ask("GET", "/peers")).json
    assert listed["count"] == 1
    (peer,) = listed["peers"]
    assert peer == {
        "id": "peat-mesh-1",
        "device_id": "22" * 16,
        "connected": True,
        "state": "linked",
        "rtt_ms": 0.4,
        "source": "kubernetes",
        "addresses": ["10.0.0.2:11204"],
        "relay_url": None,
        "metadata": {"zone": "west"},
        "last_seen_secs": 1.5,
        "last_sync_secs": None,
        "owed_documents": 0,
        "error": None,
        "secrets": None,
        "revoked": False,
        "via": "direct",
    }
    for name in ("peat-mesh-1", "22" * 16):
        assert (await node.ask("GET", f"/peers/{name}")).json == peer


@pytest.mark.parametrize("name", ["peat-mesh-9", "10.0.0.9:11204", "%5B::1%5D:11204"])
async def test_a_peer_that_nobody_knows_is_404(node, name):
    reply = await node.ask("GET", f"/peers/{name}")
    assert (reply.status, reply.error["code"]) == (404, "no_such_peer")


async def test_the_topology_names_its_links(node):
    assert (await node.ask("GET", "/topology")).json == {
        "peer_count": 1,
        "role": "peer",
        "hierarchy_level": 0,
        "links": [{"from": "peat-mesh-0", "to": "peat-mesh-1", "rtt_ms": 0.4}],
        "members": [
            {"id": "peat-mesh-0", "device_id": "11" * 16, "state": "self", "unreachable_secs": None},
            {"id": "peat-mesh-1", "device_id": "22" * 16, "state": "reachable", "unreachable_secs": None},
        ],
    }


@pytest.mark.parametrize(
    "path",
    ["", "/", "/nodes", "/node/", "//node", "/documents/a/b/c", "/documents/a%2Fb/c/d", "/events/", "/é"],
)
async def test_an_unknown_route_is_404_in_the_one_shape(node, path):
    reply = await node.ask("GET", path.replace("é", "%C3%A9"))
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert reply.error["message"] == f"there is no route {f'/api/v1{path}'.replace('%2F', '/')!r}"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/node"), ("DELETE", "/peers"), ("PUT", "/documents"), ("TRACE", "/ready"), ("X", "/node")],
)
async def test_an_unknown_method_is_405_and_names_the_known(node, method, path):
    reply = await node.ask(method, path)
    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert "GET" in reply.headers["allow"]


async def test_every_answer_is_of_this_moment(node):
    for path in ("/node", "/nothing"):
        reply = await node.ask("GET", path)
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "server" not in reply.headers
