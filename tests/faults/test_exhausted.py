"""A machine that has run out of something: file descriptors, sockets, threads, processes, the kernel's memory.

While it lasts, an operator sees: what needs more than there is answers 503, waits, or is tried again, with a line that
says what is missing; what is up stays up. After: all works, in the same process. A node that cannot even start says why
in one line, and ends with 1.
"""

import contextlib
import http.client
import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, peatd, until, up, wait_equal, wait_linked
from e2e.unix_http import Connection
from faults.injected import injected, lapse, need_strace, strace, wait_ended

SHORTAGES = {
    "descriptors": ("openat,socket,pipe2,accept4,memfd_create,pidfd_open", "EMFILE"),
    "files": ("openat,memfd_create,pidfd_open,pipe2", "ENFILE"),
    "sockets": ("socket,accept4,connect", "ENOBUFS"),
    "threads": ("clone,clone3,fork,vfork", "EAGAIN"),
    "memory": ("clone,clone3,fork,vfork,openat,newfstatat,socket,accept4,pipe2", "ENOMEM"),
}
"""What the kernel refuses: by which calls, and with which word."""
OFTEN = ("descriptors", "threads")
LASTS, LASTS_LONG = 1.5, 15.0
"""Seconds. An idle thread of trio's ends after ten: from then on, another has to be started for each thing."""
ALWAYS = 3
"""Threads of a node that has nothing to do: the loop's, the log's and the watchdog's."""
REQUESTS = [
    ("PUT", "documents/short/new", {"n": 1}),
    ("GET", "documents/short/old", None),
    ("GET", "quarantine", None),
    ("GET", "metrics", None),
    ("POST", "revocations", {"device_id": "0" * 32}),
    ("PATCH", "documents/short/a", {"n": 1}),
    ("DELETE", "documents/short/old", None),
    ("GET", "topology", None),
    ("GET", "ready", None),
]
"""What takes something of its machine: a thread, a file, an engine; and what does not."""


def ask(connection: Connection, method: str, path: str, body: object) -> int | None:
    """The status; None if there was no answer."""
    try:
        return connection.ask(method, path, body).status
    except (OSError, http.client.HTTPException):
        connection.close()
        return None


def threads(node: Node) -> int:
    return len(list(Path(f"/proc/{node.pid}/task").iterdir()))


@pytest.fixture
def pair(formation: Formation) -> list[Node]:
    """Who know each other by a name, which is resolved in a thread; alice has old documents on her disk only."""
    alice, bob = pair = [formation.node(name, "--clients", "127.0.0.1:0") for name in ("alice", "bob")]
    for node, peer in ((alice, bob), (bob, alice)):
        node.arguments = [*node.arguments, "--peer", f"{peer.name}@localhost:{peer.mesh.rpartition(':')[2]}"]
    up(*pair)
    for name in ("short/a", "short/old"):
        alice.write("PUT", name, {"n": 0}, "?ack=replicated:1")
    alice.stop()
    alice.start().wait_ready()
    wait_linked(*pair)
    return pair


@pytest.mark.parametrize(
    "shortage", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.long) for name in SHORTAGES]
)
def test_a_shortage_is_survived(formation: Formation, pair: list[Node], shortage: str, is_long: bool) -> None:
    need_strace()
    alice, bob = pair
    calls, error = SHORTAGES[shortage]
    secret = formation.secret_file.read_text()
    with contextlib.ExitStack() as connections:
        kept = [connections.enter_context(alice.connection()) for _ in REQUESTS]
        assert [ask(one, "GET", "ready", None) for one in kept] == [200] * len(kept)
        if shortage == "threads":
            until(lambda: threads(alice) <= ALWAYS, "idle threads have ended")
        with injected(alice, f"error={error}", calls=calls):
            statuses = exercise(alice, kept)
            bob.kill()
            formation.secret_file.write_text(f"{secret.strip()}\n{'A' * 43}=\n")
            alice.send_signal(signal.SIGHUP)
            for engine in alice.engine_pids():
                os.kill(engine, signal.SIGKILL)
            lapse(LASTS_LONG if is_long else LASTS)
            statuses += exercise(alice, kept)
            lapse(1.0)
            assert alice.process is not None
            assert alice.process.poll() is None, alice.log()[-3000:]
        print(statuses)
    formation.secret_file.write_text(secret)
    alice.send_signal(signal.SIGHUP)
    bob.start().wait_ready()
    until(lambda: alice.ask("PATCH", "documents/short/a", {"n": 2}).status == 200, "it works as before")
    wait_linked(alice, bob)
    wait_equal(pair, "short/a", "short/new")
    assert alice.ask("GET", "metrics").status == 200
    assert alice.ask("GET", "quarantine").status == 200
    assert alice.stated()["pid"] == alice.pid
    for node in pair:
        node.stop()


def exercise(node: Node, kept: Sequence[Connection]) -> list[int | None]:
    return [ask(one, *request) for one, request in zip(kept, REQUESTS, strict=True)]


def check_start(node: Node) -> bool:
    """Whether it came up. If not, it has ended with one line that says why, or one says what it waits for."""
    while not wait_ended(node, 0.1):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if node.says_ready():
                return True
            if node.has_logged("engine.not_started"):
                return False
    assert node.process is not None
    said = [line for line in node.log().splitlines() if line.startswith("peatd: ")]
    assert (node.process.returncode, len(said)) == (1, 1), node.log()
    return False


def test_a_start_with_few_descriptors_is_one_or_ends_with_a_line(formation: Formation, is_long: bool) -> None:
    came_up = set()
    for most in range(14, 60) if is_long else (14, 20, 23, 26, 29, 60):
        node = formation.node(f"few-{most}")
        node.before_exec = lambda most=most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if check_start(node.start()):
            came_up.add(most)
            node.kill()
    assert 60 in came_up
    assert 14 not in came_up


@pytest.mark.parametrize("shortage", ["threads", "sockets"])  # without files Python itself does not start
def test_a_start_on_an_exhausted_machine_is_one_or_ends_with_a_line(
    formation: Formation, shortage: str, is_long: bool
) -> None:
    need_strace()
    calls, error = SHORTAGES[shortage]
    ended = 0
    for when in (*range(1, 8), 10, 14, 20, 40) if is_long else (2, 5):
        node = formation.node(f"short-of-{shortage}-{when}")
        tampering = f"inject={calls}:error={error}:when={when}+3"
        node.arguments = ["-D", "-f", "-qqq", "-o", "/dev/null", "-e", tampering, peatd(), *node.arguments]
        node.program = strace()
        ended += not check_start(node.start())
        node.kill()
    print(f"{ended} ended")
