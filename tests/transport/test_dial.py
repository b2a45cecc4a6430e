"""Dialling: the addresses that are tried, the reason that is told, and secrets that are being rotated."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from fakes.links import OTHER_SECRET, SECRET, credentials, hello
from fakes.ports import free_port
from structlog.testing import capture_logs
from trio.testing import MockClock

from peatd.errors import Declined, HandshakeError, Unreachable
from peatd.names import Address
from peatd.transport import Credentials, Link, LinkPeer, dial, listen

OLDEST = b"\x29" * 32


@asynccontextmanager
async def listening(bob: Credentials, name: str = "bob") -> AsyncIterator[Address]:
    async def close(link: Link) -> None:
        await link.stream.aclose()

    async with trio.open_nursery() as nursery:
        [address] = await nursery.start(listen, Address("127.0.0.1", 0), lambda: (bob, hello(name)), close)
        yield address
        nursery.cancel_scope.cancel()


def nowhere() -> Address:
    """Nobody listens there."""
    return Address("127.0.0.1", free_port())


async def reason(*addresses: Address, dialling: Credentials | None = None) -> Unreachable | HandshakeError:
    with pytest.raises((Unreachable, HandshakeError)) as caught:
        await dial(addresses, dialling or credentials("alice"), hello("alice"))
    return caught.value


async def test_nobody_listens() -> None:
    address = nowhere()
    refused = await reason(address)
    assert isinstance(refused, Unreachable)
    assert refused.code == "refused"
    assert str(refused) == f"{address}: connection refused"


async def test_a_name_that_does_not_resolve() -> None:
    unknown = await reason(Address("no-such-host.invalid", 11204))
    assert isinstance(unknown, Unreachable)
    assert unknown.code == "dns"
    assert "no-such-host.invalid:11204: the name does not resolve" in str(unknown)


async def test_no_address() -> None:
    assert isinstance(await reason(), Unreachable)


@pytest.fixture
def unanswering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that drops whatever is sent to it."""

    async def wait(_host: str, _port: int) -> trio.SocketStream:
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(trio, "open_tcp_stream", wait)


@pytest.mark.usefixtures("unanswering")
async def test_no_answer_has_five_seconds(autojump_clock: MockClock) -> None:
    unanswered = await reason(Address("192.0.2.1", 11204))
    assert isinstance(unanswered, Unreachable)
    assert unanswered.code == "no-answer"
    assert autojump_clock.current_time() == pytest.approx(5)


@pytest.mark.usefixtures("unanswering")
async def test_of_many_addresses_one_is_begun_each_quarter_of_a_second(autojump_clock: MockClock) -> None:
    await reason(*(Address(f"192.0.2.{number}", 11204) for number in range(50)))
    assert autojump_clock.current_time() == pytest.approx(49 * 0.25 + 5)


@pytest.mark.usefixtures("unanswering")
async def test_all_together_have_thirty_seconds(autojump_clock: MockClock) -> None:
    await reason(*(Address(f"192.0.{number // 250}.{number % 250}", 11204) for number in range(500)))
    assert autojump_clock.current_time() == pytest.approx(30)


async def test_an_address_that_takes_connections_and_says_nothing_does_not_hide_the_good_one() -> None:
    silent = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = silent[0].socket.getsockname()
    async with silent[0], listening(credentials("bob")) as address:
        with trio.fail_after(8):
            link = await dial([Address(host, port), address], credentials("alice"), hello("alice"))
        assert link.address == address
        await link.stream.aclose()


async def test_the_next_address_is_tried() -> None:
    async with listening(credentials("bob")) as address:
        link = await dial([nowhere(), address], credentials("alice"), hello("alice"))
        assert link.address == address
        await link.stream.aclose()


async def test_where_a_linked_peer_answers_the_next_address_is_tried() -> None:
    def declines(peer: LinkPeer) -> str | None:
        return "we are linked already" if peer.node_id == "bob" else None

    async with listening(credentials("bob")) as at_bob, listening(credentials("carol"), "carol") as at_carol:
        ours = (credentials("alice"), hello("alice"), declines)
        with capture_logs() as logs:
            link = await dial([at_bob, at_carol], *ours)
            assert link.peer.node_id == "carol"
            await link.stream.aclose()
            with pytest.raises(Declined):
                await dial([nowhere(), at_bob, nowhere()], *ours)
        assert logs == [], "bob has nothing to complain of"


async def test_a_name_is_dialled() -> None:
    async with listening(credentials("bob")) as address:
        link = await dial([Address("localhost", address.port)], credentials("alice"), hello("alice"))
        await link.stream.aclose()


async def test_the_most_telling_reason_is_told() -> None:
    with capture_logs():
        async with listening(credentials("bob", OTHER_SECRET)) as stranger:
            told = await reason(Address("no-such-host.invalid", 1), stranger, nowhere())
            assert isinstance(told, HandshakeError)
            assert told.code == "not-our-formation"
            assert str(told).startswith(f"{stranger}: ")


@pytest.mark.parametrize(
    ("alice", "bob"),
    [
        ([SECRET], [OTHER_SECRET, SECRET]),
        ([OTHER_SECRET, SECRET], [SECRET]),
        ([OTHER_SECRET, SECRET], [OTHER_SECRET]),
        ([OTHER_SECRET], [OTHER_SECRET, SECRET]),
        ([OTHER_SECRET, SECRET], [SECRET, OTHER_SECRET]),
        ([OTHER_SECRET, SECRET], [OTHER_SECRET, SECRET]),
        ([OTHER_SECRET, SECRET], [SECRET, OLDEST]),
        ([SECRET, OLDEST], [OTHER_SECRET, SECRET]),
        ([OTHER_SECRET, SECRET, OLDEST], [OLDEST]),
        ([OLDEST], [OTHER_SECRET, SECRET, OLDEST]),
    ],
)
async def test_whoever_shares_a_secret_can_link(alice: list[bytes], bob: list[bytes]) -> None:
    with capture_logs():
        async with listening(credentials("bob", *bob)) as address:
            link = await dial([address], credentials("alice", *alice), hello("alice"))
            assert link.peer.device_id == credentials("bob", *bob).keypair.device_id
            await link.stream.aclose()


async def test_a_secret_that_was_retired_opens_nothing() -> None:
    with capture_logs():
        async with listening(credentials("bob", OTHER_SECRET)) as address:
            refused = await reason(address, dialling=credentials("alice", SECRET))
            assert isinstance(refused, HandshakeError)
            assert refused.code == "not-our-formation"
