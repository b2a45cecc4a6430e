"""What an idle node keeps resident, its engine's process included."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench.daemons import Daemon, bare_environ
from bench.fakes import FakeApiServer, endpoint_slice, pod
from bench.table import Row

STATIC_MB, KUBERNETES_MB = 75.0, 105.0

_SETTLED = 5.0
"""Seconds after which nothing of the start is still going on; one where it need not be exact."""


def measure(*, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        directory = Path(made)
        server = stack.enter_context(FakeApiServer())
        server.put(endpoint_slice("mesh", pod("kubernetes", "127.0.0.1")))
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_bytes(_kubeconfig(server.url))
        daemons = {
            "idle, static": stack.enter_context(Daemon(directory, "static", "--peer", "127.0.0.1:1")),
            "idle, Kubernetes": stack.enter_context(
                Daemon(
                    directory,
                    "kubernetes",
                    *("--discovery", "kubernetes", "--namespace", "peat", "--kubeconfig", str(kubeconfig)),
                )
            ),
        }
        for daemon in daemons.values():
            daemon.wait_ready()
        time.sleep(1.0 if quick else _SETTLED)
        bare = 2 * _bare_python()
        targets = dict(zip(daemons, (STATIC_MB, KUBERNETES_MB), strict=True))
        return [_row(what, daemon, targets[what], bare) for what, daemon in daemons.items()]


def _row(what: str, daemon: Daemon, target: float, bare: float) -> Row:
    node, *engines = daemon.pids()
    resident = [_mebibytes(pid, "Rss") for pid in (node, *engines)]
    # What only the engine has, beside all of the node's: pages that they share, Python's own above all, count once.
    at_once = resident[0] + sum(_mebibytes(pid, "Private_Clean", "Private_Dirty") for pid in engines)
    parts = " + ".join(f"{size:.1f}" for size in resident)
    note = f"node + engine: {parts}; {at_once:.1f} where pages that both map count once"
    return Row(what, sum(resident), "MiB", target, beside=("two bare Pythons", bare), note=note)


def resident_mebibytes(pids: Sequence[int]) -> float:
    """What these processes keep resident, together."""
    return sum(_mebibytes(pid, "Rss") for pid in pids)


def _bare_python() -> float:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=bare_environ()) as process:
        time.sleep(0.5)
        size = _mebibytes(process.pid, "Rss")
        process.communicate(b"\n")
    return size


def _mebibytes(pid: int, *what: str) -> float:
    """The sum of these, of proc(5)'s `smaps_rollup`."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(size) for name, size, *_ in map(str.split, lines)}
    return sum(sizes[f"{name}:"] for name in what) / 1024


def _kubeconfig(url: str) -> bytes:
    """JSON is YAML."""
    return msgspec.json.encode(
        {
            "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": url}}],
            "users": [{"name": "bench", "user": {"token": "bench"}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        }
    )
