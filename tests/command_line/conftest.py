"""`peat` in tidy surroundings, and a node to talk to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.node_api import FakeNode, serve
from run_peat import Peat, PeatProcess


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """What `peat` sees: nothing of a peatd on this machine, if there is one."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return kept | {"HOME": str(tmp_path), "HOSTNAME": "peat-mesh-7", "PYTHONWARNINGS": "error", "LC_ALL": "C.UTF-8"}


@pytest.fixture
def peat(environ: dict[str, str]) -> Peat:
    return Peat(environ)


@pytest.fixture
def peat_process(environ: dict[str, str]) -> PeatProcess:
    return PeatProcess(environ)


@pytest.fixture
def node(tmp_path: Path, environ: dict[str, str]) -> Iterator[FakeNode]:
    """A node whose data directory `peat` is told of."""
    directory = tmp_path / "node"
    directory.mkdir()
    environ["PEAT_DATA_DIR"] = str(directory)
    with serve(FakeNode(), directory) as served:
        yield served
