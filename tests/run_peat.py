"""Runs `peat` as a process of its own."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

PROGRAM = (sys.executable, "-c", "import sys; from cli.main import main; sys.exit(main())")

TIME_LIMIT = 60.0
"""Seconds. Only what hangs takes so long."""


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Peat:
    """Call it with arguments. A traceback is never an answer."""

    environ: Mapping[str, str]

    def __call__(self, *arguments: str, stdin: bytes = b"", **environ: str) -> Ended:
        done = subprocess.run(
            (*PROGRAM, *arguments),
            input=stdin,
            capture_output=True,
            env={**self.environ, **environ},
            timeout=TIME_LIMIT,
            check=False,
        )
        ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ended.err, ended.err
        return ended
