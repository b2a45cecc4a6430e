"""The node's side of the minting process: one order, one answer."""

import os
import subprocess
import sys

import msgspec
import trio

from peatd.papers.order import Order, Papers
from peatd.threads import needing_threads


async def mint_apart(order: Order) -> tuple[Papers, ...]:
    """The papers that `order` asks for, in its order, minted in a process that has ended when this returns.

    Raises:
        OSError: if that process could not be started, or (ChildProcessError) failed, with what it said last.
    """
    command = [sys.executable, "-m", "peatd.papers"]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        with needing_threads():
            ended: subprocess.CompletedProcess[bytes] = await trio.run_process(
                command,
                stdin=msgspec.msgpack.encode(order),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=environment,
            )
    except ExceptionGroup as exc:  # of the tasks that read and wait: no thread, no memory
        raise ChildProcessError(f"the process that mints certificates cannot be heard: {exc.exceptions[0]}") from exc
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ChildProcessError(f"the process that mints certificates ended with {ended.returncode}: {said}")
    try:
        return msgspec.msgpack.decode(ended.stdout, type=tuple[Papers, ...])
    except msgspec.DecodeError:
        # A container's first process waits for all (orphans.py), and whoever comes second reads that it ended well.
        raise ChildProcessError("the process that mints certificates has ended without any") from None
