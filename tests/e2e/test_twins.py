"""Two nodes that go by one node id: both say so, the newcomer stays out, and nobody else loses a link."""

from e2e.nodes import Formation, Node, until, up, wait_equal

EVENT = "two nodes with one node id"


def is_told(node: Node, peer: str) -> bool:
    """Whether its view of that peer says what is wrong."""
    return "node id" in (node.peers()[peer]["error"] or "")


def links_ended(node: Node) -> int:
    return node.log().count("peer unlinked")


def test_a_twin_is_named_by_all_and_takes_nothing_from_the_first(formation: Formation) -> None:
    alice, carol, twin = formation.mesh("alice", "carol", "alice")
    known_as = {alice.mesh: "first", carol.mesh: "carol", twin.mesh: "second"}
    for node in (alice, carol, twin):
        others = [f"{name}@{address}" for address, name in known_as.items() if address != node.mesh]
        own = [word for word in node.arguments if "@" not in word and word != "--peer"]
        node.arguments = [*own, *(word for other in others for word in ("--peer", other))]
    nodes = alice, carol
    up(*nodes)
    device_id = carol.peers()["alice"]["device_id"]
    twin.start().wait_ready()

    until(lambda: twin.has_logged(EVENT), "the newcomer says so")
    until(lambda: alice.has_logged(EVENT), "the first one says so")
    until(lambda: carol.has_logged(EVENT), "and so does the third")
    until(lambda: is_told(twin, "carol") and is_told(twin, "first"), "its peers show why")
    until(lambda: is_told(alice, "second") and is_told(carol, "second"), "and so do those of the others")
    until(lambda: {peer["state"] for peer in twin.peers().values()} == {"backing-off"}, "the newcomer backs off")
    assert alice.linked() == {"carol"}
    assert carol.linked() == {"alice"}
    assert carol.peers()["alice"]["device_id"] == device_id
    assert links_ended(alice) == links_ended(carol) == 0
    assert twin.ask("GET", "ready").status == 200, "alone, and ready all the same"

    # All back off, half of the longest pause at least: it is heard of a few times, not in a loop.
    alice.write("PUT", "twins/a", {"n": 1}, "?ack=replicated:1")
    wait_equal(nodes, "twins/a")
    assert max(node.log().count(EVENT) for node in (*nodes, twin)) <= 6


def test_a_twin_with_a_key_of_its_own_is_one_too(formation: Formation) -> None:
    alice, carol = formation.mesh("alice", "carol")
    up(alice, carol)
    key = formation.directory / "key"
    key.write_bytes(b"another key, of thirty-two bytes")
    key.chmod(0o600)
    twin = formation.node("alice", "--key-file", str(key), peers=[f"carol@{carol.mesh}"]).start().wait_ready()
    until(lambda: is_told(twin, "carol"), "it shows why")
    until(lambda: carol.has_logged(EVENT), "the other says so")
    assert carol.linked() == {"alice"}
    assert links_ended(carol) == 0


def test_a_node_that_dials_itself_keeps_quiet_about_it(formation: Formation) -> None:
    alice = formation.node("alice")
    alice.arguments = [*alice.arguments, "--peer", alice.mesh]
    alice.start().wait_ready()
    until(lambda: alice.peers() == {}, "it is no peer of its own")
    assert not alice.has_logged(EVENT)
