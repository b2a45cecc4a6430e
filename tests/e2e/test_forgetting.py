"""Tombstones and documents that go by themselves, on real nodes: nothing comes back, nothing is lost."""

from pathlib import Path

from e2e.nodes import Formation, Node, document_names, until, up
from e2e.scraping import scrape

TTL = ("--tombstone-ttl", "2s")


def tombstones(node: Node) -> float:
    return scrape(node)["peat_tombstones",]


def test_a_node_that_was_away_for_longer_brings_nothing_back_and_loses_nothing(formation: Formation) -> None:
    alice, bob, carol = nodes = formation.mesh("alice", "bob", "carol", arguments=TTL)
    up(*nodes)
    carol.write("PUT", "notes/old", {"n": 1}, "?ack=replicated:2")
    alice.write("PUT", "notes/kept", {"n": 1}, "?ack=replicated:2")
    carol.write("PUT", "notes/last", {"n": 1}, "?ack=replicated:2")
    carol.stop()
    bob.write("DELETE", "notes/old", query="?ack=replicated:1")
    bob.write("DELETE", "notes/last", query="?ack=replicated:1")
    until(lambda: tombstones(alice) == tombstones(bob) == 0, "the tombstones are gone")
    together = carol.arguments
    alone = [word for word in together if "@" not in word and word != "--peer"]
    carol.arguments = ["127.0.0.1:0" if word == carol.mesh else word for word in alone]  # where nobody dials her
    carol.start().wait_ready()
    carol.write("PUT", "notes/while-away", {"n": 1})
    carol.write("PATCH", "notes/kept", {"m": 2})
    carol.stop()
    carol.arguments = together
    carol.start().wait_ready()
    expected = ["notes/kept", "notes/while-away"]
    until(lambda: all(document_names(node) == expected for node in nodes), "all have the same documents")
    until(lambda: alice.document("notes/kept") == {"n": 1, "m": 2}, "alice has what was written while carol was away")
    until(lambda: scrape(carol)["peat_documents_missed_deletions_total",] == 2, "carol counts what she had missed")
    until(
        lambda: carol.has_logged("documents had been deleted while this node was away, and are deleted here now"),
        "carol says so",
    )
    alice.write("PUT", "notes/old", {"new": True}, "?ack=replicated:2")
    assert carol.document("notes/old") == {"new": True}


def test_documents_of_a_collection_with_a_ttl_go_from_all_nodes(formation: Formation, tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text('[collections.sessions]\nttl = "2s"\n')
    alice, bob = nodes = formation.mesh("alice", "bob")
    alice.arguments = [*alice.arguments, "--config", str(settings)]
    up(*nodes)
    bob.write("PUT", "sessions/a", {"n": 1}, "?ack=replicated:1")
    bob.write("PUT", "notes/a", {"n": 1}, "?ack=replicated:1")
    until(lambda: [document_names(node) for node in nodes] == [["notes/a"]] * 2, "the session has expired on both")
    assert bob.ask("GET", "documents/sessions/a").status == 404
    assert scrape(alice)["peat_documents_expired_total",] == 1
    assert scrape(bob)["peat_documents_expired_total",] == 0
