"""A shell, as the reader of a guide has it."""

import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

_END = "~~~end~~~"
_LOOKS = 100
_LONGEST = 300.0
"""Seconds until it is ended. Each command has a patience of its own: this is for one that hangs."""


class Shell:
    """One that runs commands one by one, and jobs beside them."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self._errors = home / "errors"
        with self._errors.open("wb") as errors:
            self._bash = subprocess.Popen(
                ["bash", "--norc"],
                cwd=home,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._patience = threading.Timer(_LONGEST, self._bash.kill)

    def run(self, command: str) -> str:
        """What it prints."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}echo '{_END}'\n")
        self._bash.stdin.flush()
        output = ""
        while not output.endswith(f"{_END}\n"):
            line = self._bash.stdout.readline()
            assert line, f"the shell has ended: {output}{self.errors()}"
            output += line
        return output.removesuffix(f"{_END}\n")

    def shows(self, command: str, expected: str, seen: Callable[[str], str], *, is_look: bool = False) -> None:
        """It prints that, as `seen` sees it. Who looks at what becomes so by itself, and was too quick, looks again."""
        for _ in range(_LOOKS if is_look else 1):
            given = seen(self.run(command))
            if given == expected:
                return
        assert given == expected, f"{command}{self.errors()}"

    def errors(self) -> str:
        return self._errors.read_text()

    def __enter__(self) -> Self:
        self._patience.start()
        self.run("set -m\n")
        return self

    def __exit__(self, *_: object) -> None:
        with self._bash:
            self._bash.communicate("kill $(jobs -p) 2> /dev/null\nwait\n")
        self._patience.cancel()
