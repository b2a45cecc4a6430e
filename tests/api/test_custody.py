"""Secrets and revoked keys over HTTP: what an operator may do, from where, and what is said of it."""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from api.conftest import TOKEN, Node
from fakes.custody import NEW
from fakes.http_client import connect_tcp
from fakes.mesh import FakeMesh

from peatd.api.access import Locks
from peatd.api.app import create_app
from peatd.api.server import serve
from peatd.formation import Formation
from peatd.names import Address

(NEW_NAME,) = Formation("peat", (NEW,)).fingerprints
NEW_TEXT = base64.b64encode(NEW).decode()
EVE = "ee" * 16


async def post(node: Node, path: str, body: Any) -> Any:
    return await node.ask("POST", path, body=json.dumps(body).encode())


async def test_the_walk(node: Node) -> None:
    (old,) = node.mesh.secrets
    before = (await node.ask("GET", "/secrets")).json
    assert before == {
        "formation": "peat",
        "secrets": [old],
        "source": "/data/formation-secret",
        "fixed": None,
        "failure": None,
    }
    for body, secrets in (
        ({"step": "install", "secret": NEW_TEXT}, [old, NEW_NAME]),
        ({"step": "use", "fingerprint": NEW_NAME}, [NEW_NAME, old]),
        ({"step": "remove", "fingerprint": NEW_NAME}, [NEW_NAME]),
    ):
        reply = await post(node, "/secrets", body)
        assert (reply.status, reply.json["secrets"]) == (200, secrets)
        assert NEW_TEXT not in reply.body.decode()


async def test_no_peer_is_left_behind_unless_that_is_meant(node: Node) -> None:
    await post(node, "/secrets", {"step": "install", "secret": NEW_TEXT})
    await post(node, "/secrets", {"step": "use", "fingerprint": NEW_NAME})
    node.mesh.custody.behind = ["peat-mesh-1"]
    remove = {"step": "remove", "fingerprint": NEW_NAME}
    refused = await post(node, "/secrets", remove)
    assert (refused.status, refused.json["error"]["code"]) == (409, "rotation_refused")
    assert "peat-mesh-1" in refused.json["error"]["message"]
    assert (await post(node, "/secrets", {**remove, "force": True})).status == 200


async def test_a_secret_that_is_not_ours_to_change(node: Node) -> None:
    node.mesh.custody.fixed = "it is mounted by Kubernetes: change the Secret"
    refused = await post(node, "/secrets", {"step": "install", "secret": NEW_TEXT})
    assert (refused.status, refused.json["error"]["code"]) == (409, "secret_fixed")
    assert "change the Secret" in refused.json["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"step": "instal", "secret": NEW_TEXT},
        {"step": "install"},
        {"step": "install", "secret": NEW_TEXT, "force": True},
        {"step": "install", "secret": 7},
        {"step": "install", "secret": ""},
        {"step": "install", "secret": "hunter2-hunter2-hunter2"},
        {"step": "install", "secret": NEW_TEXT[:12]},
        {"step": "install", "secret": f"{NEW_TEXT}\n{base64.b64encode(bytes(32)).decode()}"},
        {"step": "use", "fingerprint": None},
        {"step": "remove", "fingerprint": NEW_NAME, "force": "yes"},
    ],
)
async def test_what_is_no_step_is_400_and_tells_no_secret(node: Node, body: Any) -> None:
    reply = await post(node, "/secrets", body)
    assert reply.status == 400
    assert NEW_TEXT[:12] not in reply.body.decode()
    assert "hunter2" not in reply.body.decode()
    assert len(node.mesh.secrets) == 1


async def test_over_tcp_it_is_for_the_node_s_own_token(node: Node) -> None:
    for path, method in (("/secrets", "GET"), ("/secrets", "POST"), ("/revocations", "GET"), ("/revocations", "POST")):
        client = await node.connect()
        async with client.stream:
            assert (await client.ask(method, f"/api/v1{path}", body=b"{}")).status == 401


async def test_on_loopback_the_token_suffices(node: Node) -> None:
    assert isinstance(node.tcp, Address)
    client = await node.connect()
    async with client.stream:
        body = json.dumps({"step": "install", "secret": NEW_TEXT}).encode()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await client.ask("POST", "/api/v1/secrets", headers=headers, body=body)).status == 200


async def test_over_a_network_no_secret_comes_in(tmp_path: Path) -> None:
    """The API has no TLS of its own; whoever holds the node's token uses its socket."""
    mesh = FakeMesh()
    async with trio.open_nursery() as nursery:
        app = create_app(mesh, Locks(TOKEN, tuple))
        bound = await nursery.start(partial(serve, app, tcp=Address("0.0.0.0", 0), unix=tmp_path / "api.sock"))
        client = await connect_tcp(Address("127.0.0.1", bound.tcp[0].port))
        async with client.stream:
            body = json.dumps({"step": "install", "secret": NEW_TEXT}).encode()
            headers = {"Authorization": f"Bearer {TOKEN}"}
            refused = await client.ask("POST", "/api/v1/secrets", headers=headers, body=body)
            assert (refused.status, refused.json["error"]["code"]) == (403, "forbidden")
            assert (await client.ask("GET", "/api/v1/secrets", headers=headers)).status == 200
        nursery.cancel_scope.cancel()
    assert len(mesh.secrets) == 1


async def test_a_key_is_revoked_once_and_listed(node: Node) -> None:
    assert (await node.ask("GET", "/revocations")).json == {"revocations": [], "count": 0}
    first = await post(node, "/revocations", {"device_id": EVE})
    again = await post(node, "/revocations", {"device_id": EVE})
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json == {"device_id": EVE, "revoked_at": 1_767_225_600, "issuer": "00" * 16}
    assert (await node.ask("GET", "/revocations")).json == {"revocations": [first.json], "count": 1}


@pytest.mark.parametrize(
    "body",
    [{}, [], {"device_id": 7}, {"device_id": ""}, {"device_id": "EE" * 16}, {"device_id": EVE + "0"}, {"id": EVE}],
)
async def test_what_is_no_device_id_is_400(node: Node, body: Any) -> None:
    assert (await post(node, "/revocations", body)).status == 400
    assert (await node.ask("GET", "/revocations")).json["count"] == 0


async def test_a_node_does_not_revoke_itself(node: Node) -> None:
    refused = await post(node, "/revocations", {"device_id": node.mesh.device_id})
    assert (refused.status, refused.json["error"]["code"]) == (409, "own_key")
