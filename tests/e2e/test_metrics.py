"""What a node's `/metrics` says after known work, read as Prometheus reads it."""

import pytest
from e2e.nodes import Formation, Node, until, up, wait_equal
from e2e.scraping import scrape


@pytest.fixture
def own(formation: Formation) -> list[Node]:
    """Three linked nodes that nobody else writes to."""
    nodes = formation.mesh("alice", "bob", "carol")
    up(*nodes)
    return nodes


def test_metrics_count_what_was_done(own: list[Node]) -> None:
    alice, bob, _ = own
    alice.write("PUT", "notes/a", {"n": 1}, "?ack=replicated:2")
    alice.write("PUT", "notes/b", {"n": 1}, "?ack=replicated:2")
    alice.write("DELETE", "notes/b", query="?ack=replicated:2")
    wait_equal(own, "notes/a")
    found, theirs = scrape(alice), scrape(bob)
    assert found["peat_ready",] == found["peat_store_up",] == found["peat_engine_up",] == 1
    assert found["peat_check_ready", "store"] == 1
    assert (found["peat_documents",], found["peat_tombstones",]) == (1, 1)
    assert (found["peat_updates_merged_total", "local"], found["peat_updates_merged_total", "peer"]) == (2, 0)
    assert (theirs["peat_updates_merged_total", "local"], theirs["peat_updates_merged_total", "peer"]) == (0, 2)
    assert found["peat_peers", "linked"] == 2
    assert found["peat_peer_linked", "bob"] == 1
    assert found["peat_peer_rtt_seconds", "bob"] > 0
    assert found["peat_link_sent_bytes_total",] > found["peat_link_sent_update_bytes_total",] > 0
    assert found["peat_store_sync_duration_seconds_count",] > 0
    assert found["peat_store_size_bytes", "database"] > 0
    assert found["peat_store_size_bytes", "log"] > 0
    assert found["peat_engine_merge_duration_seconds_count",] >= 2
    assert theirs["peat_engine_merge_duration_seconds_count",] >= 2
    assert found["peat_engine_waiting_requests",] == 0
    assert (found["peat_unreplicated_bytes",], theirs["peat_unreplicated_bytes",]) == (0, 0)
    assert found["peat_replication_delay_seconds_count",] == 2
    assert theirs["peat_replication_delay_seconds_count",] == 0
    assert (found["peat_discovery_ready", "static"], found["peat_discovery_fresh", "static"]) == (1, 1)
    until(lambda: scrape(alice)["peat_loop_lag_seconds_count",] > 0, "the loop's lag is measured")
    until(lambda: scrape(alice)["peat_peer_owed_documents", "bob"] == 0, "nothing is owed")


def test_what_went_over_a_link_is_counted_after_its_end(own: list[Node]) -> None:
    alice, bob, _ = own
    alice.write("PUT", "notes/a", {"n": 1}, "?ack=replicated:2")
    before = scrape(alice)
    bob.kill()
    until(lambda: scrape(alice)["peat_peer_linked", "bob"] == 0, "the link has ended")
    after = scrape(alice)
    assert after["peat_link_sent_bytes_total",] >= before["peat_link_sent_bytes_total",]
    assert after["peat_links_total",] >= before["peat_links_total",] >= 2


def test_what_no_peer_has_is_told(own: list[Node]) -> None:
    alice, *others = own
    for node in others:
        node.kill()
    until(lambda: scrape(alice)["peat_peers", "linked"] == 0, "alice is alone")
    alice.write("PUT", "notes/a", {"n": 1})
    assert scrape(alice)["peat_unreplicated_bytes",] > 0
    others[0].start()
    until(lambda: scrape(alice)["peat_unreplicated_bytes",] == 0, "a peer has it")
