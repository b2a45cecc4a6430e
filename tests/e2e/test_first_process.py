"""peatd as a container's first process, in a PID namespace of its own: nothing that ends in there stays a zombie."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from e2e.nodes import PATIENCE, Formation, Node, peatd, until
from e2e.processes import command_line

_NAMESPACE = ["--user", "--map-root-user", "--pid", "--mount"]


@pytest.fixture
def first(formation: Formation) -> Iterator["First"]:
    if subprocess.run(["unshare", *_NAMESPACE, "--fork", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets us make no namespaces")
    process = First(formation.node("alice"))
    try:
        until(lambda: process.node.ask("GET", "ready").status == 200, "it is ready")
        yield process
    finally:
        process.unshare.kill()
        process.unshare.wait()


class First:
    """A node whose process has the number 1 where it is."""

    def __init__(self, node: Node) -> None:
        self.node = node
        command = ["unshare", *_NAMESPACE, "--mount-proc", "--fork", "--kill-child", peatd(), *node.arguments]
        with node.log_file.open("ab") as log:
            self.unshare = subprocess.Popen(command, env=dict(node.environ), stdout=log, stderr=log)
        (self.pid,) = until(lambda: children(self.unshare.pid), "it has started")

    def run_inside(self, *command: str) -> str:
        """As `kubectl exec` does: the parent of what runs is outside."""
        enter = ["nsenter", f"--target={self.pid}", "--user", "--preserve-credentials", "--pid", "--mount"]
        return subprocess.run([*enter, *command], check=True, stdout=subprocess.PIPE, text=True).stdout

    def engines(self) -> list[int]:
        return [pid for pid in children(self.pid) if b"peatd.engine" in command_line(pid)]

    def states(self) -> Sequence[str]:
        """Of its children, as proc(5) has them: `Z` is a zombie."""
        stats = [Path(f"/proc/{pid}/stat").read_text() for pid in children(self.pid)]
        return [stat.rpartition(")")[2].split()[0] for stat in stats]


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_it_takes_in_what_others_leave_behind(first: First) -> None:
    assert first.node.stated()["pid"] == 1
    for _ in range(5):
        first.run_inside("sh", "-c", "true & true & exit 0")
    until(lambda: len(first.states()) == 1, "only the engine is left of its children")


def test_it_still_learns_how_its_engine_ended(first: First) -> None:
    for _ in range(3):
        (engine,) = until(first.engines, "the engine is up")
        first.run_inside("sh", "-c", "true & exit 0")
        os.kill(engine, signal.SIGKILL)
        until(lambda killed=engine: killed not in children(first.pid), "the killed one is gone")  # type: ignore[misc]
        first.node.write("PUT", "first/a", {})
    codes = [event["code"] for event in first.node.events() if event["event"] == "engine.ended"]
    assert codes == [-signal.SIGKILL] * 3
    until(lambda: "Z" not in first.states(), "there is no zombie")


def test_it_stops_in_order(first: First) -> None:
    os.kill(first.pid, signal.SIGTERM)
    assert first.unshare.wait(PATIENCE) == 0
