"""A node that may take 256 MB, under many times the load that it can take.

While it lasts, an operator sees: 503 with `Retry-After` for what finds no room within five seconds, `limit hit` with
`request_memory` once a minute and `peat_limit_hits_total`; probes answer, links stay, the process is the same. After:
all that was acknowledged, and a node that works as before.
"""

import contextlib
import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import PATIENCE, Formation, Node, until, up, wait_equal
from faults.injected import lapse

from peatd.clients.protocol import step_1
from peatd.reach import encode_state_vector

MEMORY_MIB = 256
WRITERS, READERS = 60, 40
"""Connections that never pause. One saturates the engine with such bodies; 96 MiB would be what they take at once."""
LASTS, LASTS_LONG = 5.0, 180.0
SLOW_CLIENTS = 40
PROBE_WITHIN = 15.0
"""Seconds for a probe on a machine whose cores the load itself takes, and other tests too."""

BODIES = {
    "text": json.dumps({"text": "x" * 1_000_000}).encode(),
    "lists": b'{"lists": [' + b"[]," * 300_000 + b"[]]}",
    "numbers": b'{"numbers": [' + b"1," * 400_000 + b"1]}",
    "keys": json.dumps({f"key{n}": n for n in range(40_000)}).encode(),
}


class Load:
    """Programs that write and read as fast as they are let.

    Attributes:
        acknowledged: documents that were written.
        statuses: how often each was answered.
    """

    def __init__(self, node: Node) -> None:
        self.acknowledged: set[str] = set()
        self.statuses: dict[int, int] = {}
        self._node = node
        self._ended = threading.Event()
        work = [self._write] * WRITERS + [self._read] * READERS
        self._threads = [threading.Thread(target=self._go_on, args=(one, n), daemon=True) for n, one in enumerate(work)]

    @property
    def is_felt(self) -> bool:
        """Some of it was taken, and some refused."""
        return bool(self.acknowledged) and 503 in self.statuses

    @contextlib.contextmanager
    def lasting(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join(60)

    def _go_on(self, work, number: int) -> None:  # type: ignore[no-untyped-def]
        chance = random.Random(number)
        while not self._ended.is_set():
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                self._node.connection(timeout=60) as connection,
            ):
                while not self._ended.is_set():
                    work(connection, chance)

    def _write(self, connection, chance: random.Random) -> None:  # type: ignore[no-untyped-def]
        name = f"load/{chance.randrange(10**9)}"
        reply = connection.ask("PUT", f"documents/{name}", BODIES[chance.choice(list(BODIES))])
        self._count(reply.status)
        if reply.status in (200, 201):
            self.acknowledged.add(name)

    def _read(self, connection, chance: random.Random) -> None:  # type: ignore[no-untyped-def]
        names = list(self.acknowledged) or ["load/none"]
        self._count(connection.ask("GET", f"documents/{chance.choice(names)}").status)

    def _count(self, status: int) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1


def resident_mib(node: Node) -> float:
    """Of the node and its engine, whichever that is now."""
    total = 0
    for pid in [node.pid, *node.engine_pids()]:
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])
    return total / 1024


def probe(node: Node) -> float:
    """Seconds until a kubelet has its answer."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection(node.stated()["api"], timeout=PROBE_WITHIN)
    with contextlib.closing(connection):
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
    return time.monotonic() - begun


@pytest.mark.parametrize("engine", ["y-py", pytest.param("pycrdt", marks=pytest.mark.long)])
def test_it_refuses_rather_than_dies(formation: Formation, engine: str, is_long: bool) -> None:
    nodes = alice, _ = formation.mesh("alice", "bob", arguments=["--engine", engine])
    alice.arguments = [*alice.arguments, "--memory", f"{MEMORY_MIB}Mi"]
    up(*nodes)
    alice.write("PUT", "small/a", {"n": 0}, "?ack=replicated:1")
    load, most, slowest = Load(alice), 0.0, 0.0
    begun = time.monotonic()
    lasts = begun + (LASTS_LONG if is_long else LASTS)
    with load.lasting():
        while time.monotonic() < (lasts if load.is_felt else begun + PATIENCE):
            most = max(most, resident_mib(alice))
            slowest = max(slowest, probe(alice))
            lapse(0.1)
    print(f"{most:.0f} MiB at most, slowest probe {slowest:.2f} s, {load.statuses}")
    assert most < MEMORY_MIB
    assert load.statuses.keys() <= {200, 201, 404, 422, 503}
    assert load.is_felt
    assert alice.stated()["pid"] == alice.pid
    lines = [event for event in alice.events() if event.get("limit") == "request_memory"]
    assert 1 <= len(lines) <= 1 + (time.monotonic() - begun) // 60
    assert not any(node.has_logged("peer unlinked") for node in nodes)
    until(lambda: alice.ask("PATCH", "documents/small/a", {"n": 1}).status == 200, "it works as before")
    sample = sorted(load.acknowledged)[:8]
    for name in sample:
        until(lambda name=name: alice.ask("GET", f"documents/{name}").status == 200, f"{name} is there")  # type: ignore[misc]
    wait_equal(nodes, "small/a", *sample[:3])
    alice.stop()


def test_a_first_sync_of_large_documents_fits_or_waits(formation: Formation) -> None:
    """One of a few long texts is merged; one of very many values takes twenty times its size in y-py, which is more
    than there is: it stays owed, and the reason is told. Neither is set aside."""
    alice, bob = formation.mesh("alice", "bob")
    bob.arguments = [*bob.arguments, "--memory", f"{MEMORY_MIB}Mi"]
    alice.start().wait_ready()
    chance = random.Random(7)
    with alice.connection(60) as connection:
        for part in range(8):
            method = "PATCH" if part else "PUT"
            text = {f"text{part}": chance.randbytes(480_000).hex()}
            keys = {f"key{part}.{n}": chance.randbytes(20).hex() for n in range(14_000)}
            for name, body in (("large/text", text), ("large/keys", keys)):
                assert connection.ask(method, f"documents/{name}", body).status in (200, 201)
    alice.write("PUT", "small/a", {"n": 0})
    bob.start().wait_ready()
    wait_equal([alice, bob], "small/a", "large/text")
    until(lambda: any(event.get("limit") == "engine_memory" for event in bob.events()), "it is told")
    until(lambda: alice.peers()["bob"]["owed_documents"] == 1, "one waits")
    until(lambda: "--memory" in (bob.peers()["alice"]["error"] or ""), "and why is told")
    assert bob.get("quarantine")["updates"] == []
    bob.write("PATCH", "small/a", {"by": "bob"}, "?ack=replicated:1")
    assert bob.ask("GET", "ready").status == 200
    for node in (alice, bob):
        node.stop()


UPGRADE = (
    "GET /sync/{} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def ask_for_all(node: Node, name: str, client: int) -> socket.socket:
    """A Yjs client that has made something of its own, so that no other lacks just the same; it never reads."""
    host, _, port = node.stated()["clients"].rpartition(":")
    stream = socket.create_connection((host, int(port)), timeout=20)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    message = step_1(encode_state_vector({client: 1}))
    stream.sendall(UPGRADE.format(name).encode() + bytes((0x82, 0x80 | len(message), 0, 0, 0, 0)) + message)
    return stream


def test_clients_who_do_not_read_what_they_asked_for_have_to_wait(formation: Formation) -> None:
    """Each of them is owed 3 MB: together half of what there is."""
    arguments = ["--clients", "127.0.0.1:0", "--memory", f"{MEMORY_MIB}Mi"]
    alice = formation.node("alice", *arguments)
    up(alice)
    chance = random.Random(7)
    for part in range(3):
        alice.write("PATCH" if part else "PUT", "large/text", {f"text{part}": chance.randbytes(490_000).hex()})
    before = resident_mib(alice)
    with contextlib.ExitStack() as slow:
        for client in range(SLOW_CLIENTS):
            slow.enter_context(contextlib.closing(ask_for_all(alice, "large/text", 1000 + client)))
        until(lambda: any(event.get("limit") == "client_diffs" for event in alice.events()), "it is told")
        most = 0.0
        for _ in range(30):
            most = max(most, resident_mib(alice))
            assert probe(alice) < PROBE_WITHIN
            lapse(0.1)
        alice.write("PATCH", "large/text", {"n": 1})
    print(f"{before:.0f} MiB before, {most:.0f} at most")
    assert most < MEMORY_MIB - 60
    alice.stop()
