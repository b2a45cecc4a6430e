"""The dead that nobody else waits for: a container's first process inherits each process whose parent is gone.

`kubectl exec`, a probe or a debugger leave some behind, and a process that has ended keeps its number until its parent
asks for its exit status. Nobody but us can ask, so pods whose first process does not ask run out of process ids.
"""

import math
import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress

import trio

FIRST_PROCESS = 1
"""The process id of whoever inherits orphans: the first of a PID namespace. See pid_namespaces(7)."""

_WNOTHREAD = 0x20000000
"""`__WNOTHREAD` of waitpid(2), which Python does not name: only the calling thread's children. Orphans become the main
thread's; what a library starts in a thread of its own (a kubeconfig's `exec`) is that thread's to wait for."""

_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT | _WNOTHREAD

_MOMENT = 0.05
"""Seconds in which whoever started a process has usually noticed its end."""


async def reap(ours: Callable[[], Collection[int]]) -> None:
    """Takes in orphans as they end, until cancelled. In the main thread.

    Args:
        ours: the process ids of the main thread's own children: whoever started one also waits for it.
    """
    with trio.open_signal_receiver(signal.SIGCHLD) as ends:
        while True:
            is_done = reap_ended(ours())
            with trio.move_on_after(math.inf if is_done else _MOMENT):
                await anext(ends)


def reap_ended(ours: Collection[int]) -> bool:
    """Takes in the orphans that have ended.

    Returns:
        Whether these were all. The kernel shows one ended child at a time: behind one of `ours` there may be others.
    """
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, _LOOK):
            if ended.si_pid in ours:
                return False
            # It stays there between look and grip: nobody else waits for it.
            os.waitpid(ended.si_pid, os.WNOHANG)
    return True
