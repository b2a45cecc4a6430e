"""A place in the group: of the system, on loopback, and of the fake that other tests use."""

import errno
import itertools
import os
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import trio
from fakes.lan import FakeLan, Switch

from peatd.discovery.interfaces import Interface, read_interfaces
from peatd.discovery.multicast import Lan, Multicast

_PORTS = itertools.count(20_000 + os.getpid() * 7 % 10_000)
"""Of groups, which have no free ports to ask for: whoever wants one shares it."""


def loopback() -> Interface:
    return next(one for one in read_interfaces() if any(str(host.ip) == "127.0.0.1" for host in one.hosts))


def real() -> Lan:
    return Multicast(next(_PORTS))


def fake() -> Lan:
    return FakeLan(Switch(), [loopback()])


@pytest.fixture(params=[real, fake])
def lan(request: pytest.FixtureRequest) -> Lan:
    make: Callable[[], Lan] = request.param
    return make()


@pytest.fixture(params=[4, 6])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    if not loopback().speaks(number):
        pytest.skip(f"loopback has no IPv{number} here")
    return number


async def test_what_one_sends_all_hear_and_it_too(lan: Lan, version: int) -> None:
    with ExitStack() as seats, trio.fail_after(20):
        one, other = (seats.enter_context(lan.join(loopback(), version)) for _ in range(2))
        try:
            await one.send(b"hello")
        except OSError as exc:
            if exc.errno in (errno.ENETUNREACH, errno.EADDRNOTAVAIL):
                pytest.skip(f"no multicast over IPv{version} on loopback here: {exc}")
            raise
        assert [await seat.receive() for seat in (one, other)] == [b"hello", b"hello"]


async def test_it_can_be_left_and_joined_again(lan: Lan) -> None:
    for packet in (b"first", b"second"):
        with lan.join(loopback(), 4) as seat, trio.fail_after(20):
            await seat.send(packet)
            assert await seat.receive() == packet


async def test_where_there_is_no_interface_nobody_sends(lan: Lan) -> None:
    gone = Interface("gone0", 2**30, loopback().hosts)
    with pytest.raises(OSError), lan.join(gone, 4) as seat:  # noqa: PT011  # whichever the system says
        await seat.send(b"hello")


def test_there_are_interfaces(lan: Lan) -> None:
    assert loopback() in lan.interfaces()
