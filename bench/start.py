"""How long starts take: the daemon's, until it says that it is ready, and that of `peat ready`, which is a probe."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.daemons import Daemon, bare_environ
from bench.table import Row, percentile, tails

READY_WITHIN = 1.5
PROBE_RATIO = 4.0


def measure(*, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        ready, bare, probe = [], [], []
        for number in range(3 if quick else 15):
            with Daemon(directory, f"node-{number}") as daemon:
                daemon.wait_ready()
                ready.append(time.perf_counter() - daemon.started_at)
                for _ in range(5 if quick else 10):  # in turns, so that both meet the same moods of the machine
                    bare.append(_run(sys.executable, "-c", "pass"))
                    probe.append(_run(_peat(), "ready", "--api", f"unix:{daemon.directory}/api.sock"))
    python = percentile(bare, 0.5)
    return [
        Row(
            "ready after exec",
            percentile(ready, 0.5),
            "s",
            READY_WITHIN,
            beside=("python -c pass", python),
            note=tails(ready),
        ),
        Row(
            "peat ready",
            1000 * percentile(probe, 0.5),
            "ms",
            PROBE_RATIO * 1000 * python,
            beside=("python -c pass", 1000 * python),
            note=tails(probe),
        ),
    ]


def _run(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=bare_environ())
    return time.perf_counter() - started


def _peat() -> str:
    return str(Path(sys.executable).with_name("peat"))
