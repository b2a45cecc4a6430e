"""One engine process as seen from its node: pipes, vital signs, and an end that leaves neither orphan nor zombie."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import trio

_PIPE_BYTES = 1024 * 1024
"""The most that Linux gives without privileges: sixteen times the default, hence fewer wake-ups."""

_READ_BYTES = 64 * 1024
"""Taken from the pipe at once, unless there was more than that the last time. Memory for more comes from the kernel and
goes back to it with each read, which costs as much as the read."""

_STDERR_BYTES = 2000
"""Kept of what the process said last: a panic's message, for the quarantine's reason."""

_GRACE = 1.0
"""Seconds from the end of its stdin until it is killed."""

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class WorkerProcess:
    """A running engine process.

    Started by the trio thread itself, not by one of its helpers: the kernel's signal at the parent's death is sent when
    the *thread* that started the child ends.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Raises: OSError: there is no descriptor, memory or process left for it; nothing stays of the attempt."""
        child_in, our_out, our_in, child_out, our_err, child_err = _pipes(3)
        try:
            # No environment: the process that reads hostile bytes has no business with the node's secrets.
            environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "RUST_BACKTRACE": "0"}
            self._popen = subprocess.Popen(command, stdin=child_in, stdout=child_out, stderr=child_err, env=environment)
            self._pidfd = _pidfd_of(self._popen)
        except BaseException:
            for fd in (our_in, our_out, our_err):
                os.close(fd)
            raise
        finally:
            for fd in (child_in, child_out, child_err):
                os.close(fd)
        for fd in (our_in, our_out):
            with contextlib.suppress(OSError):  # over the user's pipe quota: slower, not wrong
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._requests = trio.lowlevel.FdStream(our_out)
        self._replies = trio.lowlevel.FdStream(our_in)
        self._stderr = trio.lowlevel.FdStream(our_err)
        self._said = b""
        self._read_bytes = _READ_BYTES
        self.pid = self._popen.pid

    async def send(self, data: bytes | bytearray) -> None:
        """Does nothing once the process is gone: its reader notices that."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            written = self.send_at_once(data)
            if written < len(data):
                await self._requests.send_all(memoryview(data)[written:])

    def send_at_once(self, data: bytes | bytearray) -> int:
        """How many bytes the pipe took at once: nearly always all, and `send_all` would take a turn of the loop first.
        Not while `send` runs."""
        try:
            return os.write(self._requests.fileno(), data)
        except OSError:
            return 0  # it is full, or gone: `send_all` tells which

    async def receive(self) -> bytes:
        """What is there of its replies; empty at their end."""
        fd = self._replies.fileno()
        while True:
            await trio.lowlevel.wait_readable(fd)  # `receive_some` would take a turn of the loop, and then try in vain
            with contextlib.suppress(BlockingIOError):
                received = os.read(fd, self._read_bytes)
                self._read_bytes = _READ_BYTES if len(received) < _READ_BYTES else _PIPE_BYTES
                return received

    async def listen(self) -> None:
        """Keeps the last of what it says on stderr, until it has ended."""
        while chunk := await self._stderr.receive_some(_STDERR_BYTES):
            self._said = (self._said + chunk)[-_STDERR_BYTES:]

    @property
    def last_words(self) -> str:
        """Of a panic the message, not the backtrace."""
        lines = self._said.decode(errors="replace").splitlines()
        told = [line.strip() for line in lines if line.strip() and not line.startswith(("note:", "stack backtrace"))]
        return " ".join(told)[:500]

    def finish(self) -> None:
        """Lets it end after what it was sent."""
        self._requests.close()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def end(self) -> int:
        """Ends and reaps it, within bounds even when cancelled; its return code as `subprocess` has it."""
        with trio.CancelScope(shield=True):
            self.finish()
            with trio.move_on_after(_GRACE) as scope:
                await trio.lowlevel.wait_readable(self._pidfd)
            if scope.cancelled_caught:
                self.kill()
                await trio.lowlevel.wait_readable(self._pidfd)
            with trio.move_on_after(_GRACE):
                await self.listen()
        for stream in (self._replies, self._stderr):
            stream.close()
        os.close(self._pidfd)
        return self._popen.wait()

    def cpu_time(self) -> float:
        """Seconds of processor time so far; 0 where the system does not say."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS if fields else 0.0

    def is_stopped(self) -> bool:
        """By SIGSTOP or a debugger."""
        return self._stat()[:1] in (["T"], ["t"])

    def resident_bytes(self) -> int:
        fields = self._stat()
        return int(fields[21]) * _PAGE_BYTES if fields else 0

    def _stat(self) -> list[str]:
        """The fields of proc(5)'s `stat` from the third, the state, on."""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:  # noqa: PTH123
                return stat.read().rpartition(")")[2].split()
        except OSError:
            return []


def _pidfd_of(process: subprocess.Popen[bytes]) -> int:
    """Raises: OSError: and then the process has ended."""
    try:
        return os.pidfd_open(process.pid)
    except OSError:
        process.kill()
        process.wait()
        raise


def _pipes(count: int) -> list[int]:
    """The ends of so many pipes, each to read from and to write to; or none."""
    ends: list[int] = []
    try:
        for _ in range(count):
            ends += os.pipe()
    except OSError:
        for end in ends:
            os.close(end)
        raise
    return ends
