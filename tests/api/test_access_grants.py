"""Programs that show a client token: it opens what it names, on every node."""

import time

import pytest

from peatd.client_tokens import mint

DOCUMENT = "/api/v1/documents/notes/today"
JSON = {"Content-Type": "application/json"}


class Program:
    """Asks over TCP, with a token."""

    def __init__(self, node, *documents, may_write=False, lasts=60.0, key=None):
        self.node = node
        expires = time.time() + lasts
        documents = documents or ("notes/*",)
        self.token = mint(
            key or node.client_key, subject="alice", documents=documents, may_write=may_write, expires=expires
        )

    async def ask(self, method, path, body=b""):
        headers = {"Authorization": f"Bearer {self.token}"} | (JSON if body else {})
        client = await self.node.connect()
        async with client.stream:
            return await client.ask(method, path, headers=headers, body=body)


@pytest.fixture
async def written(node):
    assert (await node.ask("PUT", "/documents/notes/today", body=b'{"n": 1}', headers=JSON)).status == 201


async def test_a_reader_reads_what_its_token_names(node, written):
    alice = Program(node)
    reply = await alice.ask("GET", DOCUMENT)
    assert (reply.status, reply.json["document"]) == (200, {"n": 1})
    assert (await alice.ask("HEAD", DOCUMENT)).status == 200
    assert (await alice.ask("GET", f"{DOCUMENT}/updates")).status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_reader_changes_nothing(node, written, method):
    reply = await Program(node).ask(method, DOCUMENT, b"" if method == "DELETE" else b"{}")
    assert (reply.status, reply.error["code"]) == (403, "forbidden")
    assert "--write" in reply.error["hint"]
    assert (await Program(node).ask("POST", f"{DOCUMENT}/updates", b"\0\0")).status == 403
    assert (await Program(node).ask("GET", DOCUMENT)).json["document"] == {"n": 1}


async def test_a_writer_changes_what_its_token_names(node):
    alice = Program(node, may_write=True)
    assert (await alice.ask("PUT", DOCUMENT, b'{"n": 1}')).status == 201
    assert (await alice.ask("PATCH", DOCUMENT, b'{"n": 2}')).status == 200
    assert (await alice.ask("GET", DOCUMENT)).json["document"] == {"n": 2}
    assert (await alice.ask("DELETE", DOCUMENT)).status == 204


async def test_nobody_gets_at_what_the_token_does_not_name(node, written):
    alice = Program(node, "notes/tomorrow", "diary/*", may_write=True)
    for method, body in (("GET", b""), ("PUT", b"{}"), ("DELETE", b"")):
        reply = await alice.ask(method, DOCUMENT, body)
        assert reply.status == 403
        assert "notes/today" in reply.error["message"]
        assert "notes/tomorrow" in reply.error["hint"]


@pytest.mark.parametrize("path", ["/node", "/peers", "/peers/x", "/topology", "/documents", "/documents/notes", "/x"])
async def test_all_else_is_for_the_nodes_own_token(node, path):
    reply = await Program(node, "*/*", may_write=True).ask("GET", f"/api/v1{path}")
    assert reply.status == 403
    assert "api.token" in reply.error["hint"]


async def test_a_token_that_is_over_or_a_strangers_opens_nothing(node, written):
    for program in (Program(node, lasts=-1), Program(node, key=b"x" * 32)):
        reply = await program.ask("GET", DOCUMENT)
        assert (reply.status, reply.error["code"]) == (401, "unauthorized")
        assert program.token not in str(reply.json)


async def test_probes_ask_for_no_token_and_mind_none(node):
    assert (await Program(node, lasts=-1).ask("GET", "/ready")).status == 200
