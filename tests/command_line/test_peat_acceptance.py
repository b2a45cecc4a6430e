"""What `peat` relies on, held against the node that these tests fake and against the real API alike."""

import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
from fakes.mesh import FakeMesh
from fakes.node_api import FakeNode, peer, serve
from run_peat import PROGRAM, Ended, PeatProcess

from peatd.api import custody_views, topology_views, views
from peatd.api.access import Locks
from peatd.api.app import create_app
from peatd.api.server import serve as serve_api
from peatd.names import Address

TOKEN = "the-token"

Ask = Callable[..., Awaitable[Ended]]


@pytest.fixture
def directory(tmp_path: Path, environ: dict[str, str]) -> Path:
    place = tmp_path / "node"
    place.mkdir()
    environ["PEAT_DATA_DIR"] = str(place)
    return place


@asynccontextmanager
async def fake(directory: Path) -> AsyncIterator[str]:
    node = FakeNode(token=TOKEN, peers=[peer("peat-mesh-1")])
    node.links = [{"from": "peat-mesh-0", "to": "peat-mesh-1", "rtt_ms": 0.4}]
    with serve(node, directory):
        yield node.url


@asynccontextmanager
async def real(directory: Path) -> AsyncIterator[str]:
    api = create_app(FakeMesh(), Locks(TOKEN, tuple))
    async with trio.open_nursery() as nursery:
        start = partial(serve_api, api, tcp=Address("127.0.0.1", 0), unix=directory / "api.sock")
        bound = await nursery.start(start)
        yield f"http://{bound.tcp[0]}"
        nursery.cancel_scope.cancel()


@pytest.fixture(params=[fake, real], ids=["fake", "real"])
async def url(request: pytest.FixtureRequest, directory: Path) -> AsyncIterator[str]:
    async with request.param(directory) as served:
        yield served


@pytest.fixture
async def ask(peat_process: PeatProcess, url: str) -> Ask:
    assert url

    def run(*arguments: str) -> Awaitable[Ended]:
        return trio.to_thread.run_sync(partial(peat_process, *arguments))

    return run


async def test_ready_by_socket_and_by_tcp_without_a_token(ask: Ask, url: str) -> None:
    for where in ((), ("--wait", "0"), ("--api", url)):
        ended = await ask("ready", *where)
        assert (ended.code, ended.out, ended.err) == (0, "ready\n", "")


SHAPES = {
    "ready": views.ReadyView,
    "node": views.NodeView,
    "peers": views.PeersView,
    "topology": topology_views.TopologyView,
    "secret status": custody_views.SecretsView,
    "node revoke --list": custody_views.RevocationsView,
}


@pytest.mark.parametrize("verb", SHAPES)
async def test_the_shapes_are_the_apis(ask: Ask, verb: str) -> None:
    body = (await ask(*verb.split(), "--json")).out
    assert json.loads(body).keys() == msgspec.to_builtins(msgspec.json.decode(body, type=SHAPES[verb])).keys()
    text = await ask(*verb.split())
    assert (text.code, text.err) == (0, "")
    assert text.out


async def test_the_life_of_a_document(ask: Ask) -> None:
    made = await ask("docs", "put", "notes/a", '{"title": "x", "n": 1}')
    assert (made.code, made.out) == (0, "created notes/a, incarnation 1, durable\n")
    changed = await ask("docs", "patch", "notes/a", '{"n": null}', "--ack", "applied", "--timeout", "5")
    assert (changed.code, changed.out) == (0, "changed notes/a, incarnation 1, applied\n")
    read = await ask("docs", "get", "notes/a")
    assert (read.code, json.loads(read.out)) == (0, {"title": "x"})
    listed = await ask("docs", "list", "notes")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["NAME", "notes/a"]
    gone = await ask("docs", "delete", "notes/a")
    assert (gone.code, gone.out) == (0, "deleted notes/a\n")
    assert (await ask("docs", "get", "notes/a")).code == 1


async def test_a_version_guards_a_change(ask: Ask) -> None:
    await ask("docs", "put", "notes/a", '{"n": 1}')
    told = re.search(r"version (\S+);", (await ask("docs", "get", "notes/a", "--etag")).err)
    assert told is not None
    bare = told[1].strip('"')
    assert (await ask("docs", "patch", "notes/a", '{"n": 2}', "--if-match", bare)).code == 0
    late = await ask("docs", "patch", "notes/a", '{"n": 3}', "--if-match", told[1])
    assert late.code == 1
    assert "someone changed it" in late.err


async def test_a_rung_that_is_not_reached(ask: Ask) -> None:
    ended = await ask("docs", "put", "notes/a", "{}", "--ack", "replicated:5", "--timeout", "0.1")
    assert (ended.code, ended.out) == (4, "")
    assert "(reached: durable)" in ended.err


async def test_who_watches_is_told_of_writes(ask: Ask, environ: dict[str, str]) -> None:
    command = [*PROGRAM, "docs", "watch", "notes/a"]
    watching = await trio.lowlevel.open_process(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with watching.stdout, watching.stderr:
        assert b"there is no document" in await watching.stderr.receive_some()
        await ask("docs", "put", "tasks/a", "{}")
        await ask("docs", "put", "notes/a", "{}")
        assert await watching.stderr.receive_some() == b"peat: created notes/a, incarnation 1, here\n"
        await ask("docs", "delete", "notes/a")
        assert (await watching.stderr.receive_some()).startswith(b"peat: deleted notes/a, incarnation 1, here\n")
        watching.send_signal(signal.SIGINT)
        assert await watching.wait() == 130
        assert await watching.stdout.receive_some() == b"{}\n"


async def test_pages_follow_each_other(ask: Ask) -> None:
    for name in ("notes/a", "notes/b", "tasks/a"):
        await ask("docs", "put", name, "{}")
    listed = await ask("docs", "list", "--after", "notes/a")
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == ["notes/b", "tasks/a"]


async def test_the_steps_of_a_rotation(ask: Ask, tmp_path: Path) -> None:
    new = str(tmp_path / "new")
    await ask("secret", "new", "--out", new)
    (name,) = (await ask("secret", "fingerprint", "--seed-file", new)).out.splitlines()
    early = await ask("secret", "rotate", "--step", "use", "--fingerprint", name)
    assert (early.code, early.out) == (1, "")
    assert "`install` comes first" in early.err
    for step in ("install", "use", "remove"):
        ended = await ask("secret", "rotate", "--step", step, "--secret-file", new)
        assert (ended.code, ended.out) == (0, ""), ended.err
    assert json.loads((await ask("secret", "status", "--json")).out)["secrets"] == [name]


async def test_a_key_is_revoked(ask: Ask) -> None:
    assert (await ask("node", "revoke", "ee" * 16)).out == f"revoked {'ee' * 16}\n"
    assert (await ask("node", "revoke", "ee" * 16)).out == f"{'ee' * 16} was revoked\n"
    assert (await ask("node", "revoke", "--list")).out.split()[6:8] == ["ee" * 16, "2026-01-01T00:00:00Z"]


async def test_tcp_wants_the_token(ask: Ask, url: str, directory: Path) -> None:
    refused = await ask("peers", "--api", url)
    assert refused.code == 1
    assert "--token-file" in refused.err
    (directory / "api.token").write_text(f"{TOKEN}\n")
    assert (await ask("peers", "--api", url)).code == 0
