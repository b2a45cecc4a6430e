"""Five thousand strangers at each port of a node: what they cost it, and a peer that is linked with it.

They connect as fast as one process can, say nothing, and stay. `python -m bench.flood HOST:PORT COUNT` is that process,
`python -m bench.flood --listen` a listener that is no node.
"""

import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from bench.daemons import Daemon, bare_environ
from bench.memory import resident_mebibytes
from bench.source import dialled
from bench.table import Row, percentile
from peatd.transport import Link
from peatd.wire.connection import frame
from peatd.wire.messages import Ping, Pong

STRANGERS = 5000
GROWTH_MB, SLOWER = 30.0, 2.0
"""Of the node and its engine together; of the round trip's p99."""

_ROUND_TRIPS, _QUICK_ROUND_TRIPS = 4000, 500
"""Before it. While it lasts: as many as there is time for, which is at least until all have connected."""
_AT_LEAST = 1.0
"""Seconds that it lasts: strangers that are turned away cost nothing any more."""


def measure(*, quick: bool) -> list[Row]:
    strangers = STRANGERS // 10 if quick else STRANGERS
    rows = []
    for port in ("mesh", "api", "clients"):
        with tempfile.TemporaryDirectory() as made:
            rows += trio.run(_flooded, Path(made), port, strangers, _QUICK_ROUND_TRIPS if quick else _ROUND_TRIPS)
    return rows


async def _flooded(directory: Path, port: str, strangers: int, round_trips: int) -> list[Row]:
    with Daemon(directory, "alice", "--clients", "127.0.0.1:0") as alice, _child("--listen") as bare:
        alice.wait_ready()
        stated = json.loads((alice.directory / "node.json").read_text())
        pinging = _Pinging(await dialled(directory, stated["mesh"]))
        before = [await pinging.round_trip() for _ in range(round_trips)]
        assert bare.stdout is not None
        beside, _ = await _flood_meanwhile(bare.stdout.readline().decode().strip(), strangers, alice, pinging)
        resident = resident_mebibytes(alice.pids())
        during, most = await _flood_meanwhile(stated[port], strangers, alice, pinging)
        bare.communicate()
        if alice.ask("GET", "ready")[0] != 200:
            raise RuntimeError(f"flooded at its {port} port, it is not well")
    quiet = percentile(before, 0.99)
    name = f"{strangers} strangers at the {port} port"
    return [
        Row(f"{name}: more resident", most - resident, "MiB", GROWTH_MB, note=f"{resident:.1f} before"),
        Row(
            f"{name}: a peer's round trip (p99)",
            percentile(during, 0.99) / quiet,
            "times",
            SLOWER,
            # What the strangers' own process takes of this machine's cores is not the node's doing.
            beside=("at a listener beside it", percentile(beside, 0.99) / quiet),
            note=_tails(before, during),
        ),
    ]


async def _flood_meanwhile(
    address: str, strangers: int, alice: Daemon, pinging: "_Pinging"
) -> tuple[list[float], float]:
    """Round trips (seconds) until the strangers are all there, or a while longer; and the most that was resident."""
    times: list[float] = []
    said, most = b"", 0.0
    with _child(address, str(strangers)) as flood:
        assert flood.stdout is not None
        os.set_blocking(flood.stdout.fileno(), False)
        begun = time.perf_counter()
        while not said or time.perf_counter() - begun < _AT_LEAST:
            times += [await pinging.round_trip() for _ in range(20)]
            most = max(most, resident_mebibytes(alice.pids()))
            said = said or flood.stdout.read() or b""
        flood.communicate()
    return times, most


def _child(*arguments: str) -> "subprocess.Popen[bytes]":
    """This module as a program. It ends with its stdin."""
    command = [sys.executable, "-m", "bench.flood", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=bare_environ())


def _tails(before: list[float], during: list[float]) -> str:
    numbers = (f"{1000 * percentile(times, share):.2f}" for times in (before, during) for share in (0.5, 0.99))
    return "before p50 {} p99 {} ms, during p50 {} p99 {} ms; ".format(*numbers) + f"{len(during)} round trips"


class _Pinging:
    """A peer's link on which nothing is done but to ask for an answer."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._count = 0

    async def round_trip(self) -> float:
        """Seconds."""
        self._count += 1
        begun = time.perf_counter()
        await self._link.stream.send_all(frame([Ping(self._count)]))
        while True:
            received = await self._link.stream.receive_some()
            if not received:
                raise RuntimeError("the peer's link has ended")
            for message in self._link.connection.receive(received):
                if message == Pong(self._count):
                    return time.perf_counter() - begun


def _flood(address: str, count: int) -> None:
    """Connects so often, tells when all are through, and waits for the end of stdin."""
    host, _, port = address.rpartition(":")
    strangers = []
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            stranger = socket.socket()
            stranger.setblocking(False)
            stranger.connect_ex((host, int(port)))
            selector.register(stranger, selectors.EVENT_WRITE)
            strangers.append(stranger)
        while selector.get_map():
            for key, _ in selector.select():
                selector.unregister(key.fileobj)
    os.write(1, b"connected\n")
    sys.stdin.read()


def _listen() -> None:
    """Takes every connection and closes it: the least that can be done with one."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    os.write(1, f"127.0.0.1:{listener.getsockname()[1]}\n".encode())
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while all(key.fileobj is listener for key, _ in selector.select()):
            listener.accept()[0].close()


if __name__ == "__main__":
    _listen() if sys.argv[1:] == ["--listen"] else _flood(sys.argv[1], int(sys.argv[2]))
