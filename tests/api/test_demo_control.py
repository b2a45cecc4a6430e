"""What `peatd --demo` serves: the page, and control over its nodes, for this machine only."""

import json
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest
import trio
from fakes.http_client import Client, Reply, connect_tcp

from peatd.api.demo_control import create_demo_app
from peatd.api.demo_page import DemoLink, DemoNode
from peatd.api.server import serve
from peatd.names import Address


class FakeStage:
    """Two nodes that do as they are told."""

    names: Sequence[str] = ("alice", "bob")

    def __init__(self) -> None:
        self.running = set(self.names)

    async def look(self) -> Sequence[DemoNode]:
        links = [DemoLink("bob", 0.5)] if len(self.running) == 2 else []
        return [DemoNode(name, "127.0.0.1:1", name in self.running, links) for name in self.names]

    async def ask(self, name: str, path: str) -> tuple[int, bytes]:
        return (200, json.dumps({"asked": path}).encode()) if name in self.running else (503, b'{"error": {}}')

    async def kill(self, name: str) -> None:
        self.running.discard(name)

    async def start(self, name: str) -> None:
        self.running.add(name)


@pytest.fixture
def stage() -> FakeStage:
    return FakeStage()


@pytest.fixture
async def client(stage: FakeStage, nursery: trio.Nursery) -> AsyncIterator[Client]:
    app = create_demo_app(stage)
    bound = await nursery.start(partial(serve, app, tcp=Address("127.0.0.1", 0), unix=None))
    connected = await connect_tcp(bound.tcp[0])
    async with connected.stream:
        yield connected
    nursery.cancel_scope.cancel()


def value(reply: Reply):
    assert reply.status == 200, reply
    return json.loads(reply.body)


async def test_the_page_is_there_and_the_root_leads_to_it(client: Client) -> None:
    moved = await client.ask("GET", "/")
    assert (moved.status, moved.headers["location"]) == (307, "/demo/")
    page = await client.ask("GET", "/demo/")
    assert page.status == 200
    assert "ws://127.0.0.1:1" in page.headers["content-security-policy"]


async def test_it_tells_which_nodes_run_and_whom_they_are_linked_to(client: Client) -> None:
    told = value(await client.ask("GET", "/demo/nodes.json"))
    assert told["is_demo"] is True
    assert told["nodes"][0] == {
        "name": "alice",
        "clients": "127.0.0.1:1",
        "running": True,
        "links": [{"to": "bob", "rtt_ms": 0.5}],
    }


async def test_a_node_is_killed_and_started_again(client: Client, stage: FakeStage) -> None:
    assert (await client.ask("POST", "/demo/nodes/bob/kill")).status == 204
    assert stage.running == {"alice"}
    assert (await client.ask("POST", "/demo/nodes/bob/start")).status == 204
    assert stage.running == {"alice", "bob"}


async def test_a_node_is_asked_for_a_document(client: Client, stage: FakeStage) -> None:
    path = "/demo/nodes/alice/documents/notes/a"
    assert value(await client.ask("GET", path)) == {"status": 200, "body": {"asked": "/api/v1/documents/notes/a"}}
    strange = value(await client.ask("GET", "/demo/nodes/alice/documents/a%3Fb/%0d%0ac"))
    assert strange["body"] == {"asked": "/api/v1/documents/a%3Fb/%0D%0Ac"}, "as it was asked"
    stage.running.clear()
    assert value(await client.ask("GET", path))["status"] == 503


@pytest.mark.parametrize("path", ["kill", "start", "documents/a/b"])
async def test_there_are_no_other_nodes(client: Client, path: str) -> None:
    method = "GET" if "/" in path else "POST"
    assert (await client.ask(method, f"/demo/nodes/carol/{path}")).status == 404


async def test_a_link_that_is_followed_kills_nobody(client: Client, stage: FakeStage) -> None:
    assert (await client.ask("GET", "/demo/nodes/bob/kill")).status == 405
    assert stage.running == {"alice", "bob"}


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
async def test_pages_of_others_and_rebound_names_are_refused(client: Client, stage: FakeStage, headers) -> None:
    assert (await client.ask("POST", "/demo/nodes/bob/kill", headers=headers)).status == 403
    assert (await client.ask("GET", "/demo/nodes.json", headers=headers)).status == 403
    assert stage.running == {"alice", "bob"}
