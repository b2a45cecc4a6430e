"""What a relay costs a link: throughput, round trip and dial, beside the same two programs without one.

This process dials, `bench.relay_peer` answers, a real `peat-relay` is between them. Links are those of nodes, TLS and
proof and all, but nothing is merged or stored behind them: that would hide the relay. Where there are as few as two
cores, half of the direct throughput is about what three processes can have instead of two. What remains of it for
documents, which nodes merge and store, is measured as well.
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import trio

from bench.daemons import bare_environ, credentials, secret_file
from bench.relay_peer import ACK, BOB, CAROL, CHUNK, UP, asker_of, hello, relay_keys
from bench.relayed import synced
from bench.table import Row, tails
from peatd.names import Address, DeviceId
from peatd.relay.asking import Asker
from peatd.relay_url import RelayUrl
from peatd.transport import Credentials, Link, dial
from peatd.transport.dial import initiate_over
from peatd.wire.connection import frame
from peatd.wire.messages import Ping

SHARE, ADDED, DIALS = 50.0, 0.5, 3.0
"""Percent of the direct throughput, milliseconds, and times as long."""

DIRECT, TCP, WEB, WEBS = "directly", "plain TCP", "WebSocket", "WebSocket at both ends"

Dial = Callable[[], Awaitable[Link]]


def measure(*, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as made, _relay(Path(made)) as relay:
        by_tcp, by_web = f"tcp://{relay}", f"http://{relay}"
        with _peer(Path(made), BOB, by_tcp) as bob, _peer(Path(made), CAROL, by_web):
            found = trio.run(
                _run, Path(made), bob, {TCP: (by_tcp, BOB), WEB: (by_web, BOB), WEBS: (by_web, CAROL)}, quick
            )
        ways = {DIRECT: None, TCP: by_tcp, WEBS: by_web}
        speeds = {way: synced(Path(made), url, number, quick=quick) for number, (way, url) in enumerate(ways.items())}
    direct = found.pop(DIRECT)
    rows = _of_documents(speeds)
    for name, ours in found.items():
        rows += [
            Row(
                f"by a relay, {name}: throughput",
                100 * ours.speed / direct.speed,
                "%",
                SHARE,
                more_is_better=True,
                note=f"{ours.speed / 1e6:.0f} MB/s, directly {direct.speed / 1e6:.0f}",
            ),
            Row(
                f"by a relay, {name}: round trip more (p50)",
                1000 * (statistics.median(ours.round_trips) - statistics.median(direct.round_trips)),
                "ms",
                ADDED,
                note=f"{tails(ours.round_trips)}; directly {tails(direct.round_trips)}",
            ),
            Row(
                f"by a relay, {name}: dial",
                statistics.median(ours.dials) / statistics.median(direct.dials),
                "times",
                DIALS,
                note=f"{tails(ours.dials)}; directly {tails(direct.dials)}",
            ),
        ]
    return rows


def _of_documents(speeds: dict[str, float]) -> list[Row]:
    direct = speeds.pop(DIRECT)
    return [
        Row(
            f"by a relay, {way}: documents",
            100 * speed / direct,
            "%",
            SHARE,
            more_is_better=True,
            note=f"{speed:.0f} MB/s, directly {direct:.0f}",
        )
        for way, speed in speeds.items()
    ]


class _Found:
    def __init__(self) -> None:
        self.dials: list[float] = []
        self.round_trips: list[float] = []
        self.speed = 0.0


async def _run(directory: Path, bob: str, relayed: dict[str, tuple[str, str]], quick: bool) -> dict[str, _Found]:
    ours = credentials(directory, "alice")
    ways: dict[str, Dial] = {DIRECT: lambda: dial([Address.parse(bob)], ours, hello("alice"))}
    for name, (relay, peer) in relayed.items():
        device_id = credentials(directory, peer).keypair.device_id
        ways[name] = _by(RelayUrl.parse(relay), device_id, asker_of(ours), ours)
    found = {name: _Found() for name in ways}
    # In turns, so that a machine which is busy for a while is so for all of them.
    for _ in range(3 if quick else 20):
        for name, way in ways.items():
            await _once(found[name], way, chunks=64 if quick else 512)
    return found


def _by(url: RelayUrl, peer: DeviceId, asker: Asker, ours: Credentials) -> Dial:
    async def reach() -> Link:
        return await initiate_over(lambda: asker.dial(url, peer), ours, hello("alice"), url.address)

    return reach


async def _once(found: _Found, way: Dial, chunks: int) -> None:
    started = time.perf_counter()
    link = await way()
    found.dials.append(time.perf_counter() - started)
    stream = link.stream
    await stream.send_all(frame([Ping(1)]))
    if await stream.receive_some(1) != ACK:
        raise RuntimeError("the peer does not answer")
    for _ in range(50):
        started = time.perf_counter()
        await stream.send_all(b"p")
        await stream.receive_some(1)
        found.round_trips.append(time.perf_counter() - started)
    chunk = bytes(CHUNK)
    started = time.perf_counter()
    await stream.send_all(b"b")
    await stream.send_all(chunks.to_bytes(4, "big"))
    for _ in range(chunks):
        await stream.send_all(chunk)
    if await stream.receive_some(1) != ACK:
        raise RuntimeError("the peer has not got all of it")
    found.speed = max(found.speed, chunks * CHUNK / (time.perf_counter() - started))
    await trio.aclose_forcefully(stream)


@contextlib.contextmanager
def _relay(directory: Path) -> Iterator[str]:
    keys = [word for key in relay_keys(credentials(directory, BOB)) for word in ("--relay-allow", key)]
    command = [sys.executable, "-c", "from peatd.relay_program import main; main()"]
    command += ["--relay-listen", "127.0.0.1:0", *keys, "--log-format", "json"]
    with _started(command, subprocess.PIPE) as process:
        assert process.stderr is not None
        while b'"relay up"' not in (line := process.stderr.readline()):
            if not line:
                raise RuntimeError("the relay did not start")
        yield line.decode().partition('"relay": "')[2].partition('"')[0]


@contextlib.contextmanager
def _peer(directory: Path, name: str, relay: str) -> Iterator[str]:
    secret_file(directory)
    with _started([sys.executable, "-m", "bench.relay_peer", str(directory), name, relay], None) as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline().decode()).startswith(UP):
            if not line:
                raise RuntimeError("the peer did not start")
        yield line.removeprefix(UP).strip()


@contextlib.contextmanager
def _started(command: list[str], stderr: int | None) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=bare_environ()) as process:
        try:
            yield process
        finally:
            process.kill()
