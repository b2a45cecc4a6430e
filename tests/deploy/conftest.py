"""A cluster for rendered releases to run in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.chart import Json
from deploy.kubelet import Cluster
from fakes.apiserver import FakeApiServer
from fakes.certificates import Authority
from fakes.ports import free_address


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    authority = Authority(tmp_path)
    with FakeApiServer(authority.server_context()) as server:
        made = Cluster(server, authority, tmp_path)
        yield made
        made.end()


@pytest.fixture
def ports() -> Json:
    """Values with ports that nothing here listens on: all pods of a test share them, as in a cluster."""
    mesh, api, clients = (int(free_address().rpartition(":")[2]) for _ in range(3))
    return {"mesh": {"port": mesh}, "api": {"port": api}, "clients": {"port": clients}, "drainDelay": 0}
