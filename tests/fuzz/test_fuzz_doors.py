"""A live node is fed mutated updates by every door at once, documents of each door's own and some that they share.

Its pid and its engine's keeper stay, the other documents are what they were, it stays linked with its honest peer, what
is set aside is set aside by the name of who brought it, and a stock client that joins afterwards loads every document,
as the honest peer has it.
"""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio
from e2e.nodes import Formation, Node, document_names, formation_in, until, up, wait_equal
from fakes import doors
from fakes.hostile_updates import Hostile
from fakes.yjs import YjsClients, yjs_clients

VECTORS = Path(__file__).parent.parent / "vectors"
GOOD = [bytes.fromhex(vector["hex"]) for vector in json.loads((VECTORS / "updates.json").read_text())["good"]]
BROKE = [
    bytes.fromhex(update)
    for vector in json.loads((VECTORS / "hostile.json").read_text())["vectors"]
    for update in vector["updates"]
]
_FRAMES = bytes.fromhex("828500000000") + b"hello" + bytes.fromhex("89800000000001800000000088820000000003e8")
_UPGRADE = (
    b"GET /sync/noise/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_GET = b"GET /api/v1/documents/a/b?limit=5 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
NOISE = [
    _GET + b"\r\n",
    _GET + b'Last-Event-ID: 0000000000000000-1\r\nIf-Match: "a", W/"b"\r\n\r\n',
    _GET.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    _GET.replace(b"GET", b"PUT") + b"Content-Length: 2\r\n\r\n{}",
    _UPGRADE,
    _UPGRADE + _FRAMES,
    bytes.fromhex("160301007b0100007703030000") + bytes(110),
    bytes(64),
]
"""What is said to ports: nearly HTTP, WebSockets and TLS."""
SHORT = 8
"""Documents of each door without `--minutes`: so many on a slow machine, and no others on a quick one."""
PER_DOCUMENT = 30
LEAD = 100
DOORS = ("peer", "raw", "y-websocket", "hocuspocus")
SAFE = [f"safe/{n}" for n in range(5)]


@pytest.fixture
def yjs(tmp_path: Path) -> Iterator[YjsClients]:
    place = tmp_path / "yjs"
    place.mkdir()
    with yjs_clients(place) as clients:
        yield clients


@pytest.fixture
def formation(tmp_path: Path) -> Iterator[Formation]:
    place = tmp_path / "formation"
    with formation_in(place) as made:
        yield made


class Mill:
    """What is sent, by whom and how much of it: for so many minutes, or of so many documents."""

    def __init__(self, seed: int, minutes: float | None, recorded: Sequence[bytes]) -> None:
        self.sent = dict.fromkeys(DOORS, 0)
        self.sent_away = self.shouts = 0
        self._moved = trio.Event()
        self._seed = seed
        self._until = None if minutes is None else time.monotonic() + 60 * minutes
        self._recorded = [*GOOD, *BROKE, *recorded]

    @property
    def is_over(self) -> bool:
        if self._until is not None:
            return time.monotonic() > self._until
        return min(self.sent.values()) >= SHORT * PER_DOCUMENT

    async def feed(self, name: str, door: doors.Door) -> None:
        """Brings updates to document after document until it is over."""
        chance = random.Random(f"{self._seed} {name}")
        for number in itertools.count() if self._until is not None else range(SHORT):
            if self.is_over:
                return
            document = f"shared/{number}" if number % 4 == 3 else f"{name}/{number}"
            updates = list(self._updates(chance))
            while updates:
                try:
                    async with door(document) as send:
                        while updates:
                            await self._turn(name)
                            await send(updates.pop())
                except doors.SentAway:
                    self.sent_away += 1

    async def _turn(self, name: str) -> None:
        """Nobody is far ahead: a link would leave the others no time of the engine's."""
        while self.sent[name] > min(self.sent.values()) + LEAD and not self.is_over:
            moved = self._moved
            with trio.move_on_after(1):
                await moved.wait()
        self.sent[name] += 1
        self._moved.set()
        self._moved = trio.Event()

    async def shout(self, node: Node) -> None:
        """Says to all ports what is nearly HTTP, nearly a WebSocket's frames, nearly TLS."""
        chance = random.Random(f"{self._seed} noise")
        ports = [node.stated()[port] for port in ("api", "clients", "mesh")]
        while not self.is_over:
            junk = bytearray(chance.choice(NOISE))
            for _ in range(chance.choice((0, 1, 2, 5))):
                junk[chance.randrange(len(junk))] = chance.randrange(256)
            assert await doors.shout(chance.choice(ports), bytes(junk)), junk.hex()
            self.shouts += 1

    def _updates(self, chance: random.Random) -> Iterator[bytes]:
        hostile = Hostile(chance)
        for _ in range(PER_DOCUMENT):
            if chance.random() < 0.4:
                yield next(hostile.updates(1))
                continue
            mutant = bytearray(chance.choice(self._recorded))
            for _ in range(chance.choice((0, 1, 1, 2, 3))):
                mutant[chance.randrange(len(mutant))] = chance.choice((chance.randrange(256), 0, 1, 255))
            yield bytes(mutant)


def recorded(yjs: YjsClients) -> list[bytes]:
    """What stock clients that edit at random send."""
    yjs.open(0, 7)
    yjs.open(1, 8)
    updates = [update for turn in range(40) for update in yjs.edit(turn % 2, turn, 2)]
    yjs.forget()
    return updates


async def mutate(node: Node, secret: str, mill: Mill) -> None:
    async with doors.member(node, secret, "mallory") as exchange, trio.open_nursery() as nursery:
        openings = (doors.peer(exchange), doors.raw_route(node), doors.y_websocket(node), doors.hocuspocus_client(node))
        for name, door in zip(DOORS, openings, strict=True):
            nursery.start_soon(mill.feed, name, door)
        nursery.start_soon(mill.shout, node)
        nursery.start_soon(_write_honestly, node, mill)


async def _write_honestly(node: Node, mill: Mill) -> None:
    """Somebody who means well waits for nothing that others do."""
    for turn in itertools.count():
        for name in SAFE:
            begun = trio.current_time()
            await trio.to_thread.run_sync(node.write, "PATCH", name, {"turn": turn})
            assert trio.current_time() - begun < doors.PATIENCE
        if mill.is_over:
            return
        await trio.sleep(0.2)


@pytest.mark.parametrize("engine", ["y-py", "pycrdt"])
def test_nobody_else_notices(
    request: pytest.FixtureRequest, formation: Formation, yjs: YjsClients, engine: str
) -> None:
    minutes = request.config.getoption("--minutes")
    alice, bob = formation.mesh("alice", "bob", arguments=["--engine", engine, "--clients", "127.0.0.1:0"])
    up(alice, bob)
    pids = [node.pid for node in (alice, bob)]
    for name in SAFE:
        alice.write("PUT", name, {"turn": -1, "name": name}, "?ack=replicated:1")
    each = minutes / 2 if minutes else None
    mill = Mill(random.randrange(2**32) if minutes else 0, each, recorded(yjs))

    trio.run(mutate, alice, formation.secret_file.read_text(), mill)

    print(f"{engine}: {mill.sent} sent, {mill.sent_away} times sent away, {mill.shouts} shouts, seed {mill._seed}")
    wait_equal([alice, bob], *SAFE)
    assert {alice.document(name)["name"] for name in SAFE} == set(SAFE)
    assert [node.pid for node in (alice, bob)] == pids
    assert [node.ask("GET", "health").status for node in (alice, bob)] == [200, 200]
    assert not any(event["event"] == "peer unlinked" and event["peer"] in ("alice", "bob") for event in alice.events())
    assert not any(event["event"] == "fault on a link" for event in alice.events())
    check_quarantine(alice)
    check_joining(alice, bob, yjs)
    assert min(mill.sent.values()) > PER_DOCUMENT


def check_quarantine(node: Node) -> None:
    """Each culprit is named by the door that it came in by."""
    begins = {"peer": "peer ", "raw": "api POST ", "y-websocket": "client 127.", "hocuspocus": "client 127."}
    updates = node.get("quarantine")["updates"]
    print(f"set aside: {dict(Counter(aside['origin'].split()[0] for aside in updates))}")
    for aside in updates:
        if aside["collection"] in begins and aside["origin"] not in ("log", "store"):
            assert aside["origin"].startswith(begins[aside["collection"]]), aside


def check_joining(alice: Node, bob: Node, yjs: YjsClients) -> None:
    """A stock client loads every document of either node, and finds the same, but for a few that are hostile."""
    names = document_names(alice)
    assert names
    until(lambda: len(differing(alice, bob, yjs, names)) <= 1 + len(names) // 100, "both nodes have the same")
    for name in names:
        (copy,) = yjs.load([alice.ask("GET", f"documents/{name}/updates").body])
        assert copy.error is None, (name, copy.error)


def differing(alice: Node, bob: Node, yjs: YjsClients, names: Sequence[str]) -> list[str]:
    """Those that a client of one node reads otherwise than a client of the other."""
    found = []
    for name in names:
        replies = [node.ask("GET", f"documents/{name}/updates") for node in (alice, bob)]
        if [reply.status for reply in replies] != [200, 200]:
            found.append(name)
            continue
        one, other = yjs.load(*([reply.body] for reply in replies))
        if (one.places, one.values) != (other.places, other.values):
            found.append(name)
    return found
