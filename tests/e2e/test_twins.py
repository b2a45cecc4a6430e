"""Two nodes that go by one node id: both say so, the newcomer stays out, and nobody else loses a link."""

from e2e.nodes import Formation, Node, until, up, wait_equal

EVENT = "two nodes with one node id"


def links_ended(node: Node) -> int:
    return node.log().count("peer unlinked")


def test_a_twin_is_named_by_all_and_takes_nothing_from_the_first(formation: Formation) -> None:
    nodes = alice, carol = formation.mesh("alice", "carol")
    up(*nodes)
    device_id = carol.peers()["alice"]["device_id"]
    twin = formation.node("alice", peers=[f"first@{alice.mesh}", f"carol@{carol.mesh}"]).start().wait_ready()

    until(lambda: twin.has_logged(EVENT), "the newcomer says so")
    until(lambda: alice.has_logged(EVENT), "the first one says so")
    until(lambda: carol.has_logged(EVENT), "and so does the third")
    until(lambda: all("node id" in (peer["error"] or "") for peer in twin.peers().values()), "its peers show why")
    assert twin.linked() == set()
    assert {peer["state"] for peer in twin.peers().values()} <= {"backing-off", "dialing"}
    assert alice.linked() == {"carol"}
    assert carol.linked() == {"alice"}
    assert carol.peers()["alice"]["device_id"] == device_id
    assert links_ended(alice) == links_ended(carol) == 0
    assert twin.ask("GET", "ready").status == 200, "alone, and ready all the same"

    # The newcomer backs off: half of the longest pause at least, so it is heard of once or twice, not in a loop.
    attempts = sum(event["event"] == EVENT for event in carol.events())
    alice.write("PUT", "twins/a", {"n": 1}, "?ack=replicated:1")
    wait_equal(nodes, "twins/a")
    assert sum(event["event"] == EVENT for event in carol.events()) <= attempts + 1 <= 3


def test_a_twin_with_a_key_of_its_own_is_one_too(formation: Formation) -> None:
    alice, carol = formation.mesh("alice", "carol")
    up(alice, carol)
    key = formation.directory / "key"
    key.write_bytes(b"another key, of thirty-two bytes")
    key.chmod(0o600)
    twin = formation.node("alice", "--key-file", str(key), peers=[f"carol@{carol.mesh}"]).start().wait_ready()
    until(lambda: "node id" in (twin.peers()["carol"]["error"] or ""), "it shows why")
    assert carol.has_logged(EVENT)
    assert carol.linked() == {"alice"}
    assert links_ended(carol) == 0


def test_a_node_that_dials_itself_keeps_quiet_about_it(formation: Formation) -> None:
    alice = formation.node("alice")
    alice.arguments = [*alice.arguments, "--peer", alice.mesh]
    alice.start().wait_ready()
    until(lambda: alice.peers() == {}, "it is no peer of its own")
    assert not alice.has_logged(EVENT)
