"""Real nodes, seen from outside: `peatd` as a process, its API asked over its unix socket.

`Formation` starts nodes that share a secret and ends whatever of it is left. `until` is the only place in these tests
where time passes: it asks again until the answer is yes, and fails at a deadline.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
from e2e.processes import command_line
from e2e.unix_http import Connection, Reply
from fakes.ports import free_address

from peatd.formation import new_formation_secret

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which something that should happen has not. Ten times what it takes on two busy cores."""

_PAUSE = 0.03
"""Seconds between two questions."""

STOP_WITHIN = 5.0
"""Seconds that an orderly stop may take, by contract: for tests of just that."""


class NotNow(OSError):
    """It answers, and says to come again."""


def until(condition: Callable[[], T], what: str, *, within: float = PATIENCE) -> T:
    """The first true answer. A node that does not answer has not said yes."""
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = answer = condition()
            if answer:
                return answer
        except (OSError, http.client.HTTPException) as error:
            last = error
        time.sleep(_PAUSE)
    pytest.fail(f"not within {within:g} s: {what}; last: {last!r}"[:4000])


@dataclass(eq=False)
class Node:
    """One `peatd` and its data directory; it may be started, stopped and killed again and again."""

    name: str
    directory: Path
    arguments: Sequence[str]
    environ: Mapping[str, str]
    mesh: str
    process: subprocess.Popen[bytes] | None = None
    before_exec: Callable[[], None] | None = field(default=None, repr=False)
    program: str | None = None

    @property
    def log_file(self) -> Path:
        return self.directory.with_suffix(".log")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> Self:
        """Returns at once; `wait_ready` when it is up."""
        assert self.process is None or self.process.poll() is not None, f"{self.name} is running"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [self.program or peatd(), *self.arguments],
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self.before_exec,
            )
        return self

    def wait_ready(self) -> Self:
        until(self.is_ready, f"{self.name} is ready")
        return self

    def is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"{self.name} ended with {self.process.returncode}: {self.log()[-2000:]}")
        return self.says_ready()

    def says_ready(self) -> bool:
        """Where it may end at any moment."""
        return self.stated().get("pid") == self.pid and self.ask("GET", "ready").status == 200

    def stated(self) -> dict[str, Any]:
        """What node.json says; nothing while it is not there."""
        try:
            return dict(json.loads((self.directory / "node.json").read_text()))
        except FileNotFoundError:
            return {}

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def catches(self, number: signal.Signals) -> bool:
        """Whether it has a say in what this signal does."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught, 16) >> (number - 1) & 1)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = PATIENCE) -> None:
        """In order, or the test has failed."""
        self.send_signal(number)
        self.wait_stopped(within=within)

    def wait_stopped(self, *, within: float = PATIENCE) -> None:
        """Waits for the end of an orderly stop."""
        assert self.process is not None
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} did not stop within {within:g} s")
        assert code == 0, f"{self.name} ended with {code}"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def connection(self, timeout: float = 20.0) -> Connection:
        return Connection(self.directory / "api.sock", timeout)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        with self.connection() as connection:
            return connection.ask(method, path, body, headers)

    def get(self, path: str) -> Any:
        reply = self.ask("GET", path)
        if reply.status == 503:
            raise NotNow(reply)
        assert reply.status == 200, reply
        return reply.json

    def write(self, method: str, name: str, body: Any = None, query: str = "") -> Reply:
        """A write that must succeed."""
        reply = self.ask(method, f"documents/{name}{query}", body)
        assert reply.status in (200, 201, 204), reply
        return reply

    def document(self, name: str) -> Any:
        return self.get(f"documents/{name}")["document"]

    def peers(self) -> dict[str, Any]:
        return {peer["id"]: peer for peer in self.get("peers")["peers"]}

    def linked(self) -> set[str]:
        return {name for name, peer in self.peers().items() if peer["connected"]}

    def engine_pids(self) -> list[int]:
        """Of its engine's processes: its children, once they are themselves and no copies of it."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"peatd.engine" in command_line(int(pid))]

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def events(self) -> list[dict[str, Any]]:
        """What it has logged, but for a line that it is writing just now."""
        whole, _, _ = self.log().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def has_logged(self, event: str) -> bool:
        return any(found["event"] == event for found in self.events())


class Formation:
    """Nodes that share a secret."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.secret_file = directory / "formation-secret"
        self.secret_file.write_text(f"{new_formation_secret()}\n")
        self.nodes: list[Node] = []

    def node(self, name: str, *arguments: str, peers: Sequence[str] = (), **environ: str) -> Node:
        """A node that is not started yet, and where it will listen. `peers` as `--peer` has them."""
        directory = self.directory / f"{name}-{len(self.nodes)}"
        mesh = free_address()
        options = ["--node-id", name, "--data-dir", str(directory), "--bind", mesh, "--api", "127.0.0.1:0"]
        options += ["--formation-secret-file", str(self.secret_file), "--log-format", "json"]
        options += [word for peer in peers for word in ("--peer", peer)]
        node = Node(name, directory, [*options, *arguments], bare_environ(self.directory) | environ, mesh)
        self.nodes.append(node)
        return node

    def mesh(self, *names: str, arguments: Sequence[str] = ()) -> list[Node]:
        """Nodes that are not started yet, each of which knows all others."""
        nodes = [self.node(name, *arguments) for name in names]
        for node in nodes:
            others = [f"{other.name}@{other.mesh}" for other in nodes if other is not node]
            node.arguments = [*node.arguments, *(word for peer in others for word in ("--peer", peer))]
        return nodes

    def end(self) -> None:
        for node in self.nodes:
            node.kill()


@contextlib.contextmanager
def formation_in(directory: Path) -> Iterator[Formation]:
    """A formation of which nothing is left when the block ends, and nothing went wrong that a log would tell."""
    formation = Formation(directory)
    try:
        yield formation
    finally:
        formation.end()
    for node in formation.nodes:
        assert "Traceback" not in node.log(), f"{node.name}: {node.log()[-4000:]}"


def up(*nodes: Node) -> None:
    """Starts them in this order, and waits until all are ready and linked with each other."""
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready()
    wait_linked(*nodes)


def wait_linked(*nodes: Node) -> None:
    names = {node.name for node in nodes}
    for node in nodes:
        until(lambda node=node: node.linked() >= names - {node.name}, f"{node.name} is linked")  # type: ignore[misc]


def seen(node: Node, name: str) -> tuple[int, str | None, Any]:
    """All that a node says of a document."""
    reply = node.ask("GET", f"documents/{name}")
    return reply.status, reply.headers.get("etag"), reply.json if reply.status == 200 else None


def wait_equal(nodes: Sequence[Node], *names: str) -> None:
    """Waits until all nodes say the same of these documents."""
    for name in names:

        def is_equal(name: str = name) -> bool:
            first, *others = (seen(node, name) for node in nodes)
            return first[0] in (200, 404) and all(other == first for other in others)

        until(is_equal, f"{name} is the same on all nodes: {[seen(node, name) for node in nodes]}")


def document_names(node: Node) -> list[str]:
    """Of all documents there."""
    names: list[str] = []
    query = "?limit=1000"
    while True:
        page = node.get(f"documents{query}")
        names += [listing["name"] for listing in page["documents"]]
        if "next" not in page:
            return names
        query = f"?limit=1000&after={page['next']}"


def peatd() -> str:
    found = shutil.which("peatd")
    assert found is not None, "install the project: the command `peatd` is not on the path"
    return found


def bare_environ(home: Path) -> dict[str, str]:
    """Next to nothing: neither settings nor a cluster of this machine's."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PEAT_SERVICE_ACCOUNT_DIR": "/nowhere"}
