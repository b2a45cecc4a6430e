"""A disk that fails under a running node: errors of input and output, no space, read-only.

While it lasts, an operator sees: not ready, and the `store` check says why and what to do; writes are 503 with
`Retry-After`; reads, links and the liveness probe are as ever; `peat_store_up` is 0; one line, `store_failing`. After:
ready within seconds, one line, `store_recovered`, and all that was acknowledged, here and on the peers.
"""

import os

import pytest
from e2e.nodes import Formation, Node, peatd, until, up, wait_equal
from faults.injected import injected, need_strace, strace

ACKNOWLEDGED = 30
LONG = pytest.mark.long


@pytest.fixture(autouse=True)
def _needs_strace() -> None:
    need_strace()


@pytest.fixture
def pair(formation: Formation) -> list[Node]:
    nodes = formation.mesh("alice", "bob")
    up(*nodes)
    nodes[0].write("PUT", "disk/a", {"n": 0}, "?ack=replicated:1")
    return nodes


def store_check(node: Node) -> tuple[int, str | None]:
    reply = node.ask("GET", "ready")
    (check,) = (check for check in reply.json["checks"] if check["name"] == "store")
    return reply.status, check["message"]


def said(node: Node) -> list[str]:
    return [event["event"] for event in node.events() if event["event"].startswith("store_")]


@pytest.mark.parametrize(
    "error", ["EIO", "ENOSPC", *(pytest.param(error, marks=LONG) for error in ("EROFS", "EDQUOT"))]
)
def test_a_failing_disk_is_said_and_survived(pair: list[Node], error: str) -> None:
    alice, bob = pair
    with injected(alice, f"error={error}"):
        reply = alice.ask("PATCH", "documents/disk/a", {"n": 1})
        assert (reply.status, reply.json["error"]["code"]) == (503, "unavailable")
        assert reply.headers["retry-after"]
        status, message = store_check(alice)
        assert status == 503
        assert message
        assert "peat.db" in message
        assert alice.ask("GET", "health").status == 200
        assert alice.document("disk/a")["n"] in (0, 1)
        assert "peat_store_up 0" in alice.ask("GET", "metrics").body.decode()
        assert alice.linked() == {"bob"}
        bob.write("PUT", "disk/b", {"by": "bob"})
        for n in range(20):
            assert alice.ask("PATCH", "documents/disk/a", {"n": n}).status == 503
        assert len(said(alice)) == 1
    until(lambda: store_check(alice)[0] == 200, "it recovers")
    alice.write("PATCH", "disk/a", {"after": 1}, "?ack=replicated:1")
    wait_equal(pair, "disk/a", "disk/b")
    assert said(alice) == ["store_failing", "store_recovered"]
    alice.kill()
    alice.start().wait_ready()
    assert alice.document("disk/a")["after"] == 1
    wait_equal(pair, "disk/a", "disk/b")


@pytest.mark.parametrize(("call", "when"), [("fdatasync", "3+7"), ("pwrite64", "3+40")])
def test_a_call_that_fails_now_and_then_loses_nothing(pair: list[Node], call: str, when: str) -> None:
    """After an fsync that failed, nobody knows what of the file is on the disk: all is written again."""
    alice = pair[0]
    acknowledged: dict[str, int] = {}
    with injected(alice, f"error=EIO:when={when}", calls=call), alice.connection() as connection:

        def write() -> bool:
            n = len(acknowledged)
            reply = connection.ask("PATCH", "documents/disk/a", {f"n{n}": n})
            assert reply.status in (200, 503), reply
            if reply.status == 200:
                acknowledged[f"n{n}"] = n
            return len(acknowledged) >= ACKNOWLEDGED and "store_failing" in said(alice)

        until(write, f"{ACKNOWLEDGED} writes are acknowledged in spite of it")
    until(lambda: store_check(alice)[0] == 200, "it recovers")
    for _ in range(2):
        document = alice.document("disk/a")
        assert {field: document.get(field) for field in acknowledged} == acknowledged
        alice.kill()
        alice.start().wait_ready()
    wait_equal(pair, "disk/a")


def test_a_start_on_a_failing_disk_ends_with_what_to_do_and_may_be_tried_again(pair: list[Node]) -> None:
    alice = pair[0]
    alice.kill()
    program, arguments = alice.program, alice.arguments
    calls = "pwrite64,fdatasync"
    options = ["-D", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"]
    alice.program, alice.arguments = strace(), [*options, peatd(), *arguments]
    before = alice.log()
    alice.start()
    assert alice.process is not None
    assert alice.process.wait(60) == 1
    lines = alice.log().removeprefix(before).splitlines()
    assert len([line for line in lines if line.startswith("peatd: ")]) == 1
    assert os.strerror(5).lower() in lines[-1].lower() or "disk" in lines[-1]
    alice.program, alice.arguments = program, arguments
    alice.start().wait_ready()
    wait_equal(pair, "disk/a")
