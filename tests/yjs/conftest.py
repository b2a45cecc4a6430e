"""A Node process for stock clients, and three nodes of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import formation_in
from fakes.yjs import YjsClients, yjs_clients
from yjs.meshes import Mesh


@pytest.fixture(scope="session")
def node_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[YjsClients]:
    with yjs_clients(tmp_path_factory.mktemp("yjs")) as clients:
        yield clients


@pytest.fixture
def yjs(node_process: YjsClients) -> Iterator[YjsClients]:
    yield node_process
    node_process.destroy()
    node_process.forget()


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with formation_in(tmp_path) as formation, Mesh(formation) as mesh:
        yield mesh
