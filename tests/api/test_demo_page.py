"""`/demo`: a page that everyone may load, and that may connect to the listed nodes and to nobody else."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from api.conftest import Node, Serve

from peatd.api.connection import Limits
from peatd.names import Address, StaticPeer
from peatd.page import BUILT, read_page
from peatd.settings.values import DemoPage

LIMITS = replace(Limits(), grace=0.2)
LISTED = DemoPage(True, (StaticPeer("alice", Address("10.0.0.1", 8082)), StaticPeer(None, Address("::1", 8083))))


@pytest.fixture
async def node(serve_with: Serve) -> AsyncIterator[Node]:
    async with serve_with(LIMITS, LISTED) as served:
        yield served


async def get(node: Node, path: str, **headers: str):
    client = await node.connect()
    async with client.stream:
        return await client.ask("GET", path, headers=headers)


def policy(reply) -> dict[str, list[str]]:
    parts = (part.split() for part in reply.headers["content-security-policy"].split(";"))
    return {name: values for name, *values in parts}


async def test_it_is_off_unless_it_is_switched_on(serve_with: Serve) -> None:
    async with serve_with(LIMITS) as node:
        for path in ("/demo", "/demo/", "/demo/nodes.json", f"/demo/{next(iter(read_page().files))}"):
            assert (await get(node, path)).status == 401, "as any other route that is not there"
            assert (await node.ask("GET", f"/../..{path}")).status == 404


async def test_everyone_gets_the_page_and_all_that_it_loads(node: Node) -> None:
    moved = await get(node, "/demo")
    assert (moved.status, moved.headers["location"]) == (308, "demo/")
    page = await get(node, "/demo/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loaded = re.findall(r'(?:src|href)="\./([^"]+)"', page.body.decode())
    assert {name.rpartition(".")[2] for name in loaded} == {"js", "css", "svg"}
    for name in loaded:
        file = await get(node, f"/demo/{name}")
        assert (file.status, file.body) == (200, (BUILT / name).read_bytes())
        assert "immutable" in file.headers["cache-control"]
        assert file.headers["x-content-type-options"] == "nosniff"


async def test_the_notices_of_what_is_bundled_come_with_it(node: Node) -> None:
    notices = await get(node, "/demo/licences.md")
    for package in ("yjs", "y-websocket", "lib0", "@codemirror/view", "@lezer/markdown", "style-mod"):
        assert f"## {package} " in notices.body.decode()


async def test_the_page_may_connect_to_the_listed_nodes_and_to_nobody_else(node: Node) -> None:
    allowed = policy(await get(node, "/demo/"))
    assert allowed["default-src"] == ["'none'"]
    assert allowed["script-src"] == ["'self'"]
    assert allowed["connect-src"] == ["'self'", "ws://10.0.0.1:8082", "ws://[::1]:8083"]
    assert allowed["frame-ancestors"] == allowed["form-action"] == allowed["base-uri"] == ["'none'"]


async def test_each_answer_has_a_nonce_of_its_own_for_the_editors_styles(node: Node) -> None:
    nonces = set()
    for _ in range(2):
        page = await get(node, "/demo/")
        (nonce,) = re.findall(r'name="csp-nonce" content="([^"]{16,})"', page.body.decode())
        assert policy(page)["style-src"] == ["'self'", f"'nonce-{nonce}'"]
        assert page.headers["cache-control"] == "no-store"
        nonces.add(nonce)
    assert len(nonces) == 2


async def test_the_page_is_told_the_nodes(node: Node) -> None:
    told = json.loads((await get(node, "/demo/nodes.json")).body)
    assert told == {
        "nodes": [{"name": "alice", "clients": "10.0.0.1:8082"}, {"name": "[::1]:8083", "clients": "[::1]:8083"}],
        "is_demo": False,
    }


@pytest.mark.parametrize(
    ("host", "clients"),
    [
        ("peat.example:8081", "peat.example:8082"),
        ("[::1]", "[::1]:8082"),
        ("evil.example;script-src", "127.0.0.1:8082"),
        ("a b", "127.0.0.1:8082"),
    ],
)
async def test_without_a_list_it_connects_to_this_node_by_the_name_that_it_was_asked_by(
    serve_with: Serve, host: str, clients: str
) -> None:
    async with serve_with(LIMITS, DemoPage(is_on=True)) as node:
        node.mesh.clients = "127.0.0.1:8082"
        told = json.loads((await get(node, "/demo/nodes.json", Host=host)).body)
        assert told["nodes"] == [{"name": node.mesh.node_id, "clients": clients}]
        assert policy(await get(node, "/demo/", Host=host))["connect-src"] == ["'self'", f"ws://{clients}"]


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "__init__.py", "..%2f__init__.py", "a/b"])
async def test_there_is_nothing_else(node: Node, name: str) -> None:
    client = await node.connect_privately()
    async with client.stream:
        assert (await client.ask("GET", f"/demo/{name}")).status == 404
