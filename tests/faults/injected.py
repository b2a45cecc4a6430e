"""System calls of a node that fail, or kill it, where we want them to: by strace(1), which tampers with them."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import Node, peatd, until

WRITES = "pwrite64,fdatasync,fsync,ftruncate,fallocate"
"""What SQLite and we do to a disk. Neither pipes nor sockets are touched by it."""

_ATTACHED = 60.0
"""Seconds until strace has all threads of a process."""


def need_strace() -> None:
    """Skips where there is none, or where it may not do it."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace (Debian: apt-get install strace)")
    tried = subprocess.run(["strace", "-qq", "-e", "inject=fsync:error=EIO", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("strace may not trace here")


def killed_at(node: Node, count: int) -> Node:
    """The node, which the kernel will kill at the so many-th time that one of its threads writes to the disk.

    Each start by `Node.start` until `as_ever` is under strace; the process is the node's own, strace is its descendant.
    """
    options = ["-D", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={WRITES}"]
    options += ["-e", f"inject={WRITES}:signal=KILL:when={count}"]
    return Node(
        node.name, node.directory, [*options, peatd(), *node.arguments], node.environ, node.mesh, program=strace()
    )


def strace() -> str:
    found = shutil.which("strace")
    assert found is not None
    return found


@contextlib.contextmanager
def injected(node: Node, tampering: str, calls: str = WRITES) -> Iterator[None]:
    """While it lasts, these calls of the running node end as strace's `-e inject=` has it: `error=EIO`."""
    command = [strace(), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:{tampering}"]
    with subprocess.Popen([*command, "-p", str(node.pid)], stderr=subprocess.PIPE) as tracer:
        try:
            until(lambda: is_traced(node), f"strace has attached to {node.name}", within=_ATTACHED)
            yield
        finally:
            tracer.send_signal(signal.SIGINT)  # it lets go of the process, and ends
            tracer.wait(_ATTACHED)


def is_traced(node: Node) -> bool:
    """Whether all its threads are."""
    statuses = [path.read_text() for path in Path(f"/proc/{node.pid}/task").glob("*/status")]
    return not any("TracerPid:\t0\n" in status for status in statuses)


def wait_ended(node: Node, within: float) -> bool:
    """Whether the process has ended by then."""
    assert node.process is not None
    with contextlib.suppress(subprocess.TimeoutExpired):
        node.process.wait(within)
    return node.process.poll() is not None


def lapse(duration: float) -> None:
    """Lets so many seconds pass, for what has to be seen to last."""
    deadline = time.monotonic() + duration
    until(lambda: time.monotonic() >= deadline, "time passes", within=duration + 60)
