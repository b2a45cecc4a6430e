"""Networks that lose, repeat and delay packets, are narrow, or cut one way: real nodes, each on a host of its own.

While it lasts, an operator sees: `peat peers` with a longer round trip, documents owed, or the peer backing off with
the reason; one line when a link ends and one when it is back; writes here go on as ever. After: all nodes are equal
within seconds.
"""

import contextlib
import random
import time
from collections.abc import Iterator

import pytest
from e2e.nodes import Formation, Node, until, wait_equal, wait_linked
from faults.injected import lapse
from faults.network import Network, network

WHOLE_WITHIN = 5.0
"""Seconds after a line is back."""
BUSY = 4
"""So many times as long it may take beside other tests; `--long` has the machine to itself."""


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture
def pair(formation: Formation, net: Network) -> Iterator[list[Node]]:
    alice, bob = nodes = [net.node(formation, "alice", 0), net.node(formation, "bob", 1)]
    alice.arguments = [*alice.arguments, "--peer", f"bob@{bob.mesh}"]
    bob.arguments = [*bob.arguments, "--peer", f"alice@{alice.mesh}"]
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready()
    wait_linked(*nodes)
    alice.write("PUT", "net/a", {"n": 0}, "?ack=replicated:1")
    yield nodes
    formation.end()  # before their hosts are taken away


def unlinked(node: Node) -> int:
    return node.log().count("peer unlinked")


@pytest.mark.parametrize("fault", ["loss", "repeats", pytest.param("both", marks=pytest.mark.long)])
def test_lost_and_repeated_packets_slow_it_and_no_more(net: Network, pair: list[Node], fault: str) -> None:
    alice, bob = pair
    with contextlib.ExitStack() as faults:
        if fault != "repeats":
            faults.enter_context(net.losing(10))
        if fault != "loss":
            faults.enter_context(net.repeating())
        for n in range(15):
            writer = pair[n % 2]
            writer.write("PATCH", "net/a", {f"{writer.name}{n}": n}, "?ack=replicated:1&timeout=60")
        assert [node.linked() for node in pair] == [{"bob"}, {"alice"}]
    wait_equal(pair, "net/a")
    assert len(bob.document("net/a")) == 16
    # Where packets are repeated, too, the copy of each that is lost arrives.
    assert fault != "loss" or sum(net.counted(side, "RetransSegs") for side in (0, 1)) > 0
    assert fault == "loss" or sum(net.counted(side, "TCPDSACKOldSent") for side in (0, 1)) > 0
    assert unlinked(alice) == unlinked(bob) == 0


def test_a_narrow_line_carries_what_is_owed_and_keeps_its_link(net: Network, pair: list[Node], is_long: bool) -> None:
    alice, bob = pair
    size_bytes = 2_000_000 if is_long else 300_000
    text = random.Random(1).randbytes(size_bytes // 4).hex()
    with net.narrow("256kbit"):
        begun = time.monotonic()
        for n in range(4):
            alice.write("PUT", f"net/large{n}", {"text": text[n * size_bytes // 8 : (n + 1) * size_bytes // 8]})
        assert alice.peers()["bob"]["owed_documents"] > 0
        until(lambda: bob.ask("GET", "documents/net/large3").status == 200, "all is through", within=300)
        assert time.monotonic() - begun > size_bytes / 2 / 32_000 / 2, "the line was narrow"
        alice.write("PATCH", "net/a", {"after": 1}, "?ack=replicated:1&timeout=60")
    wait_equal(pair, "net/a", *(f"net/large{n}" for n in range(4)))
    assert unlinked(alice) == unlinked(bob) == 0


@pytest.mark.parametrize(
    "sides",
    [(0,), pytest.param((1,), marks=pytest.mark.long), pytest.param((0, 1), marks=pytest.mark.long)],
    ids=["alice-deaf", "bob-deaf", "both"],
)
def test_a_cut_line_is_told_and_whole_again_soon(
    net: Network, pair: list[Node], sides: tuple[int, ...], is_long: bool
) -> None:
    alice, bob = pair
    with net.cut(*sides):
        for node in pair:
            node.write("PATCH", "net/a", {node.name: 1})  # here, it is as ever
        late = alice.ask("PATCH", "documents/net/a?ack=replicated:1&timeout=1", {"late": 1})
        assert (late.status, late.json["error"]["code"]) == (504, "ack_timeout")
        until(lambda: not alice.linked() and not bob.linked(), "both notice", within=90)
        for node, peer in ((alice, "bob"), (bob, "alice")):
            told = until(lambda node=node, peer=peer: node.peers()[peer]["error"], "why is told")  # type: ignore[misc]
            assert told
        lapse(60.0 if is_long else 2.0)
        for node in pair:
            node.write("PATCH", "net/a", {f"{node.name}-later": 2})
        assert all(unlinked(node) == 1 for node in pair)
        assert all(node.ask("GET", "ready").status == 200 for node in pair)
    begun = time.monotonic()
    wait_equal(pair, "net/a")
    whole = time.monotonic() - begun
    print(f"whole {whole:.1f} s after the line was back")
    assert set(alice.document("net/a")) == {"n", "late", "alice", "bob", "alice-later", "bob-later"}
    assert whole < WHOLE_WITHIN * (1 if is_long else BUSY)
