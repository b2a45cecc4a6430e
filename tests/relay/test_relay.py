"""A relay on real sockets, and nodes that ask it for things."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from fakes.certificates import Authority
from fakes.links import OTHER_SECRET
from fakes.relays import RunningRelay, asker, device_of, relay_running, until
from structlog.testing import capture_logs

from peatd.errors import RelayError
from peatd.limits import Limit
from peatd.relay import switchboard as board
from peatd.relay.asking import Conversation
from peatd.relay.connecting import Outward
from peatd.relay.protocol import BUSY, FORBIDDEN, GONE, NO_ANSWER, NOT_HERE, Incoming, Ping, frame
from peatd.relay.switchboard import MAX_CIRCUITS_OF_ONE, MAX_CIRCUITS_OF_TWO, MAX_WAITING_OF_ONE, RelayLimits
from peatd.relay_url import RelayUrl

BOB = device_of("bob")
TEXT = random.Random(1).randbytes(2_000_000)


async def next_token(control: Conversation) -> str:
    while not isinstance(message := await control.next(), Incoming):
        assert message == Ping()
    return message.token


Ends = tuple[trio.abc.Stream, trio.abc.Stream]


@asynccontextmanager
async def circuit(url: RelayUrl, outward: Outward | None = None) -> AsyncIterator[Ends]:
    """Alice's end, who has dialled, and Bob's."""
    ends: dict[str, trio.abc.Stream] = {}
    control = await asker("bob", outward=outward).register(url)

    async def dial() -> None:
        ends["alice"] = await asker("alice", outward=outward).dial(url, BOB)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        ends["bob"] = await asker("bob", outward=outward).accept(url, await next_token(control))
    try:
        yield ends["alice"], ends["bob"]
    finally:
        for stream in (*ends.values(), control.stream):
            await trio.aclose_forcefully(stream)


Keep = Callable[[Any], Any]


@pytest.fixture
async def keep() -> AsyncIterator[Keep]:
    """Closes at the end what it is given: streams and conversations."""
    kept: list[trio.abc.AsyncResource] = []

    def take(opened: Any) -> Any:
        kept.append(opened.stream if isinstance(opened, Conversation) else opened)
        return opened

    yield take
    for each in kept:
        await trio.aclose_forcefully(each)


async def received(stream: trio.abc.Stream) -> bytes:
    """All of it, until its end."""
    data = bytearray()
    while chunk := await stream.receive_some():
        data += chunk
    return bytes(data)


@pytest.mark.parametrize("scheme", ["tcp", "http", "https"])
async def test_two_streams_are_joined_and_end_one_by_one(tmp_path: Path, scheme: str) -> None:
    authority = Authority(tmp_path)
    outward = Outward(authority.ca_file)
    async with relay_running(authority=authority) as relay, circuit(relay.url(scheme), outward) as (alice, bob):
        for one, other in ((alice, bob), (bob, alice)):
            assert isinstance(one, trio.abc.HalfCloseableStream)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.send_all, TEXT)
                taken = bytearray()
                while len(taken) < len(TEXT):
                    taken += await other.receive_some(100_000)
            assert taken == TEXT
            await one.send_eof()
            assert await received(other) == b""
        assert relay.switchboard.tally.passed_bytes == 2 * len(TEXT)
        await until(lambda: relay.switchboard.circuits == 0)


async def test_what_one_has_sent_comes_before_the_others_learn_that_it_has_gone() -> None:
    async with relay_running() as relay, circuit(relay.url()) as (alice, bob):
        await alice.send_all(b"last words")
        await alice.aclose()
        assert await received(bob) == b"last words"


async def refusal(relay: RunningRelay, name: str, op: str, target: str, secret: bytes | None = None) -> str:
    asking = asker(name) if secret is None else asker(name, secret=secret)
    ask = {"dial": asking.dial, "accept": asking.accept}[op]
    with pytest.raises(RelayError) as caught:
        await ask(relay.url(), target)
    return caught.value.code


async def test_who_is_not_registered_cannot_be_dialled() -> None:
    async with relay_running() as relay:
        assert await refusal(relay, "alice", "dial", BOB) == NOT_HERE
        assert relay.reception.refusals == {NOT_HERE: 1}


async def test_nobody_of_another_formation_reaches_a_node_or_learns_that_it_is_there(keep: Keep) -> None:
    async with relay_running() as relay:
        keep(await asker("bob").register(relay.url()))
        assert await refusal(relay, "eve", "dial", BOB, OTHER_SECRET) == NOT_HERE
        assert await refusal(relay, "eve", "dial", BOB, b"\x2c" * 32) == FORBIDDEN


async def test_a_token_is_good_once_and_for_one_node(keep: Keep) -> None:
    async with relay_running() as relay:

        async def dial() -> None:
            keep(await asker("alice").dial(relay.url(), BOB))

        control = keep(await asker("bob").register(relay.url()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dial)
            token = await next_token(control)
            assert await refusal(relay, "mallory", "accept", token) == GONE
            keep(await asker("bob").accept(relay.url(), token))
            assert await refusal(relay, "bob", "accept", token) == GONE
        assert await refusal(relay, "bob", "accept", "00" * 32) == GONE


async def test_who_does_not_take_a_circuit_is_told_of(monkeypatch: pytest.MonkeyPatch, keep: Keep) -> None:
    monkeypatch.setattr(board, "ANSWER_DEADLINE", 0.05)
    async with relay_running() as relay:
        keep(await asker("bob").register(relay.url()))
        assert await refusal(relay, "alice", "dial", BOB) == NO_ANSWER
        assert relay.switchboard.circuits == 0


async def test_who_registers_anew_takes_the_place_of_the_old_connection(keep: Keep) -> None:
    async with relay_running() as relay:
        old = keep(await asker("bob").register(relay.url()))
        new = keep(await asker("bob").register(relay.url()))
        assert await old.next() == Ping()
        with pytest.raises(RelayError, match="once more"):
            await old.next()
        assert relay.switchboard.registrations == 1
        await trio.aclose_forcefully(new.stream)
        await until(lambda: relay.switchboard.registrations == 0)


async def test_there_is_a_limit_to_registrations_and_to_circuits(keep: Keep) -> None:
    async with relay_running(RelayLimits(registrations=1, circuits=1)) as relay:
        async with circuit(relay.url()):
            with pytest.raises(RelayError) as caught:
                keep(await asker("carol").register(relay.url()))
            assert caught.value.code == BUSY
            assert await refusal(relay, "carol", "dial", BOB) == BUSY
        assert relay.hits.counts[Limit.RELAY_REGISTRATIONS] == relay.hits.counts[Limit.RELAY_CIRCUITS] == 1


async def test_one_node_has_no_more_than_its_share_and_the_oldest_that_waits_gives_way(keep: Keep) -> None:
    async with relay_running() as relay, trio.open_nursery() as nursery:
        keep(await asker("bob").register(relay.url()))
        given_way = trio.Event()

        async def dial(name: str) -> None:
            with pytest.raises(RelayError, match="does not answer"):
                await asker(name).dial(relay.url(), BOB)
            given_way.set()

        for number in range(MAX_WAITING_OF_ONE + 1):
            nursery.start_soon(dial, f"caller-{number}")
            await until(lambda number=number: relay.reception.requests["dial"] > number)  # type: ignore[misc]
        with trio.fail_after(60):
            await given_way.wait()
        assert MAX_WAITING_OF_ONE < MAX_CIRCUITS_OF_ONE
        assert relay.switchboard.circuits == MAX_WAITING_OF_ONE
        nursery.cancel_scope.cancel()


async def test_no_node_takes_all_that_another_has_for_others(keep: Keep) -> None:
    async with relay_running() as relay, trio.open_nursery() as nursery:
        control = keep(await asker("bob").register(relay.url()))

        async def dial(name: str) -> None:
            keep(await asker(name).dial(relay.url(), BOB))

        for name in (*["alice"] * MAX_CIRCUITS_OF_TWO, "carol"):
            nursery.start_soon(dial, name)
            keep(await asker("bob").accept(relay.url(), await next_token(control)))
            if name != "carol" and relay.switchboard.circuits == MAX_CIRCUITS_OF_TWO:
                assert await refusal(relay, "alice", "dial", BOB) == BUSY
        assert relay.switchboard.circuits == MAX_CIRCUITS_OF_TWO + 1


async def test_who_sends_more_than_its_rate_has_to_wait() -> None:
    async with relay_running(RelayLimits(rate=1_000_000)) as relay, circuit(relay.url()) as (alice, bob):
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.send_all, TEXT)
            taken = 0
            while taken < len(TEXT):
                taken += len(await bob.receive_some())
        assert trio.current_time() - begun >= 0.5
        assert relay.hits.counts[Limit.RELAY_RATE] > 0


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00" * 100,
        b"peat-relay/2\n",
        b"peat-relay/1\n" + b"\xff" * 100,
        b"peat-relay/1\n" + frame(Ping()),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"G" * 100_000,
        b"\x16\x03\x01" + b"\x00" * 100,
    ],
    ids=range(8),
)
async def test_nonsense_is_answered_by_the_end_of_the_connection(tmp_path: Path, nonsense: bytes, keep: Keep) -> None:
    async with relay_running(authority=Authority(tmp_path)) as relay:
        with capture_logs() as logged:
            async with await trio.open_tcp_stream("127.0.0.1", relay.address.port) as stream:
                try:
                    await stream.send_all(nonsense)
                    await stream.send_eof()
                    await received(stream)
                except trio.BrokenResourceError:
                    pass
        assert all(line["log_level"] != "error" for line in logged)
        keep(await asker("alice").register(relay.url()))  # it serves on


async def test_a_flood_of_strangers_is_turned_away_and_nodes_come_through_afterwards(keep: Keep) -> None:
    async with relay_running() as relay:
        strangers = [await trio.open_tcp_stream("127.0.0.1", relay.address.port) for _ in range(100)]
        await until(lambda: relay.hits.counts[Limit.RELAY_HANDSHAKES] >= 90)
        for stranger in strangers:
            await trio.aclose_forcefully(stranger)
        control = None
        while control is None:
            try:
                control = keep(await asker("bob").register(relay.url()))
            except RelayError:
                await trio.lowlevel.checkpoint()
