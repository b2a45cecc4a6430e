"""A disk that is full, and has room again: the node says so, keeps what it acknowledged, and goes on."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.disks import Disk, limited_files, small_volume
from e2e.nodes import PATIENCE, Formation, Node, until, wait_equal, wait_linked

CHUNK = "x" * 20_000


@pytest.fixture(params=[limited_files, small_volume], ids=["limited", "volume"])
def disk(request: pytest.FixtureRequest, alice: Node) -> Iterator[Disk]:
    make: Callable[[Path], Iterator[Disk]] = request.param
    yield from make(alice.directory)
    alice.kill()


@pytest.fixture
def pair(formation: Formation) -> list[Node]:
    return formation.mesh("alice", "bob")


@pytest.fixture
def alice(pair: list[Node]) -> Node:
    return pair[0]


def store_check(node: Node) -> tuple[int, str | None]:
    reply = node.ask("GET", "ready")
    (check,) = (check for check in reply.json["checks"] if check["name"] == "store")
    return reply.status, check["message"]


def test_a_full_disk_is_said_survived_and_recovered_from(pair: list[Node], disk: Disk) -> None:
    alice, bob = pair
    for node in pair:
        node.start()
    for node in pair:
        node.wait_ready()
    wait_linked(*pair)
    acknowledged: list[str] = []
    alice.write("PUT", "full/first", {"n": 1}, "?ack=replicated:1")
    disk.fill(alice)

    refused = None
    for n in range(100):
        reply = alice.ask("PUT", f"documents/full/{n}", {"chunk": CHUNK})
        if reply.status not in (200, 201):
            refused = reply
            break
        acknowledged.append(f"full/{n}")
    assert refused is not None
    assert (refused.status, refused.json["error"]["code"]) == (503, "unavailable")
    assert refused.headers["retry-after"]
    status, message = store_check(alice)
    assert status == 503
    assert message
    assert "disk" in message or "space" in message or os.strerror(27).lower() in message.lower(), message
    assert alice.ask("GET", "health").status == 200
    assert alice.document("full/first") == {"n": 1}
    assert alice.linked() == {"bob"}
    bob.write("PUT", "full/bob", {"by": "bob"})
    bob.write("PATCH", "full/first", {"bob": CHUNK})
    assert alice.ask("PATCH", "documents/full/first", {"n": 2}).status == 503

    disk.free(alice)
    until(lambda: store_check(alice)[0] == 200, "it recovers")
    alice.write("PATCH", "full/first", {"alice": 1}, "?ack=replicated:1")
    wait_equal(pair, "full/first", "full/bob", *acknowledged)
    alice.kill()
    alice.start().wait_ready()
    for name in acknowledged:
        assert alice.document(name) == {"chunk": CHUNK}
    wait_equal(pair, "full/first", "full/bob", *acknowledged)
    assert alice.document("full/first")["bob"] == CHUNK
    said = [event["event"] for event in alice.events() if event["event"] in ("store_failing", "store_recovered")]
    assert said == ["store_failing", "store_recovered"]


def test_it_stops_in_order_on_a_full_disk(pair: list[Node], disk: Disk) -> None:
    alice = pair[0].start().wait_ready()
    alice.write("PUT", "full/first", {"n": 1})
    disk.fill(alice)
    until(
        lambda: alice.ask("PUT", "documents/full/more", {"chunk": os.urandom(9000).hex()}).status == 503, "it is full"
    )
    alice.stop()
    disk.free(alice)
    alice.start().wait_ready()
    assert alice.document("full/first") == {"n": 1}


@pytest.mark.parametrize("disk", [small_volume], indirect=True, ids=["volume"])
@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_start_on_a_full_disk_is_no_mistake_of_the_settings(alice: Node, disk: Disk, is_killed: bool) -> None:
    """Exit code 1: who starts it (systemd's `RestartPreventExitStatus=2`) goes on trying until there is space."""
    alice.start().wait_ready()
    alice.write("PUT", "full/first", {"n": 1})
    alice.kill() if is_killed else alice.stop()
    disk.fill(alice)
    before = alice.log()
    assert alice.start().process is not None
    assert alice.process is not None
    assert alice.process.wait(PATIENCE) == 1
    (line,) = alice.log().removeprefix(before).splitlines()
    assert line.startswith("peatd: ")
    assert "space" in line
    disk.free(alice)
    alice.start().wait_ready()
    assert alice.document("full/first") == {"n": 1}
