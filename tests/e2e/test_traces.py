"""Two who type into one text, each on a node of its own, through the routes of raw updates.

A small recording is in tests/vectors. PEAT_TRACE_DIR names a directory of others, in the same format: whoever has
friendsforever and its like, gzipped, can run them too.
"""

import os
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
import y_py
from e2e.nodes import Formation, Node, until, up, wait_equal
from e2e.traces import ROOT, Author, Trace, read_trace, replay

RECORDED = Path(__file__).parent.parent / "vectors" / "two_authors.json.gz"
OTHERS = sorted(Path(os.environ.get("PEAT_TRACE_DIR") or os.devnull).glob("*.json.gz"))

_BATCH = 20
"""Transactions of a large recording that an author tells its node at once."""


def text_of(node: Node, document: str) -> str | None:
    return node.get(f"documents/{document}").get("roots", {}).get(ROOT)


def type_on(nodes: list[Node], trace: Trace, document: str, *, batch: int) -> list[Author]:
    """Replays a trace, its authors on the first nodes; they end with the text that all nodes end with."""
    nodes[0].write("PUT", f"{document}", {}, f"?ack=replicated:{len(nodes) - 1}")
    authors = [Author(agent, nodes[agent], document, batch=batch) for agent in range(trace.agents)]
    replay(trace, authors)
    until(lambda: all(text_of(node, document) == trace.end for node in nodes), "all nodes have the text", within=120)
    wait_equal(nodes, document)
    assert [author.pull() for author in authors] == [trace.end] * len(authors)
    for author in authors:
        author.close()
    return authors


@pytest.fixture
def nodes(formation: Formation) -> list[Node]:
    made = formation.mesh("alice", "bob", "carol")
    up(*made)
    return made


@pytest.mark.parametrize("path", [RECORDED, *OTHERS], ids=lambda path: path.name.partition(".")[0])
def test_authors_end_with_one_text_on_every_node_and_after_a_restart_of_all(nodes: list[Node], path: Path) -> None:
    trace = read_trace(path)
    type_on(nodes, trace, "notes/a", batch=1 if path == RECORDED else _BATCH)
    for node in nodes:
        node.stop()
    up(*nodes)
    assert [text_of(node, "notes/a") for node in nodes] == [trace.end] * 3
    wait_equal(nodes, "notes/a")
    for node in nodes:  # a new reader gets it from any
        reader = y_py.YDoc()
        y_py.apply_update(reader, node.ask("GET", "documents/notes/a/updates").body)
        assert str(reader.get_text(ROOT)) == trace.end


def test_an_update_that_builds_on_what_a_node_lacks_changes_nothing(three: list[Node]) -> None:
    alice = three[0]
    doc = y_py.YDoc(client_id=7)
    text = doc.get_text(ROOT)
    with doc.begin_transaction() as transaction:
        text.extend(transaction, "first ")
    known = y_py.encode_state_vector(doc)
    with doc.begin_transaction() as transaction:
        text.extend(transaction, "second")
    second = bytes(y_py.encode_state_as_update(doc, known))
    alice.write("PUT", "early/a", {"n": 1})
    etag = alice.ask("GET", "documents/early/a").etag
    refused = alice.ask("POST", "documents/early/a/updates", second)
    assert (refused.status, refused.json["error"]["code"]) == (409, "missing_updates")
    assert alice.ask("GET", "documents/early/a").etag == etag
    vector = urlsafe_b64decode(refused.json["state_vector"] + "===")
    whole = bytes(y_py.encode_state_as_update(doc, vector))
    assert alice.ask("POST", "documents/early/a/updates?ack=replicated:2", whole).status == 200
    assert [text_of(node, "early/a") for node in three] == ["first second"] * 3
    assert [node.document("early/a") for node in three] == [{"n": 1}] * 3
