"""What happens in a mesh, as those hear of it who follow one of its nodes."""

import contextlib
import json
import signal
import socket
from pathlib import Path
from unittest.mock import ANY

from e2e.followers import following, watching
from e2e.nodes import Formation, Node, until, up, wait_equal
from e2e.scraping import scrape
from fakes.ports import free_address


def test_a_peers_write_and_delete_are_told_of_here(three: list[Node]) -> None:
    alice, bob, _ = three
    with following(alice, "?collection=told") as heard, following(alice, "?document=told/b") as of_one:
        bob.write("PUT", "told/a", {"n": 1}, "?ack=replicated:2")
        until(lambda: heard.documents() == [("created", "told/a", ANY)], "created")
        others = {peer["device_id"] for peer in alice.peers().values()}
        assert heard.told[0][1]["origin"] in others, "carol may have been quicker to tell"
        (_, data), etag = heard.told[0], alice.ask("GET", "documents/told/a").etag
        assert data["etag"] == etag == bob.ask("GET", "documents/told/a").etag
        alice.write("PATCH", "told/a", {"m": 2})
        until(lambda: heard.documents()[1:] == [("changed", "told/a", None)], "changed here")
        bob.write("DELETE", "told/a", query="?ack=replicated:2")
        until(lambda: heard.documents()[2:] == [("deleted", "told/a", ANY)], "deleted")
        assert heard.told[2][1]["origin"] in others
        bob.write("PUT", "told/a", {"n": 1}, "?ack=replicated:2")
        until(lambda: [data["incarnation"] for _, data in heard.told] == [1, 1, 1, 2], "a new life")
        alice.write("PUT", "told/b", {})
        until(lambda: of_one.documents() == [("created", "told/b", None)], "told of one")
        assert scrape(alice)["peat_event_readers",] >= 2


def test_links_that_end_and_come_up_are_told_of(formation: Formation) -> None:
    alice, bob = formation.mesh("alice", "bob")
    up(alice, bob)
    with following(alice, "?kinds=peer") as heard:
        bob.kill()
        until(lambda: ("unlinked", "bob") in heard.peers(), "unlinked")
        bob.start().wait_ready()
        until(lambda: heard.peers()[-1] == ("linked", "bob"), "linked")
        (shown,) = alice.get("peers")["peers"]
        last = heard.told[-1][1]["peer"]
        assert {name: last[name] for name in ("id", "device_id", "state", "source", "addresses", "error")} == {
            name: shown[name] for name in ("id", "device_id", "state", "source", "addresses", "error")
        }
        assert last.keys() == shown.keys()


def test_who_comes_back_has_missed_nothing_and_who_comes_too_late_is_told_so(formation: Formation) -> None:
    alice = formation.node("alice").start().wait_ready()
    with following(alice) as first:
        alice.write("PUT", "notes/a", {})
        until(lambda: len(first.documents()) == 1, "told")
        position = first.position
    alice.write("PUT", "notes/b", {})
    alice.write("DELETE", "notes/a")
    with following(alice, since=position) as second:
        until(lambda: len(second.documents()) == 2, "told of what happened in between")
        assert second.documents() == [("created", "notes/b", None), ("deleted", "notes/a", None)]
        assert second.resets() == []
        alice.stop()
        until(lambda: second.ended, "it ends with the node")
        assert second.ended == "in order"
    alice.start().wait_ready()
    with following(alice, since=second.position) as third:
        until(lambda: third.resets() == ["restarted"], "told that the past is gone")
        alice.write("PUT", "notes/c", {})
        until(lambda: third.documents() == [("created", "notes/c", None)], "and of what follows")
    assert scrape(alice)["peat_event_resets_total",] == 1


def test_a_reader_that_does_not_read_harms_nobody(formation: Formation) -> None:
    alice = formation.node("alice").start().wait_ready()
    path = str(alice.directory / "api.sock")
    with socket.socket(socket.AF_UNIX) as deaf, following(alice, "?document=notes/last") as keen:
        deaf.connect(path)
        deaf.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: scrape(alice)["peat_event_readers",] == 2, "both read")
        with alice.connection() as connection:
            for number in range(1500):
                name = f"notes/{number}-{'x' * 200}"
                assert connection.ask("PUT", f"documents/{name}?ack=applied", {}).status == 201
            assert connection.ask("PUT", "documents/notes/last", {}).status == 201
        until(lambda: keen.documents() == [("created", "notes/last", None)], "told at once")
        until(lambda: scrape(alice)["peat_event_readers",] == 1, "the deaf one is cut")
        alice.stop()


def test_readers_do_not_hold_up_a_stop(formation: Formation) -> None:
    alice, bob = formation.mesh("alice", "bob")
    up(alice, bob)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(following(alice)) for _ in range(10)]
        alice.stop(signal.SIGTERM)  # within its time, with exit code 0
        for reader in readers:
            until(lambda reader=reader: reader.ended, "it ends")  # type: ignore[misc]
            assert reader.ended == "in order"
    assert "api.request_failed" not in alice.log()


def test_docs_watch_goes_on_through_a_restart(formation: Formation, tmp_path: Path) -> None:
    alice, bob = formation.mesh("alice", "bob")
    up(alice, bob)
    with watching(alice, tmp_path, "docs", "watch", "notes") as watcher:
        until(lambda: scrape(alice)["peat_event_readers",] == 1, "it follows")
        bob.write("PUT", "notes/a", {}, "?ack=replicated:1")
        watcher.until_it_says("created notes/a, incarnation 1, from bob\n")
        alice.stop()
        watcher.until_it_says("trying again", watcher.err)
        alice.start().wait_ready()
        watcher.until_it_says("answers again", watcher.err)
        watcher.until_it_says("reset: the daemon was restarted", watcher.err)
        alice.write("DELETE", "notes/a")
        watcher.until_it_says("deleted notes/a, incarnation 1, here\n")
        assert watcher.interrupt() == 130


def test_docs_watch_of_one_document_over_tcp_survives_a_new_token(formation: Formation, tmp_path: Path) -> None:
    alice = formation.node("alice")
    address = free_address()
    alice.arguments = [address if word == "127.0.0.1:0" else word for word in alice.arguments]
    alice.start().wait_ready()
    url = f"http://{address}"
    with watching(alice, tmp_path, "docs", "watch", "notes/a", "--api", url) as watcher:
        watcher.until_it_says("there is no document notes/a", watcher.err)
        alice.write("PUT", "notes/a", {"n": 1})
        watcher.until_it_says('"n": 1')
        token = (alice.directory / "api.token").read_text()
        alice.kill()
        watcher.until_it_says("trying again", watcher.err)
        alice.start().wait_ready()
        assert (alice.directory / "api.token").read_text() != token
        alice.write("PATCH", "notes/a", {"n": 2})
        watcher.until_it_says('"n": 2')
        assert watcher.interrupt() == 130
    shown = [json.loads(f"{{{part}") for part in watcher.out().split("{")[1:]]
    assert shown == [{"n": 1}, {"n": 2}]


def test_peers_watch_tells_of_a_peer_that_leaves(formation: Formation, tmp_path: Path) -> None:
    alice, bob = formation.mesh("alice", "bob")
    up(alice, bob)
    with watching(alice, tmp_path, "peers", "--watch", "--json") as watcher:
        watcher.until_it_says('"state":"linked"')
        bob.stop()
        until(lambda: watcher.last()["peers"][0]["connected"] is False, "bob is gone")
        bob.start().wait_ready()
        until(lambda: watcher.last()["peers"][0]["connected"] is True, "bob is back")
        assert watcher.interrupt() == 130


def test_what_a_follower_knows_is_what_is_there(three: list[Node]) -> None:
    """It does what it is told, and has the documents of the node, whoever wrote them."""
    alice, bob, carol = three
    with following(carol, "?collection=mirror") as heard:
        for number in range(30):
            writer = (alice, bob, carol)[number % 3]
            writer.write("PUT", f"mirror/{number}", {"n": number})
            if number % 4 == 0:
                writer.write("DELETE", f"mirror/{number}")
        wait_equal(three, *(f"mirror/{number}" for number in range(30)))
        there = {listing["name"] for listing in carol.get("documents/mirror?limit=1000")["documents"]}

        def mirrored() -> set[str]:
            names: set[str] = set()
            for change, name, _ in heard.documents():
                (names.discard if change == "deleted" else names.add)(name)
            return names

        until(lambda: mirrored() == there, "it has what is there")
        assert len(there) == 22
