"""The engine's process is killed, stopped and fed poison: node, links, probes and documents are well."""

import contextlib
import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, until, up, wait_equal
from e2e.processes import is_alive
from e2e.writers import check_all_there, wait_acknowledged, writing

VECTORS = Path(__file__).parent.parent / "vectors"
GOOD = [bytes.fromhex(vector["hex"]) for vector in json.loads((VECTORS / "updates.json").read_text())["good"]]

BEFORE_POISON = [
    bytes.fromhex("0102020001010464617461024402010362636401020201020401"),
    bytes.fromhex("01010300880203017b000000000000000000"),
]
POISON = bytes.fromhex(
    "0302020584020201610201017402013109756e646566696e656401010004010178077879f09f98807a010300c7010102050200"
)
"""After the others: neighbours that are none, around a cut emoji; y-py panics on it."""

MUTANTS = 1000
ROUNDS = 4


def mutants(chance: random.Random, count: int) -> Iterator[bytes]:
    for _ in range(count):
        mutant = bytearray(chance.choice(GOOD))
        for _ in range(chance.randint(1, 3)):
            mutant[chance.randrange(len(mutant))] = chance.choice((chance.randrange(256), 0, 1, 255))
        yield bytes(mutant)


@pytest.fixture
def undisturbed(formation: Formation) -> Iterator[list[Node]]:
    """Two nodes whose processes and links must outlive the test."""
    nodes = formation.mesh("alice", "bob", arguments=["--engine-workers", "2"])
    up(*nodes)
    pids = [node.pid for node in nodes]
    yield nodes
    assert [node.stated()["pid"] for node in nodes] == pids
    assert [node.ask("GET", "health").status for node in nodes] == [200] * 2
    assert [node.ask("GET", "ready").status for node in nodes] == [200] * 2
    assert not any(node.has_logged("peer unlinked") for node in nodes)
    nodes[0].write("PUT", "after/a", {}, "?ack=replicated:1")
    for node in nodes:
        engines = node.engine_pids()
        node.stop()
        for pid in engines:
            until(lambda pid=pid: not is_alive(pid), "the engine has ended with its node")  # type: ignore[misc]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
def test_an_engine_that_dies_or_stops_under_load_loses_nothing(undisturbed: list[Node], number: signal.Signals) -> None:
    chance = random.Random(number)
    undisturbed[0].write("PUT", "engine/shared", {"nested": {}}, "?ack=replicated:1")
    with writing(undisturbed, per_node=2, shared="engine/shared") as writers:
        for _ in range(2 if number is signal.SIGSTOP else ROUNDS):
            wait_acknowledged(writers, 5)
            node = chance.choice(undisturbed)
            for pid in node.engine_pids():
                send(pid, number)
            assert [node.ask("GET", "ready").status for node in undisturbed] == [200] * 2
            wait_acknowledged(writers, 5)
    check_all_there(undisturbed, writers)
    assert any(node.has_logged("engine.ended") for node in undisturbed)


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.mark.parametrize("engine", ["y-py", "pycrdt"])
def test_damaged_updates_harm_no_other_document(formation: Formation, engine: str) -> None:
    nodes = alice, bob = formation.mesh("alice", "bob", arguments=["--engine", engine])
    up(*nodes)
    pids = [node.pid for node in nodes]
    alice.write("PUT", "poison/innocent", {"n": 1}, "?ack=replicated:1")
    chance = random.Random(7)
    with alice.connection(timeout=60) as connection:
        for turn, mutant in enumerate(mutants(chance, MUTANTS)):
            name = f"poison/{turn // 40}"
            reply = connection.ask("POST", f"documents/{name}/updates?ack=applied", mutant)
            assert reply.status in (200, 201, 409, 422, 503), reply
            if turn % 50 == 0:
                assert connection.ask("GET", "ready").status == 200
                assert connection.ask("PATCH", "documents/poison/innocent", {f"n{turn}": turn}).status == 200
    wait_equal(nodes, "poison/innocent")
    assert len(bob.document("poison/innocent")) == 1 + MUTANTS // 50
    assert [node.pid for node in nodes] == pids
    assert not any(node.has_logged("peer unlinked") for node in nodes)


def test_poison_is_set_aside_and_said(undisturbed: list[Node]) -> None:
    alice = undisturbed[0]
    alice.write("PUT", "poison/a", {"n": 1})
    for update in BEFORE_POISON:
        assert alice.ask("POST", "documents/poison/a/updates", update).status == 200
    etag = alice.ask("GET", "documents/poison/a").etag
    for _ in range(3):
        refused = alice.ask("POST", "documents/poison/a/updates", POISON)
        assert (refused.status, refused.json["error"]["code"]) == (422, "quarantined")
    assert alice.ask("GET", "documents/poison/a").etag == etag
    said = [event for event in alice.events() if event["event"] == "update_quarantined"]
    assert [(event["document"], event["origin"], event["size_bytes"]) for event in said] == [
        ("poison/a", "api POST unix socket", len(POISON))
    ]
    until(lambda: [u["times"] for u in alice.get("quarantine")["updates"]] == [3], "all three are written")
    (aside,) = alice.get("quarantine")["updates"]
    assert (aside["collection"], aside["id"], aside["origin"]) == ("poison", "a", "api POST unix socket")
    assert 'peat_quarantine_additions_total{origin="api"} 3.0' in alice.ask("GET", "metrics").body.decode()


def test_the_engine_does_not_outlive_a_node_that_is_killed(formation: Formation) -> None:
    alice = formation.node("alice").start().wait_ready()
    (engine,) = alice.engine_pids()
    alice.kill()
    until(lambda: not is_alive(engine), "the engine is gone")
