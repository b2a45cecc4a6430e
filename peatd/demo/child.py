"""One node of a demo: an ordinary `peatd` process, which we start, kill and stop.

It is in a process group of its own: Ctrl-C on the terminal reaches us alone, and we stop it in order. Sent to both it
would be two signals, and the second ends a node at once.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence

import trio

from peatd.demo.places import Place

STOPPING = 8.0
"""Seconds for an orderly stop, which takes a node 5 at most, on a busy machine."""


class Child:
    """Invariants:
    1. Never are there two processes of one node: `start` and `kill` take turns.
    2. An end that nobody asked for is told, once.
    3. After `stop` there is none: whoever asks for it then is too late.
    """

    def __init__(self, place: Place, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.place = place
        self._command = command
        self._environ = environ
        self._process: trio.Process | None = None
        self._started = trio.Event()
        self._turn = trio.Lock()
        self._is_asked_to_end = False
        self._is_over = False

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Starts it, unless it runs."""
        async with self._turn:  # Invariant 1
            if self.is_running or self._is_over:  # Invariant 3
                return
            self._is_asked_to_end = False
            with self.place.log.open("ab") as log:
                self._process = await trio.lowlevel.open_process(
                    self._command,
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,
                )
            self._started.set()

    async def kill(self) -> None:
        """Ends it at once; returns when it is gone."""
        async with self._turn:
            self.kill_now()
            if self._process is not None:
                await self._process.wait()

    async def stop(self) -> None:
        """Ends it in order, and at once if that takes too long; for good (invariant 3)."""
        self._is_over = True
        async with self._turn:
            if self._process is None or not self.is_running:
                return
            self._is_asked_to_end = True
            self._process.terminate()
            with trio.move_on_after(STOPPING):
                await self._process.wait()
            self.kill_now()
            await self._process.wait()

    def kill_now(self) -> None:
        """Sends the signal and no more: a second Ctrl-C waits for nobody."""
        if self._process is not None and self.is_running:
            self._is_asked_to_end = True
            self._process.kill()

    async def watch(self, tell: Callable[[str], None]) -> None:
        """Tells of every end that nobody asked for (invariant 2)."""
        while True:
            await self._started.wait()
            self._started = trio.Event()
            assert self._process is not None
            await self._process.wait()
            if not self._is_asked_to_end:
                tell(self.last_words())

    def last_words(self) -> str:
        """How it ended, the last line of its log, and where there is more."""
        code = self._process.returncode if self._process is not None else None
        assert code is not None, "it runs"
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        lines = self.place.log.read_text(encoding="utf-8", errors="replace").splitlines()
        last = lines[-1] if lines else "it has logged nothing"
        return f"{self.place.name} ended with {how}: {last} (its log: {self.place.log})"
