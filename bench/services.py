"""The servers that are measured beside each other, as their manuals set them up, all processes of this machine.

    peatd                  two nodes, with disks and engines
    hocuspocus             two @hocuspocus/server with the Redis extension, and Debian's redis-server
    y-websocket            @y/websocket-server, which is one process and has no second
    pycrdt-websocket       the same, under hypercorn

None but peatd keeps anything on a disk. What is not on this machine is left out, and said to be: `nox -s bench` hands
in where the packages of npm and PyPI are.
"""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.crowd import PATIENCE, Place, crowd
from bench.daemons import Daemon, bare_environ, processor_seconds, tree
from peatd.clients import hocuspocus

NODE_PEERS, PYTHON_PEERS = "PEAT_BENCH_NODE_PEERS", "PEAT_BENCH_PYTHON_PEERS"
"""Environment: a directory with the programs of bench/peers and their packages; a Python that has pycrdt-websocket."""
OURS = "peatd"


@dataclass(frozen=True, slots=True)
class Service:
    """A running service.

    Attributes:
        place: where a document (by its id) is had at the server of this number.
        servers: how many there are.
        roots: pids, each of a process that belongs to it with all its children.
        confirming: a place where each update is confirmed; None if that is not spoken there.
    """

    name: str
    place: Callable[[str, int], Place]
    servers: int
    roots: Sequence[int]
    confirming: Callable[[str, int], Place] | None = None

    def cpu(self) -> float:
        """Seconds that all its processes have used."""
        return processor_seconds(self.pids())

    def resident(self) -> float:
        """MB of all its processes; pages that several map count in each."""
        return sum(_memory(pid, "VmRSS") for pid in self.pids())

    def peak(self) -> float:
        """The same, each at its highest since `forget_peak`."""
        return sum(_memory(pid, "VmHWM") for pid in self.pids())

    def forget_peak(self) -> None:
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5)

    def pids(self) -> list[int]:
        return [pid for root in self.roots for pid in tree(root)]


@contextlib.contextmanager
def services(directory: Path, *, only_ours: bool) -> Iterator[tuple[list[Service], list[str]]]:
    """Those that run here, ours first, and why others do not."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(_ours(directory))]
        missing = []
        for name, lacks, start in () if only_ours else _PEERS:
            if lack := lacks():
                missing.append(f"{name}: {lack}")
            else:
                running.append(stack.enter_context(start(directory)))
        yield running, missing


@contextlib.contextmanager
def _ours(directory: Path) -> Iterator[Service]:
    with contextlib.ExitStack() as stack:
        nodes: list[Daemon] = []
        for name in ("alice", "bob"):
            peers = [option for node in nodes for option in ("--peer", node.mesh)]
            daemon = Daemon(directory, name, "--clients", "127.0.0.1:0", *peers)
            nodes.append(stack.enter_context(daemon).wait_ready())
        for node in nodes:
            node.wait_linked(1)
        ports = [node.clients_port for node in nodes]

        def place(document: str, number: int) -> Place:
            return Place(ports[number], f"/sync/bench/{document}")

        def confirming(document: str, number: int) -> Place:
            return Place(ports[number], "/hocuspocus/bench", hocuspocus.prefix(document))

        yield Service(OURS, place, len(nodes), [node.process.pid for node in nodes], confirming)


@contextlib.contextmanager
def _hocuspocus(directory: Path) -> Iterator[Service]:
    with contextlib.ExitStack() as stack:
        port = _free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        store = stack.enter_context(_process([*command, "--dir", str(directory)]))
        _wait_connected(port)
        script = ["node", str(_node_peers() / "hocuspocus.mjs")]
        servers = [stack.enter_context(_process([*script, name, str(port)])) for name in ("alice", "bob")]
        ports = [_port(server) for server in servers]

        def place(document: str, number: int) -> Place:
            return Place(ports[number], "/", hocuspocus.prefix(document))

        yield Service("hocuspocus", place, len(servers), [server.pid for server in (*servers, store)], place)


@contextlib.contextmanager
def _y_websocket(_directory: Path) -> Iterator[Service]:
    with _process(["node", str(_node_peers() / "y-websocket.mjs")]) as server:
        port = _port(server)
        yield Service("y-websocket", lambda document, _: Place(port, f"/{document}"), 1, [server.pid])


@contextlib.contextmanager
def _pycrdt_websocket(_directory: Path) -> Iterator[Service]:
    program = str(Path(__file__).parent / "peers" / "pycrdt_server.py")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [os.environ.get(PYTHON_PEERS, sys.executable), program, str(listener.fileno())]
        with _process(command, pass_fds=(listener.fileno(),)) as server:
            port = listener.getsockname()[1]
            with crowd() as people:
                people.join(Place(port, "/started"))
            yield Service("pycrdt-websocket", lambda document, _: Place(port, f"/{document}"), 1, [server.pid])


def _lacks_hocuspocus() -> str:
    return _lacks_node() or ("" if shutil.which("redis-server") else "there is no redis-server")


def _lacks_node() -> str:
    if shutil.which("node") is None:
        return "there is no Node.js"
    return "" if NODE_PEERS in os.environ else f"{NODE_PEERS} does not say where its packages are"


def _lacks_pycrdt() -> str:
    if PYTHON_PEERS in os.environ or importlib.util.find_spec("pycrdt.websocket"):
        return ""
    return f"{PYTHON_PEERS} does not say which Python has it"


_PEERS: Sequence[tuple[str, Callable[[], str], Callable[[Path], contextlib.AbstractContextManager[Service]]]] = (
    ("hocuspocus", _lacks_hocuspocus, _hocuspocus),
    ("y-websocket", _lacks_node, _y_websocket),
    ("pycrdt-websocket", _lacks_pycrdt, _pycrdt_websocket),
)


def _node_peers() -> Path:
    return Path(os.environ[NODE_PEERS])


@contextlib.contextmanager
def _process(command: Sequence[str], pass_fds: Sequence[int] = ()) -> Iterator[subprocess.Popen[str]]:
    environ = bare_environ()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ, pass_fds=pass_fds
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(process: subprocess.Popen[str]) -> int:
    """What it prints first."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.strip().isdigit():
        raise RuntimeError(f"{process.args!r} did not start")
    return int(line)


def _free_port() -> int:
    """For a server that cannot be handed a socket nor say which port it took."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_connected(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise TimeoutError(f"nobody listens on port {port}")


def _memory(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024
