"""Several nodes: they link in whatever order they start, and hold the same whatever is written where, and when."""

import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest
from e2e.nodes import Formation, Node, document_names, seen, until, up, wait_equal, wait_linked


@pytest.mark.parametrize("order", list(permutations(range(3)))[::2], ids=str)
def test_nodes_link_in_whatever_order_they_start(formation: Formation, order: tuple[int, ...]) -> None:
    nodes = formation.mesh("alice", "bob", "carol")
    first, second, third = (nodes[i] for i in order)
    first.start().wait_ready()  # alone, and ready: its peers are down
    until(lambda: set(first.peers()) == {second.name, third.name}, "those that are down are known by name")
    assert first.linked() == set()
    first.write("PUT", "notes/early", {"by": first.name})
    second.start().wait_ready()
    wait_linked(first, second)
    third.start().wait_ready()
    wait_linked(*nodes)
    third.write("PATCH", "notes/early", {"and": third.name})
    wait_equal(nodes, "notes/early")
    assert all(n.document("notes/early") == {"by": first.name, "and": third.name} for n in nodes)


def test_peers_without_a_name_are_called_by_their_address_until_they_are_met(formation: Formation) -> None:
    alice, bob = formation.node("alice"), formation.node("bob")
    alice.arguments = [*alice.arguments, "--peer", bob.mesh]
    alice.start().wait_ready()
    until(lambda: set(alice.peers()) == {bob.mesh}, "the peer is there")
    until(lambda: alice.peers()[bob.mesh]["error"], "it says that nobody is there")
    bob.start().wait_ready()
    until(lambda: alice.linked() == {"bob"}, "linked")
    assert set(alice.peers()) == {"bob"}
    until(lambda: bob.linked() == {"alice"}, "linked")
    assert bob.peers()["alice"]["source"] == "inbound"


def test_what_one_writes_all_have(three: list[Node]) -> None:
    alice, bob, carol = three
    made = alice.write("PUT", "all/a", {"title": "x", "tags": ["a", "b"], "deep": {"n": 1, "s": "é😀"}})
    assert (made.status, made.json["incarnation"]) == (201, 1)
    wait_equal(three, "all/a")
    bob.write("PATCH", "all/a", {"deep": {"n": 2, "m": None}, "title": None, "more": [1, {"x": None}]})
    wait_equal(three, "all/a")
    expected = {"tags": ["a", "b"], "deep": {"n": 2, "s": "é😀"}, "more": [1, {"x": None}]}
    assert [node.document("all/a") for node in three] == [expected] * 3
    replaced = carol.write("PUT", "all/a", {"only": True}, "?ack=replicated:2")
    assert (replaced.status, replaced.json["ack"]) == (200, "replicated:2")
    assert [node.document("all/a") for node in three] == [{"only": True}] * 3
    bob.write("DELETE", "all/a", query="?ack=replicated:2")
    assert [seen(node, "all/a")[0] for node in three] == [404] * 3


def test_a_document_that_is_made_again_is_a_new_incarnation_everywhere(three: list[Node]) -> None:
    alice, bob, _ = three
    alice.write("PUT", "again/a", {"old": 1}, "?ack=replicated:2")
    bob.write("DELETE", "again/a", query="?ack=replicated:2")
    again = alice.write("PUT", "again/a", {"new": 2}, "?ack=replicated:2")
    assert (again.status, again.json["incarnation"]) == (201, 2)
    wait_equal(three, "again/a")
    assert bob.document("again/a") == {"new": 2}


def test_changes_of_different_fields_at_once_all_survive(three: list[Node]) -> None:
    three[0].write("PUT", "fields/a", {"nested": {"deep": {}}}, "?ack=replicated:2")

    def write(node: Node) -> None:
        with node.connection() as connection:
            for n in range(25):
                patch = {f"{node.name}{n}": n, "nested": {node.name: n, "deep": {f"{node.name}{n}": {"n": n}}}}
                assert connection.ask("PATCH", "documents/fields/a?ack=applied", patch).status == 200

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, three))
    expected = {f"{node.name}{n}": n for node in three for n in range(25)}
    deep = {f"{node.name}{n}": {"n": n} for node in three for n in range(25)}
    expected |= {"nested": {"alice": 24, "bob": 24, "carol": 24, "deep": deep}}  # type: ignore[dict-item]
    until(lambda: all(node.document("fields/a") == expected for node in three), "every field is everywhere")
    wait_equal(three, "fields/a")


def test_if_match_holds_on_every_node(three: list[Node]) -> None:
    alice, bob, _ = three
    alice.write("PUT", "guarded/a", {"n": 1}, "?ack=replicated:2")
    etag = bob.ask("GET", "documents/guarded/a").etag
    assert alice.ask("PATCH", "documents/guarded/a", {"n": 2}, {"If-Match": etag}).status == 200
    assert alice.ask("PATCH", "documents/guarded/a", {"n": 3}, {"If-Match": etag}).status == 412
    wait_equal(three, "guarded/a")
    assert bob.ask("DELETE", "documents/guarded/a", headers={"If-Match": etag}).status == 412
    assert bob.document("guarded/a") == {"n": 2}


def test_a_node_that_was_away_comes_back_to_what_the_others_hold(formation: Formation) -> None:
    nodes = alice, bob, carol = formation.mesh("alice", "bob", "carol")
    up(*nodes)
    for n in range(20):
        alice.write("PUT", f"away/{n}", {"n": n, "nested": {}}, "?ack=applied")
    alice.write("PUT", "away/last", {}, "?ack=replicated:2")
    wait_equal(nodes, *(f"away/{n}" for n in range(20)))

    carol.write("PATCH", "away/0", {"carol": "was here", "nested": {"carol": 1}})  # may or may not get out in time
    carol.stop()
    assert not (carol.directory / "node.json").exists()
    until(lambda: "carol" not in alice.linked() | bob.linked(), "carol is seen to be gone")
    alice.write("PATCH", "away/0", {"alice": "too", "nested": {"alice": 2}})
    for n in range(1, 10):
        bob.write("PATCH", f"away/{n}", {"by": "bob"})
    for n in range(10, 15):
        alice.write("DELETE", f"away/{n}")
    alice.write("PUT", "away/10", {"made": "again"})
    bob.write("PUT", "away/new", {"new": True})

    carol.start().wait_ready()
    wait_linked(*nodes)
    wait_equal(nodes, "away/new", "away/last", *(f"away/{n}" for n in range(20)))
    until(lambda: document_names(carol) == document_names(alice), "nothing is resurrected")
    assert document_names(alice) == document_names(bob)
    gone = {f"away/{n}" for n in range(11, 15)}
    assert not gone & set(document_names(carol))
    assert carol.document("away/0")["nested"] == {"carol": 1, "alice": 2}
    assert carol.document("away/10") == {"made": "again"}
    assert carol.document("away/1")["by"] == "bob"


def test_two_that_wrote_apart_have_both_when_they_meet(formation: Formation) -> None:
    nodes = alice, bob, carol = formation.mesh("alice", "bob", "carol")
    up(*nodes)
    alice.write("PUT", "apart/a", {"nested": {}}, "?ack=replicated:2")
    alice.write("PUT", "apart/deleted", {"n": 1}, "?ack=replicated:2")
    for node in nodes:
        node.stop(signal.SIGINT)
    for node in nodes:  # each alone, with nobody to talk to
        node.start().wait_ready()
        node.write("PATCH", "apart/a", {node.name: 1, "nested": {node.name: 2}, "both": node.name})
        node.write("PUT", f"apart/{node.name}", {})
        if node is bob:
            node.write("DELETE", "apart/deleted")
        if node is carol:
            node.write("PATCH", "apart/deleted", {"n": 2})  # a deletion is final, even for what it did not see
        node.stop()
    up(*nodes)
    names = ["apart/a", "apart/deleted", *(f"apart/{node.name}" for node in nodes)]
    wait_equal(nodes, *names)
    found = alice.document("apart/a")
    assert found["nested"] == {"alice": 2, "bob": 2, "carol": 2}
    assert found["both"] in ("alice", "bob", "carol")
    assert all(found[node.name] == 1 for node in nodes)
    assert seen(carol, "apart/deleted")[0] == 404
    assert document_names(alice) == document_names(bob) == document_names(carol)
