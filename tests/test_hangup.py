"""SIGHUP: a reload, and the end where the terminal has gone."""

import os
import pty
import signal
import subprocess
import sys

import trio
from trio.testing import wait_all_tasks_blocked

from peatd import hangup

_PROGRAM = """
import trio
from peatd.hangup import follow_hangups

async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow_hangups, lambda: print("reload", flush=True), nursery.cancel_scope.cancel)
        await trio.testing.wait_all_tasks_blocked()
        print("up", flush=True)
    print("stopped", flush=True)

import trio.testing
trio.run(main)
"""


async def test_a_hangup_is_a_reload() -> None:
    reloads, stops = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hangup.follow_hangups, reloads.set, stops.set)
        await wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGHUP)
        await reloads.wait()
        nursery.cancel_scope.cancel()
    assert not stops.is_set()


def test_where_the_terminal_has_gone_it_is_the_end() -> None:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-c", _PROGRAM],
        stdin=terminal,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.environ["PATH"]},
    )
    os.close(terminal)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"up\n"
        os.kill(process.pid, signal.SIGHUP)
        assert process.stdout.readline() == b"reload\n", "the terminal is there still"
        os.close(main)  # which makes the kernel send one
        assert process.stdout.readline() == b"stopped\n"
    assert process.wait(30) == 0
