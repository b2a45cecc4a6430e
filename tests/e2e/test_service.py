"""A node under a service manager: a real datagram socket takes systemd's part."""

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import PATIENCE, Formation, Node, until

_CREDENTIALS = struct.Struct("3i")
"""SCM_CREDENTIALS: pid, uid and gid of the sender, by the kernel's word."""


class Manager:
    """Remembers what it hears, and from whom."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._heard: list[str] = []
        self.senders: set[int] = set()

    def heard(self) -> list[str]:
        """All lines so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                text, found, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
                self._heard += text.decode().split("\n")
                self.senders |= {_CREDENTIALS.unpack(data)[0] for _, _, data in found}
        return self._heard

    def count(self, line: str) -> int:
        return self.heard().count(line)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@peatd-e2e-{os.getpid()}")
    yield made
    made.close()


def serviced(formation: Formation, manager: Manager, *arguments: str, peers: tuple[str, ...] = ()) -> Node:
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}
    return formation.node("alice", *arguments, peers=peers, **environ)


def thread_states(node: Node) -> list[str]:
    """As proc(5) has them."""
    stats = [path.read_text() for path in Path(f"/proc/{node.pid}/task").glob("*/stat")]
    return [stat.rpartition(")")[2].split()[0] for stat in stats]


def test_it_hears_all_of_a_nodes_life(formation: Formation, manager: Manager) -> None:
    bob = formation.node("bob").start().wait_ready()
    alice = serviced(formation, manager, peers=(bob.mesh,)).start()
    until(lambda: manager.count("READY=1"), "it is up")
    assert alice.ask("GET", "ready").status == 200, "up is: whoever waited for it can go on"
    until(lambda: "STATUS=up, linked with 1 peer" in manager.heard(), "the status says whom it is linked with")
    bob.stop()
    until(lambda: manager.heard()[-1] == "WATCHDOG=1" and manager.count("STATUS=up, linked with 0 peers"), "and not")
    so_far = manager.count("WATCHDOG=1")
    until(lambda: manager.count("WATCHDOG=1") > so_far + 3, "it lives")
    alice.stop()
    heard = manager.heard()
    assert heard.count("READY=1") == heard.count("STOPPING=1") == 1
    assert heard.index("READY=1") < heard.index("STOPPING=1")
    assert "STATUS=stopping" in heard
    assert manager.senders == {alice.pid}, "NotifyAccess=main believes no other process"


def test_while_the_process_stands_still_it_hears_nothing(formation: Formation, manager: Manager) -> None:
    alice = serviced(formation, manager).start()
    until(lambda: manager.count("WATCHDOG=1") > 2, "it lives")
    alice.send_signal(signal.SIGSTOP)
    until(lambda: set(thread_states(alice)) == {"T"}, "it is stopped")
    before = len(manager.heard())
    with contextlib.suppress(TimeoutError):
        manager._socket.settimeout(1.0)
        manager._socket.recv(4096)
        pytest.fail("it spoke")
    manager._socket.setblocking(False)
    assert len(manager.heard()) == before
    alice.send_signal(signal.SIGCONT)
    until(lambda: len(manager.heard()) > before, "it lives again")


def test_where_it_hung_is_in_its_log_when_it_is_ended_for_that(formation: Formation, manager: Manager) -> None:
    alice = serviced(formation, manager).start()
    until(lambda: manager.count("READY=1"), "it is up")
    alice.send_signal(signal.SIGABRT)  # as systemd does after WatchdogSec
    assert alice.process is not None
    assert alice.process.wait(PATIENCE) == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in alice.log()
    assert "in _watch" in alice.log(), "all threads are there"


def test_a_drain_asks_for_its_time(formation: Formation, manager: Manager) -> None:
    alice = serviced(formation, manager, "--drain-delay", "600").start()
    until(lambda: manager.count("READY=1"), "it is up")
    alice.send_signal(signal.SIGTERM)
    until(lambda: "EXTEND_TIMEOUT_USEC=610000000" in manager.heard(), "it asks for ten minutes and ten seconds")
    assert "STATUS=stopping; serves for 600 s more" in manager.heard()


def test_its_engine_knows_of_no_service_manager(formation: Formation, manager: Manager) -> None:
    alice = serviced(formation, manager).start()
    until(lambda: manager.count("READY=1"), "it is up")
    for pid in alice.engine_pids():
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
