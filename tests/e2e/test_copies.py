"""Three copies of each document in a mesh of more nodes, while nodes die."""

from pathlib import Path

from e2e.nodes import Formation, Node, until, up

NAMES = ("alice", "bob", "carol", "dave", "erin")
DOCUMENTS = [f"notes/{number}" for number in range(20)]
MADE_ANEW = 120.0
"""Seconds: a node is missed within 10, its copies after 30 more, and they settle; on two busy cores."""


def held(node: Node) -> set[str]:
    listed = node.get("documents/notes?limit=1000")["documents"]
    return {each["name"] for each in listed if each.get("held", True)}


def places(nodes: list[Node]) -> dict[str, list[str]]:
    holding = {node.name: held(node) for node in nodes}
    return {name: [node for node, documents in holding.items() if name in documents] for name in DOCUMENTS}


def are_three(nodes: list[Node]) -> bool:
    return all(len(where) == 3 for where in places(nodes).values())


def test_each_document_is_on_three_nodes_and_two_that_die_take_nothing_with_them(
    formation: Formation, tmp_path: Path
) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text('[collections.notes]\nreplicate = 3\nlinger = "5s"\n')
    nodes = formation.mesh(*NAMES, arguments=("--config", str(settings)))
    up(*nodes)
    for index, name in enumerate(DOCUMENTS):
        nodes[index % len(nodes)].write("PUT", name, {"n": index}, "?ack=replicated:2")
    until(lambda: are_three(nodes), "each document is on three nodes", within=MADE_ANEW)
    for node in nodes:
        for index, name in enumerate(DOCUMENTS):
            assert node.document(name)["n"] == index
            node.write("PATCH", name, {node.name: True})
    until(lambda: are_three(nodes), "each document is on three nodes again", within=MADE_ANEW)
    left = nodes[2:]
    for node in nodes[:2]:
        node.kill()
    for node in left:
        for index, name in enumerate(DOCUMENTS):
            expected = {"n": index} | dict.fromkeys(NAMES, True)
            until(lambda n=node, d=name, e=expected: n.document(d) == e, f"{node.name} reads {name}")  # type: ignore[misc]
    until(lambda: are_three(left), "the copies that went are made anew", within=MADE_ANEW)
