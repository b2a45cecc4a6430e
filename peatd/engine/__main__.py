"""`python -m peatd.engine --engine y-py`: the engine process. Its node starts it; nobody else has a use for it.

Reads all the requests that are there, answers them in order, writes the replies of a batch at once, but holds none back
for long: its node has to know what it is at when it is silent. It ends when its node does: at the end of stdin, or by
the kernel's signal when the node dies while the library loops.
"""

import argparse
import ctypes
import gc
import os
import resource
import signal
import sys
import time

from peatd.engine.document import AT_ONCE_BYTES
from peatd.engine.engine import Engine
from peatd.engine.library import Library
from peatd.engine.protocol import Done, Frames, decode_request, frame, stands_alone

_READ_BYTES = 64 * 1024
_READ_MORE_BYTES = 1024 * 1024
"""Read at once, and where the last read was full: memory for so much comes from the kernel and goes back each time."""
_FLUSH_BYTES = 256 * 1024
_FLUSH_INTERVAL = 0.05
"""Replies are written at the latest when so much of them is waiting, or after so many seconds: the node waits for none
that is there, and sees that we are well."""

_READING = 64
"""The least memory, in terms of what a library is given at once: it takes sixteen times as much to read that, beside
the document and the answer."""

_PR_SET_PDEATHSIG = 1
_EXIT_NO_LIBRARY = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="peatd.engine")
    parser.add_argument("--engine", choices=["y-py", "pycrdt"], required=True)
    parser.add_argument("--memory-bytes", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    _tie_to_parent(args.parent)
    try:
        library = _library(args.engine)
    except ImportError as exc:
        print(exc, file=sys.stderr)
        return _EXIT_NO_LIBRARY
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(args.memory_bytes)
    engine = Engine(library, _new_client, min(AT_ONCE_BYTES, args.memory_bytes // _READING))
    gc.freeze()
    try:
        _serve(engine)
    except MemoryError:
        os.write(sys.stderr.fileno(), b"MemoryError\n")  # a traceback would want memory, too
        return 1
    return 0


def _tie_to_parent(parent: int) -> None:
    # Ctrl-C in a terminal, and what stops a whole group of processes, is the node's to obey: it ends us when it can.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)  # it died before the line above


def _limit_memory(above_start: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  # a path in /proc
        started = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (started + above_start,) * 2)


def _library(name: str) -> Library:
    if name == "pycrdt":
        from peatd.engine.pycrdt import Pycrdt

        return Pycrdt()
    from peatd.engine.y_py import YPy

    return YPy()


def _new_client() -> int:
    # Not from `secrets` or `random`: they load OpenSSL, which is a quarter of this process's memory.
    return int.from_bytes(os.urandom(4))


def _serve(engine: Engine) -> None:
    requests, replies = sys.stdin.fileno(), sys.stdout.fileno()
    frames = Frames()
    _write(replies, frame(Done()))  # says that we are up
    read_bytes = _READ_BYTES
    while chunk := os.read(requests, read_bytes):
        read_bytes = _READ_BYTES if len(chunk) < _READ_BYTES else _READ_MORE_BYTES
        waiting = bytearray()
        written = time.monotonic()
        for body in frames.receive(chunk):
            request = decode_request(body)
            is_slow = stands_alone(request)
            if waiting and (is_slow or len(waiting) >= _FLUSH_BYTES or time.monotonic() - written >= _FLUSH_INTERVAL):
                _write(replies, waiting)
                waiting.clear()
                written = time.monotonic()
            waiting += frame(engine.handle(request))
            if is_slow:
                _write(replies, waiting)
                waiting.clear()
        _write(replies, waiting)


def _write(fd: int, data: bytes | bytearray) -> None:
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(fd, view[written:])


if __name__ == "__main__":
    sys.exit(main())
