"""Real nodes as processes of this machine, asked over their unix sockets."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bench.fakes import Connection
from peatd.formation import Formation, new_formation_secret, parse_formation_secret
from peatd.identity import Keypair
from peatd.papers.certificates import mint
from peatd.transport import Credentials
from peatd.transport.tls import order_papers

PATIENCE = 60.0
"""Seconds after which something is broken and not slow."""

_PAUSE, _SELDOM = 0.002, 0.05
"""Seconds; the second for what the node has to work for, and is measured at work."""
_FORMATION = "peat"  # what peatd calls one that was given no name


class Daemon:
    """A running `peatd`.

    Attributes:
        started_at: `time.perf_counter()` just before its process was.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        *options: str,
        environ: Mapping[str, str] | None = None,
        bind: str = "127.0.0.1:0",
    ) -> None:
        self.directory = directory / name
        self._log = directory / f"{name}.log"
        command = [sys.executable, "-m", "peatd", "--node-id", name, "--data-dir", str(self.directory)]
        command += ["--bind", bind, "--api", "127.0.0.1:0", *options]
        command += ["--formation-secret-file", str(secret_file(directory))]
        with self._log.open("ab") as log:
            self.started_at = time.perf_counter()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**bare_environ(), **(environ or {})})
        self._api: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_ready(self) -> Self:
        self._wait(lambda: self.ask("GET", "ready")[0] == 200)
        return self

    def wait_linked(self, count: int) -> None:
        self._wait(lambda: sum(peer["connected"] for peer in self.ask("GET", "peers")[1]["peers"]) == count)

    def wait_documents(self, count: int) -> None:
        self._wait(lambda: f"peat_documents {count}.0" in self.text("/metrics"), _SELDOM)

    @property
    def mesh(self) -> str:
        return str(json.loads((self.directory / "node.json").read_text())["mesh"])

    @property
    def clients_port(self) -> int:
        """Where Yjs clients connect, if it was told to listen for them."""
        return int(json.loads((self.directory / "node.json").read_text())["clients"].rpartition(":")[2])

    def ask(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        """Status and JSON. The connection is kept for the next question.

        Args:
            value: bytes go as they are, all else as JSON.
        """
        self.question(method, path, value)
        return self.answer()

    def text(self, path: str) -> str:
        """What is there, outside the API's versioned part; over a connection of its own."""
        api = Connection(self.directory / "api.sock", PATIENCE)
        try:
            api.request("GET", path)
            return str(api.getresponse().read(), "utf-8")
        finally:
            api.close()

    def question(self, method: str, path: str, value: Any = None) -> None:
        """The first half of `ask`: others can be asked before `answer` waits for this one."""
        if self._api is None:
            self._api = Connection(self.directory / "api.sock", PATIENCE)
        body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        kind = "application/octet-stream" if isinstance(value, bytes) else "application/json"
        try:
            self._api.request(method, f"/api/v1/{path}", body, {"Content-Type": kind} if body else {})
        except (OSError, http.client.HTTPException):
            self._hang_up()
            raise

    def answer(self) -> tuple[int, Any]:
        assert self._api is not None
        try:
            response = self._api.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self._hang_up()
            raise
        return response.status, json.loads(answer) if answer else None

    def pids(self) -> list[int]:
        """Of its whole tree, its own first."""
        return tree(self.process.pid)

    def _hang_up(self) -> None:
        if self._api is not None:
            self._api.close()
        self._api = None

    def _wait(self, condition: Any, pause: float = _PAUSE) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended: {self._log.read_text()[-2000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if condition():
                    return
            time.sleep(pause)
        raise TimeoutError(f"not within {PATIENCE:g} s; its log: {self._log.read_text()[-2000:]}")


@contextlib.contextmanager
def mesh(directory: Path, names: Sequence[str]) -> Iterator[list[Daemon]]:
    """Nodes that are all linked with each other; each was told of those before it."""
    with contextlib.ExitStack() as stack:
        daemons: list[Daemon] = []
        for name in names:
            peers = [option for other in daemons for option in ("--peer", other.mesh)]
            daemons.append(stack.enter_context(Daemon(directory, name, *peers)).wait_ready())
        for daemon in daemons:
            daemon.wait_linked(len(names) - 1)
        yield daemons


def secret_file(directory: Path) -> Path:
    """Of the formation of this directory; made when first asked for."""
    path = directory / "formation-secret"
    if not path.exists():
        path.touch(0o600)
        path.write_text(f"{new_formation_secret()}\n")
    return path


def credentials(directory: Path, name: str) -> Credentials:
    """Those of a node of this directory's formation."""
    secrets = parse_formation_secret(secret_file(directory).read_text(), "bench")
    keypair, formation = Keypair.from_seed(secrets[0], name), Formation(_FORMATION, secrets)
    return Credentials(keypair, formation, mint(order_papers(keypair, formation)))


def bare_environ() -> dict[str, str]:
    """Nothing of this shell's settings, of its Python's in particular."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), "HOME": "/nonexistent"}


def processor_seconds(pids: Iterable[int]) -> float:
    """What these processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and all below it, itself first."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(found for child in children for found in tree(child))]
