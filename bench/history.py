"""What a node still takes after a long history of which little is left: memory of node and engine, and disk.

Three histories: one key of a map that is set again and again, text that is typed and deleted, and documents that are
made and deleted. The first two enter by the raw-update route, many small structs at a time, as a busy client's do.
"""

import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.daemons import PATIENCE, Daemon
from bench.fakes import Connection
from bench.memory import resident_mebibytes
from bench.table import Row
from peatd.lib0 import write_string, write_uint

MEMORY_MB, DISK_MB = 20.0, 4.0
"""More than before it all began. Freed memory does not all go back to the system at once: the allocator keeps some."""

_TOMBSTONE_TTL = ("--tombstone-ttl", "10s")
"""Tombstones then go while others are made; what they take when they stay for a week is 0.9 kB each."""

_BATCH = 500
"""Sets or characters of an update: the log then takes as many rows as an hour of a few changes a second brings."""

_WRITERS = 8
"""Connections that make and delete documents at once."""

_CLIENT = 7
_ANY, _STRING, _HAS_ORIGIN = 8, 4, 0x80
_MAP, _TEXT = "data", "text"


@dataclass(frozen=True, slots=True)
class _Taken:
    """In MiB."""

    node: float
    engine: float
    disk: float

    def since(self, before: "_Taken") -> "_Taken":
        return _Taken(self.node - before.node, self.engine - before.engine, self.disk - before.disk)


def measure(*, quick: bool) -> list[Row]:
    changes, documents = (10_000, 500) if quick else (1_000_000, 100_000)
    rows: list[Row] = []
    for what, history, count in (
        ("sets of one key", _set_one_key, changes),
        ("characters typed and deleted", _type_and_delete, changes),
        ("documents made and deleted", _make_and_delete, documents),
    ):
        with tempfile.TemporaryDirectory() as made, Daemon(Path(made), "node", *_TOMBSTONE_TTL) as daemon:
            rows += _measured(daemon.wait_ready(), f"{count:,} {what}", history, count)
    return rows


def _measured(daemon: Daemon, what: str, history: Callable[[Daemon, int], None], count: int) -> list[Row]:
    history(daemon, 100)
    before, started = _settled(daemon), time.perf_counter()
    history(daemon, count)
    seconds = time.perf_counter() - started
    peak = _taken(daemon).since(before)
    _wait_forgotten(daemon)
    after = _settled(daemon).since(before)
    note = f"node {after.node:.1f} + engine {after.engine:.1f}; {peak.node:.1f} + {peak.engine:.1f} and on disk"
    note += f" {peak.disk:.1f} when it ended, after {seconds:.0f} s"
    return [
        Row(f"{what}: memory", after.node + after.engine, "MiB", MEMORY_MB, note=note),
        Row(f"{what}: disk", after.disk, "MiB", DISK_MB),
    ]


def _wait_forgotten(daemon: Daemon) -> None:
    """Until no tombstone is left."""
    while re.search("^peat_tombstones [^0]", daemon.text("/metrics"), re.MULTILINE):
        time.sleep(0.5)


def _settled(daemon: Daemon) -> _Taken:
    """When it has not become less for longer than the node waits before it gives back what little is left."""
    least, since = _taken(daemon), time.monotonic()
    deadline = since + PATIENCE
    while time.monotonic() < min(since + 8.0, deadline):
        time.sleep(0.5)
        now = _taken(daemon)
        if now.disk < least.disk - 0.1 or now.node + now.engine < least.node + least.engine - 0.5:
            least, since = now, time.monotonic()
    return _taken(daemon)


def _taken(daemon: Daemon) -> _Taken:
    node, *engines = (resident_mebibytes([pid]) for pid in daemon.pids())
    disk = sum(path.stat().st_size for path in daemon.directory.glob("peat.db*"))
    return _Taken(node, sum(engines), disk / 2**20)


def _set_one_key(daemon: Daemon, count: int) -> None:
    document = _Document(daemon, f"sets-{count}")
    for clock in range(0, count, _BATCH):
        end = min(clock + _BATCH, count)
        structs = [_struct(_ANY, number, _MAP, "n", b"\x01\x7d" + _signed(number % 64)) for number in range(clock, end)]
        first_deleted = max(clock - 1, 0)
        document.post(clock, structs, (first_deleted, end - 1 - first_deleted))


def _type_and_delete(daemon: Daemon, count: int) -> None:
    document = _Document(daemon, f"text-{count}")
    for clock in range(0, count, _BATCH):
        end = min(clock + _BATCH, count)
        structs = [_struct(_STRING, number, _TEXT, None, b"\x01x") for number in range(clock, end)]
        document.post(clock, structs, (max(clock - _BATCH, 0), min(clock, _BATCH)))
    document.post(count, [], (0, count))


def _make_and_delete(daemon: Daemon, count: int) -> None:
    def share(first: int) -> None:
        connection = Connection(daemon.directory / "api.sock", PATIENCE)
        for number in range(first, count, _WRITERS):
            path = f"/api/v1/documents/made-{count}/{number}?ack=applied"
            _request(connection, "PUT", path, b'{"n": 1, "text": "as long as a short note"}')
            _request(connection, "DELETE", path, None)
        connection.close()

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(share, range(_WRITERS)))


def _request(connection: Connection, method: str, path: str, body: bytes | None) -> None:
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    response = connection.getresponse()
    answer = response.read()
    assert response.status in (201, 204), answer


class _Document:
    """One that a client writes by raw updates."""

    def __init__(self, daemon: Daemon, document: str) -> None:
        self._daemon = daemon
        self._path = f"documents/history/{document}/updates?ack=applied"

    def post(self, clock: int, structs: list[bytes], deleted: tuple[int, int]) -> None:
        update = bytearray((1 if structs else 0,))
        if structs:
            write_uint(update, len(structs))
            write_uint(update, _CLIENT)
            write_uint(update, clock)
            update += b"".join(structs)
        update += b"\x01" if deleted[1] else b"\x00"
        if deleted[1]:
            for number in (_CLIENT, 1, *deleted):
                write_uint(update, number)
        status, answer = self._daemon.ask("POST", self._path, bytes(update))
        assert status in (200, 201, 204), (status, answer)


def _struct(content: int, clock: int, root: str, key: str | None, value: bytes) -> bytes:
    """One that follows the one of the clock before, as the next value of a key or the next character."""
    out = bytearray()
    if clock:
        out.append(content | _HAS_ORIGIN)
        write_uint(out, _CLIENT)
        write_uint(out, clock - 1)
    else:
        out.append(content if key is None else content | 0x20)
        out.append(1)
        write_string(out, root)
        if key is not None:
            write_string(out, key)
    return bytes(out + value)


def _signed(number: int) -> bytes:
    """lib0's variable-length integer, of one that fits into its first byte."""
    assert 0 <= number < 64
    return bytes((number,))
