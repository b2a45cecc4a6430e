"""SIGTERM and SIGINT: not ready at once, gone within five seconds, whatever is attached and however it stalls."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from e2e.nodes import PATIENCE, STOP_WITHIN, Formation, Node, until, up, wait_equal
from e2e.processes import is_alive
from e2e.unix_http import Connection

RUNNING_FILES = ("node.json", "api.sock", "api.token")
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)


def left_behind(node: Node) -> list[str]:
    return [name for name in RUNNING_FILES if (node.directory / name).exists()]


@pytest.fixture
def pair(formation: Formation) -> list[Node]:
    nodes = formation.mesh("alice", "bob")
    up(*nodes)
    nodes[0].write("PUT", "stop/a", {"n": 0}, "?ack=replicated:1")
    return nodes


@pytest.fixture
def stalled(pair: list[Node]) -> Iterator[list[Node]]:
    """Alice, and bob who is linked, owed something, and does nothing at all any more."""
    alice, bob = pair
    bob.send_signal(signal.SIGSTOP)
    alice.write("PATCH", "stop/a", {"big": "x" * 200_000})
    yield pair
    bob.send_signal(signal.SIGCONT)


def seen_until_closed(connection: Connection) -> list[int]:
    """The answers to readiness on a connection that is kept, until it is closed."""
    statuses: list[int] = []
    with contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            statuses.append(connection.ask("GET", "ready").status)
    return statuses


@SIGNALS
def test_it_is_not_ready_first_and_leaves_nothing_behind(stalled: list[Node], number: signal.Signals) -> None:
    alice, bob = stalled
    assert left_behind(alice) == list(RUNNING_FILES)
    with alice.connection() as connection:
        assert connection.ask("GET", "ready").status == 200
        alice.send_signal(number)
        statuses = seen_until_closed(connection)
        assert statuses == sorted(statuses), "once not ready, it stays that way"
        assert statuses[-1] == 503, "with a peer that stalls, there is time to see it"
        alice.wait_stopped(within=STOP_WITHIN)
    assert left_behind(alice) == []
    bob.send_signal(signal.SIGCONT)
    alice.start().wait_ready()
    wait_equal([alice, bob], "stop/a")


@SIGNALS
def test_a_second_signal_ends_it_at_once(stalled: list[Node], number: signal.Signals) -> None:
    alice, _ = stalled
    alice.send_signal(number)
    until(lambda: alice.has_logged("node stopping"), "it heard the first one")
    alice.send_signal(number)
    assert alice.process is not None
    assert alice.process.wait(PATIENCE) == 130


def trickle(stream: socket.socket, stop: threading.Event) -> None:
    """A body that never ends."""
    with contextlib.suppress(OSError):
        while not stop.wait(0.05):
            stream.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")


def test_clients_that_stall_do_not_hold_it_up(stalled: list[Node]) -> None:
    alice, _ = stalled
    address = (alice.stated()["api"].split(":")[0], int(alice.stated()["api"].split(":")[1]))
    token = (alice.directory / "api.token").read_text().strip()
    head = f"PUT /api/v1/documents/stop/b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    body = head + "Content-Type: application/json\r\n"
    stop = threading.Event()
    with contextlib.ExitStack() as attached:
        silent, half, streaming, deaf, waiting = (
            attached.enter_context(socket.create_connection(address)) for _ in range(5)
        )
        half.sendall(head.encode())
        streaming.sendall((body + "Transfer-Encoding: chunked\r\n\r\n").encode())
        thread = threading.Thread(target=trickle, args=(streaming, stop))
        thread.start()
        attached.callback(thread.join)
        attached.callback(stop.set)
        get = f"GET /api/v1/documents/stop/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        with contextlib.suppress(OSError):
            deaf.settimeout(1)
            deaf.sendall(get.encode() * 100)  # 20 MB of answers that nobody reads
        path = head.replace("stop/b", "stop/c?ack=replicated:1&timeout=60") + "Content-Length: 2\r\n\r\n{}"
        waiting.sendall(path.encode())
        until(lambda: alice.get("documents/stop")["documents"][-1]["id"] == "c", "all are at it")
        assert silent.fileno() > 0
        alice.stop(within=STOP_WITHIN)
    assert left_behind(alice) == []


def test_a_write_in_flight_is_answered_or_never_was(pair: list[Node]) -> None:
    """Whoever was told yes finds it after the restart; after the signal nobody is told yes for nothing."""
    alice, _ = pair
    acknowledged: list[int] = []

    def write() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException), alice.connection() as connection:
            for n in range(100_000):
                if connection.ask("PATCH", "documents/stop/a", {f"n{n}": n}).status != 200:
                    return
                acknowledged.append(n)

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: len(acknowledged) > 20, "it writes")
    alice.stop()
    writer.join()
    alice.start().wait_ready()
    document = alice.document("stop/a")
    assert [n for n in acknowledged if document.get(f"n{n}") != n] == []


@SIGNALS
@pytest.mark.parametrize("after", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_a_signal_while_it_starts_ends_it_in_order(formation: Formation, after: float, number: signal.Signals) -> None:
    alice = formation.node("alice").start()
    assert alice.process is not None
    until(lambda: alice.catches(signal.SIGTERM), "Python itself has started")
    with contextlib.suppress(subprocess.TimeoutExpired):
        alice.process.wait(after)
    alice.stop(number)
    assert left_behind(alice) == []
    assert "node failed" not in alice.log()


@SIGNALS
def test_a_signal_while_its_engine_does_not_come_up_ends_it_too(formation: Formation, number: signal.Signals) -> None:
    alice = formation.node("alice").start()
    (engine,) = until(alice.engine_pids, "the engine's process has been started")
    os.kill(engine, signal.SIGSTOP)
    alice.stop(number)
    assert left_behind(alice) == []


def test_a_signal_to_the_whole_group_stops_it_in_order(formation: Formation) -> None:
    """As a shell, `timeout` or a supervisor sends it: the engine leaves it to its node, which still needs it."""
    alice = formation.node("alice")
    alice.before_exec = os.setsid
    alice.start().wait_ready()
    alice.write("PUT", "stop/a", {"n": 1})
    engines = alice.engine_pids()
    os.killpg(alice.pid, signal.SIGTERM)
    alice.wait_stopped()
    assert not alice.has_logged("engine.ended")
    for pid in engines:
        until(lambda pid=pid: not is_alive(pid), "its engine has ended with it")  # type: ignore[misc]
