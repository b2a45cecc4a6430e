"""Probes: open to all, at the root and under /api/v1, in upstream's shapes."""

import pytest

PREFIXES = ["", "/api/v1"]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", ["/health", "/livez"])
async def test_a_healthy_node_says_so_without_credentials(node, prefix, path):
    client = await node.connect()
    async with client.stream:
        reply = await client.ask("GET", prefix + path)
    assert reply.status == 200
    assert reply.json == {"status": "healthy", "node_id": "peat-mesh-0"}


async def test_a_stuck_node_is_not_alive_and_says_what_is_stuck(node):
    node.mesh.stuck = "the store thread has not answered for 31 s"
    reply = await node.ask("GET", "/livez")
    assert reply.status == 503
    assert reply.json["status"] == "unhealthy"
    assert "store thread" in reply.json["message"]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", ["/ready", "/readyz"])
async def test_a_ready_node_lists_its_checks_in_order(node, prefix, path):
    client = await node.connect()
    async with client.stream:
        reply = await client.ask("GET", prefix + path)
    assert reply.status == 200
    assert reply.json.keys() == {"ready", "node_id", "checks"}
    assert [check["name"] for check in reply.json["checks"]] == ["identity", "store", "transport", "discovery", "drain"]
    assert all(check == {"name": check["name"], "ready": True, "message": None} for check in reply.json["checks"])


async def test_a_draining_node_is_not_ready_but_answers(node):
    node.mesh.draining = "shutting down"
    reply = await node.ask("GET", "/ready")
    assert reply.status == 503
    assert reply.json["ready"] is False
    assert reply.json["checks"][-1] == {"name": "drain", "ready": False, "message": "shutting down"}


async def test_a_probe_can_be_asked_with_head(node):
    reply = await node.ask("HEAD", "/livez")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 0
