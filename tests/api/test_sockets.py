"""The sockets: where they are, who may open them, and that they are nobody else's."""

import socket
import stat
from contextlib import ExitStack

import pytest
import trio
from fakes.http_client import connect_tcp, connect_unix

from peatd.api.access import Entrance
from peatd.api.sockets import open_doors
from peatd.errors import ConfigError
from peatd.names import Address


async def _open(stack, unix, tcp=None):
    return await open_doors(stack, tcp, unix)


async def test_the_unix_socket_is_its_owners_and_gone_afterwards(tmp_path):
    path = tmp_path / "api.sock"
    with ExitStack() as stack:
        doors, bound = await _open(stack, path)
        assert [door.entrance for door in doors] == [Entrance(private=True, loopback=False)]
        assert (bound.tcp, bound.unix) == ((), path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client = await connect_unix(path)
        await client.stream.aclose()
    assert not path.exists()


async def test_a_live_daemons_socket_is_not_taken(tmp_path):
    path = tmp_path / "api.sock"
    with ExitStack() as stack:
        await _open(stack, path)
        with ExitStack() as second, pytest.raises(ConfigError, match="another peatd"):
            await _open(second, path)
        client = await connect_unix(path)  # and it is still the first one's
        await client.stream.aclose()


async def test_a_live_daemon_with_no_time_is_one_too(tmp_path):
    path = tmp_path / "api.sock"
    with ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            waiting.connect_ex(str(path))
        with pytest.raises(ConfigError, match="another peatd"):
            await _open(stack, path)


async def test_a_crashed_daemons_socket_is_replaced(tmp_path):
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
        crashed.listen()
    with ExitStack() as stack:
        await _open(stack, path)
        client = await connect_unix(path)
        await client.stream.aclose()


async def test_what_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "api.sock"
    path.write_text("mine")
    with ExitStack() as stack, pytest.raises(ConfigError, match="not a socket"):
        await _open(stack, path)
    assert path.read_text() == "mine"


async def test_a_successors_socket_is_left_alone(tmp_path):
    path = tmp_path / "api.sock"
    with ExitStack() as successor:
        with ExitStack() as stack:
            await _open(stack, path)
            path.unlink()
            await _open(successor, path)
        assert path.exists()


async def test_a_directory_may_be_as_deep_as_it_is(tmp_path, monkeypatch):
    deep = tmp_path.joinpath(*["a-directory-with-a-long-name"] * 6)
    deep.mkdir(parents=True)
    path = deep / "api.sock"
    assert len(str(path)) > 108
    for _ in range(2):
        with ExitStack() as stack:
            await _open(stack, path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with ExitStack() as second, pytest.raises(ConfigError, match="another peatd"):
                await _open(second, path)
            monkeypatch.chdir(deep)
            sock = trio.socket.socket(socket.AF_UNIX)
            await sock.connect("api.sock")
            sock.close()
        assert not path.exists()


async def test_a_directory_that_is_not_there_is_a_configuration_error(tmp_path):
    with ExitStack() as stack, pytest.raises(ConfigError, match="cannot be bound"):
        await _open(stack, tmp_path / "none" / "api.sock")


async def test_port_0_takes_a_free_one(tmp_path):
    with ExitStack() as stack:
        doors, bound = await _open(stack, tmp_path / "api.sock", Address("127.0.0.1", 0))
        (address,) = bound.tcp
        assert address.port > 0
        assert doors[0].entrance == Entrance(private=False, loopback=True)
        client = await connect_tcp(address)
        await client.stream.aclose()


async def test_every_address_of_a_name_has_the_same_port(tmp_path):
    with ExitStack() as stack:
        doors, bound = await _open(stack, tmp_path / "api.sock", Address("localhost", 0))
        assert len({address.port for address in bound.tcp}) == 1
        assert all(door.entrance.loopback for door in doors[:-1])


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_every_address_of_the_machine_is_no_loopback(tmp_path, host):
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with ExitStack() as stack:
        doors, bound = await _open(stack, tmp_path / "api.sock", Address(host, 0))
        assert doors[0].entrance == Entrance(private=False, loopback=False)
        client = await connect_tcp(Address("127.0.0.1", bound.tcp[0].port))
        await client.stream.aclose()


async def test_a_taken_port_is_a_configuration_error_and_nothing_stays(tmp_path):
    path = tmp_path / "api.sock"
    with ExitStack() as stack:
        _, bound = await _open(stack, path, Address("127.0.0.1", 0))
        with ExitStack() as second, pytest.raises(ConfigError, match="in use"):
            await _open(second, tmp_path / "other.sock", bound.tcp[0])
        assert not (tmp_path / "other.sock").exists()


async def test_an_address_of_another_machine_is_a_configuration_error(tmp_path):
    with ExitStack() as stack, pytest.raises(ConfigError, match="cannot be bound"):
        await _open(stack, tmp_path / "api.sock", Address("192.0.2.1", 0))
