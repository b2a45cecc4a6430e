"""Stock clients on real nodes: npm's y-websocket and Hocuspocus providers under Node, and `peatd` as processes.

PEAT_TRACE_DIR names a directory of recordings besides the small one of ours (tests/e2e/test_traces.py).
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.nodes import PATIENCE, formation_in, until, up
from e2e.traces import read_trace
from fakes.ports import free_address
from fakes.yjs import YjsClients
from yjs.meshes import KINDS, NAMES, Mesh, open_clients, seen_by_api, seen_by_clients, wait_converged, wait_synced

RECORDED = Path(__file__).parent.parent / "vectors" / "two_authors.json.gz"
SLOWEST = 1000
"""Updates a second, that go from one client to another of another node on a busy machine."""
SOON = 20.0
"""Seconds: less than the thirty after which others forget who is silent."""
OTHERS = sorted(Path(os.environ.get("PEAT_TRACE_DIR") or os.devnull).glob("*.json.gz"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", [RECORDED, *OTHERS], ids=lambda path: path.name.partition(".")[0])
def test_recorded_authors_type_as_stock_clients_on_nodes_of_their_own(
    yjs: YjsClients, mesh: Mesh, path: Path, kind: str
) -> None:
    trace = read_trace(path)
    docs = list(range(max(trace.agents, 2)))
    for doc in docs:
        yjs.open(doc, random.getrandbits(32))
        yjs.connect(doc, kind, mesh.urls[doc % 2], "notes/trace")
    wait_synced(yjs, docs)
    yjs.replay(path, docs[: trace.agents])
    patience = PATIENCE + len(trace.transactions) / SLOWEST
    until(lambda: all(yjs.text(doc) == trace.end for doc in docs), "all clients have the text", within=patience)
    for node in mesh.nodes:
        until(lambda node=node: node.get("documents/notes/trace")["roots"]["text"] == trace.end, "the API has it")  # type: ignore[misc]


def test_awareness_goes_round_and_a_killed_nodes_clients_go_with_it(yjs: YjsClients, mesh: Mesh) -> None:
    docs = open_clients(yjs, mesh, "notes/aware", count=3)
    wait_synced(yjs, docs)
    for doc in docs:
        yjs.show(doc, {"name": NAMES[doc]})

    def names(doc: int) -> set[str]:
        return {state.get("name", "") for state in yjs.company(doc).values()}

    until(lambda: all(names(doc) == set(NAMES) for doc in docs), "everybody sees everybody")
    yjs.provider(docs[1], "disconnect")
    until(lambda: names(docs[0]) == names(docs[2]) == {"alice", "carol"}, "who leaves is gone", within=SOON)
    yjs.provider(docs[1], "connect")
    until(lambda: all(names(doc) == set(NAMES) for doc in docs), "who is back is seen", within=SOON)
    mesh.nodes[2].kill()
    until(lambda: names(docs[0]) == {"alice", "bob"}, "a killed node takes its clients along", within=SOON)
    mesh.nodes[2].start().wait_ready()
    until(lambda: all(names(doc) == set(NAMES) for doc in docs), "all are back")


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_holds_what_it_cannot_place_takes_part_all_the_same(
    yjs: YjsClients, mesh: Mesh, kind: str
) -> None:
    author, holder, name = 0, 1, "notes/gap"
    for doc in (author, holder):
        yjs.open(doc, random.getrandbits(32))
    first, _lost, third, *_ = yjs.edit(author, 5, 20)
    yjs.apply(holder, first)
    yjs.apply(holder, third, is_placed=False)
    yjs.connect(holder, kind, mesh.urls[0], name)
    wait_synced(yjs, [holder])
    yjs.edit(holder, 6, 5)
    until(lambda: seen_by_api(mesh.nodes[1], name) == seen_by_clients(yjs, holder)[:2], "what it made itself is shared")
    assert yjs.status(holder)["closes"] == []
    yjs.connect(author, kind, mesh.urls[2], name)
    wait_converged(yjs, mesh, [author, holder], name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_document_does_not_come_back_from_clients(yjs: YjsClients, mesh: Mesh, kind: str) -> None:
    name = "notes/gone"
    for doc in (0, 1, 2):
        yjs.open(doc, random.getrandbits(32))
        yjs.connect(doc, kind, mesh.urls[doc], name)
    wait_synced(yjs, [0, 1, 2])
    yjs.edit(0, 1, 30)
    wait_converged(yjs, mesh, [0, 1, 2], name)
    yjs.provider(2, "disconnect")
    mesh.nodes[0].write("DELETE", name)
    for doc in (0, 1):
        until(lambda doc=doc: any("deleted" in reason for _, reason in yjs.status(doc)["closes"]), "clients are told")  # type: ignore[misc]
    yjs.edit(2, 2, 30)  # in ignorance
    yjs.provider(2, "connect")
    until(lambda: any("deleted" in reason for _, reason in yjs.status(2)["closes"]), "who was away is told")
    for node in mesh.nodes:
        assert node.ask("GET", f"documents/{name}").status == 404
    for node in mesh.nodes:
        node.stop()
    up(*mesh.nodes)
    yjs.provider(0, "connect")
    yjs.open(3, random.getrandbits(32))
    yjs.connect(3, kind, mesh.urls[1], name)
    wait_synced(yjs, [3])
    yjs.edit(3, 3, 10)
    wait_converged(yjs, mesh, [3], name)


def mint(*arguments: str) -> str:
    peat = Path(sys.executable).with_name("peat")
    command = [peat, "token", "mint", "--subject", "alice", "--documents", "notes/*", "--ttl", "1h", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_tokens_are_minted_by_peat_and_read_only_is_read_only(yjs: YjsClients, tmp_path: Path) -> None:
    with formation_in(tmp_path) as formation:
        node = formation.node("alice")
        address = free_address()
        node.arguments = [*node.arguments, "--clients", address.replace("127.0.0.1", "0.0.0.0")]
        up(node)
        url, name = f"ws://{address}", "notes/secret"
        key = ["--seed-file", str(formation.secret_file)]
        write, read = mint("--write", *key), mint(*key)
        for doc, kind, token in ((0, "y-websocket", write), (1, "hocuspocus", write), (2, "y-websocket", read)):
            yjs.open(doc, random.getrandbits(32))
            yjs.connect(doc, kind, url, name, token)
        for doc, kind in ((3, "y-websocket"), (4, "hocuspocus")):
            yjs.open(doc, random.getrandbits(32))
            yjs.connect(doc, kind, url, name)
        wait_synced(yjs, [0, 1, 2])
        yjs.edit(0, 1, 20)
        until(lambda: seen_by_clients(yjs, 0) == seen_by_clients(yjs, 1) == seen_by_clients(yjs, 2), "tokens let in")
        yjs.edit(2, 2, 5)
        until(lambda: any("no token" in reason for _, reason in yjs.status(4)["closes"]), "without one nobody gets in")
        assert not yjs.status(3)["synced"]
        yjs.edit(1, 3, 20)
        until(lambda: yjs.status(1)["unsynced"] == 0, "stored")
        assert seen_by_api(node, name) != seen_by_clients(yjs, 2)[:2]
        until(lambda: seen_by_api(node, name) == seen_by_clients(yjs, 1)[:2], "the reader's change is nowhere")


def test_when_a_node_stops_its_clients_are_sent_elsewhere(yjs: YjsClients, mesh: Mesh) -> None:
    docs = open_clients(yjs, mesh, "notes/stop", count=2)
    wait_synced(yjs, docs)
    mesh.nodes[0].send_signal(signal.SIGTERM)
    mesh.nodes[0].wait_stopped()
    until(lambda: [1012, "this node stops: connect to another"] in yjs.status(0)["closes"], "the client is told")
