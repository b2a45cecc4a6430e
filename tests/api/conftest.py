"""A node's API, served on a free port and a unix socket; and the libraries that keep the library's rules."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import trio
from fakes.http_client import Client, Reply, connect_tcp, connect_unix
from fakes.mesh import FakeLibrary, FakeMesh
from quart_trio import QuartTrio

from peatd.api.access import Locks
from peatd.api.app import NO_DEMO, create_app
from peatd.api.connection import Limits
from peatd.api.server import serve
from peatd.byte_budget import ByteBudget
from peatd.documents import Documents
from peatd.drain import Drain
from peatd.library import Library
from peatd.local_library import LocalLibrary
from peatd.names import Address
from peatd.replication import Replication
from peatd.settings.values import DemoPage
from peatd.store import Store

TOKEN = "the-token"
CLIENT_KEY = bytes(range(32))


@dataclass
class Node:
    """A served API and what stands behind it."""

    mesh: FakeMesh
    app: QuartTrio
    tcp: Address
    unix: Path
    serving: trio.CancelScope
    stopped: trio.Event
    client_key: bytes = CLIENT_KEY

    async def connect(self) -> Client:
        return await connect_tcp(self.tcp)

    async def connect_privately(self) -> Client:
        return await connect_unix(self.unix)

    async def ask(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """By a new connection to the unix socket; the path is under /api/v1."""
        client = await self.connect_privately()
        async with client.stream:
            return await client.ask(method, f"/api/v1{path}", headers=headers, body=body)


Serve = Callable[..., AbstractAsyncContextManager[Node]]


@pytest.fixture
def serve_with(tmp_path: Path) -> Serve:
    """Serves under limits and with a demo page of the test's own; leaving the block stops it."""

    @asynccontextmanager
    async def serving(
        limits: Limits, demo: DemoPage = NO_DEMO, memory: ByteBudget | None = None
    ) -> AsyncIterator[Node]:
        mesh = FakeMesh()
        app = create_app(mesh, Locks(TOKEN, lambda: (CLIENT_KEY,)), demo)
        stopped = trio.Event()
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def run(task_status: trio.TaskStatus[Node]) -> None:
                with scope:
                    async with trio.open_nursery() as inner:
                        bounds = {"limits": limits, "memory": memory}
                        unix = tmp_path / "api.sock"
                        bound = await inner.start(partial(serve, app, tcp=Address("127.0.0.1", 0), unix=unix, **bounds))
                        task_status.started(Node(mesh, app, bound.tcp[0], bound.unix, scope, stopped))
                stopped.set()

            yield await nursery.start(run)
            scope.cancel()

    return serving


@pytest.fixture
async def node(serve_with: Serve) -> AsyncIterator[Node]:
    async with serve_with(replace(Limits(), grace=0.2)) as served:
        yield served


@asynccontextmanager
async def _fake_library(directory: Path) -> AsyncIterator[Library]:  # it has no disk
    yield FakeLibrary()


@asynccontextmanager
async def _local_library(directory: Path) -> AsyncIterator[Library]:
    """A node's own: a real store and a real engine process."""
    async with Store.open(directory) as store, trio.open_nursery() as nursery:
        documents = Documents(store)
        await nursery.start(documents.run)
        yield LocalLibrary(Replication(store, documents), Drain())
        nursery.cancel_scope.cancel()


LIBRARIES = {"fake": _fake_library, "local": _local_library}
"""Every implementation of the library's seam; each passes test_library.py."""


@pytest.fixture(params=LIBRARIES.values(), ids=LIBRARIES.keys())
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Library]:
    async with request.param(tmp_path) as opened:
        yield opened
