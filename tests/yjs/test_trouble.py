"""Stock clients of both kinds edit text, maps, arrays, XML and what is nested in them, at nodes that are killed,
restarted, cut off and robbed of their engines; in the end all have the same, and it is what the API tells.

PEAT_YJS_SEEDS says for how many seeds; each engine's mesh and a mixed one are tried with each.
"""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.nodes import Node, formation_in, until, wait_linked
from fakes.yjs import YjsClients
from yjs.meshes import Mesh, open_clients, wait_converged, wait_synced

SEEDS = range(int(os.environ.get("PEAT_YJS_SEEDS") or 1))
ENGINES = {
    "y-py": ("y-py", "y-py", "y-py"),
    "pycrdt": ("pycrdt", "pycrdt", "pycrdt"),
    "mixed": ("y-py", "pycrdt", "y-py"),
}
CLIENTS = 6
ROUNDS = 6
EDITS = 15


@contextmanager
def killed(_mesh: Mesh, node: Node) -> Iterator[None]:
    node.kill()
    yield
    node.start().wait_ready()


@contextmanager
def restarted(_mesh: Mesh, node: Node) -> Iterator[None]:
    node.stop()
    yield
    node.start().wait_ready()


@contextmanager
def without_engine(_mesh: Mesh, node: Node) -> Iterator[None]:
    for pid in node.engine_pids():
        os.kill(pid, signal.SIGKILL)
    yield


@contextmanager
def with_a_stopped_engine(_mesh: Mesh, node: Node) -> Iterator[None]:
    """It is replaced, a moment later."""
    for pid in node.engine_pids():
        os.kill(pid, signal.SIGSTOP)
    yield


@contextmanager
def cut_off(mesh: Mesh, node: Node) -> Iterator[None]:
    mesh.cut_off(node)
    yield
    mesh.mend(node)


TROUBLES = (killed, restarted, without_engine, with_a_stopped_engine, cut_off)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engines", ENGINES)
def test_clients_of_both_kinds_converge_whatever_happens_to_their_nodes(
    yjs: YjsClients, tmp_path: Path, engines: str, seed: int
) -> None:
    name, chance = f"notes/random-{seed}", random.Random(f"{engines} {seed}")
    troubles = [*TROUBLES, *chance.choices(TROUBLES, k=ROUNDS - len(TROUBLES))]
    chance.shuffle(troubles)
    with formation_in(tmp_path) as formation, Mesh(formation, engines=ENGINES[engines]) as mesh:
        docs = open_clients(yjs, mesh, name, CLIENTS)
        wait_synced(yjs, docs)
        for trouble in troubles:
            edit(yjs, docs, chance)
            with trouble(mesh, chance.choice(mesh.nodes)):
                edit(yjs, docs, chance)
                yjs.provider(chance.choice(docs), "cut")
                edit(yjs, docs, chance)
        wait_linked(*mesh.nodes)
        wait_synced(yjs, docs)
        wait_converged(yjs, mesh, docs, name)
        until(lambda: all(yjs.status(doc)["unsynced"] == 0 for doc in docs), "Hocuspocus clients know it is stored")
        late = len(docs)
        yjs.open(late, random.getrandbits(32))
        yjs.connect(late, "y-websocket", mesh.urls[0], name)
        wait_converged(yjs, mesh, [*docs, late], name)


def edit(yjs: YjsClients, docs: list[int], chance: random.Random) -> None:
    for doc in docs:
        yjs.edit(doc, chance.getrandbits(31), EDITS)
