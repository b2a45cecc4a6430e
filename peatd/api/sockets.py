"""The sockets that the API listens on, bound by us.

hypercorn would take a live daemon's unix socket away without a word, let everyone open it (0755) and leave it behind.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from peatd.api.access import Entrance
from peatd.errors import ConfigError
from peatd.hosts import is_loopback
from peatd.names import Address
from peatd.runtime_files import remove
from peatd.threads import needing_threads

BACKLOG = 128
"""Connections that the kernel holds for us while the loop is busy."""

_MAX_UNIX_PATH = 107
"""Bytes of a unix socket's path, unix(7): 108 with the NUL."""


@dataclass(frozen=True, slots=True)
class Door:
    """A listening socket, and what coming by it means."""

    listener: trio.SocketListener
    entrance: Entrance


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the API can be reached.

    Attributes:
        tcp: every address that the name stands for; empty where TCP is off.
    """

    tcp: tuple[Address, ...]
    unix: Path | None


async def open_doors(stack: ExitStack, tcp: Address | None, unix: Path | None) -> tuple[list[Door], Bound]:
    """Binds everything, or nothing; leaving `stack` closes it all and removes the unix socket.

    Raises:
        ConfigError: if an address cannot be had, or a live daemon has the unix socket.
    """
    doors, addresses = [], []
    for bound in await _bind_tcp(stack, tcp) if tcp else ():
        host, port = bound.getsockname()[:2]
        addresses.append(Address(host, port))
        doors.append(_door(bound, Entrance(private=False, loopback=is_loopback(host))))
    if unix is not None:
        doors.append(_door(_bind_unix(stack, unix), Entrance(private=True, loopback=False)))
    return doors, Bound(tuple(addresses), unix)


def _bind_unix(stack: ExitStack, path: Path) -> socket.socket:
    try:
        _clear(path)
        bound = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        with _within_reach(path) as reachable:
            bound.bind(reachable)
        stack.callback(_remove, path, _identity(path))
        # Nobody can connect before listen(), so the wider mode of this moment lets nobody in.
        path.chmod(0o600)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be bound: {exc.strerror or exc}; name another --data-dir") from exc
    return bound


def _clear(path: Path) -> None:
    """Removes a socket that a crash has left behind."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"{path} is not a socket; move it out of the way")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor, _within_reach(path) as reachable:
        visitor.setblocking(False)
        try:
            visitor.connect(reachable)
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # it is listened to, and its backlog is full
    raise ConfigError(f"{path} is in use: another peatd runs there; stop it, or name another --data-dir")


@contextmanager
def _within_reach(path: Path) -> Iterator[str]:
    """A path to the same file that is short enough for a socket: through its open directory, where need be."""
    if len(os.fsencode(path)) <= _MAX_UNIX_PATH:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _remove(path: Path, identity: tuple[int, int] | None) -> None:
    if identity is not None and _identity(path) == identity:  # else it is gone, or another daemon's by now
        remove(path)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


async def _bind_tcp(stack: ExitStack, address: Address) -> list[socket.socket]:
    """Every address that the host's name stands for. One that this machine lacks (`localhost` names `::1` where IPv6 is
    off) is passed over as long as there is another."""
    bound: list[socket.socket] = []
    port, lacking = address.port, None
    try:
        with needing_threads():
            kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
            found = await trio.socket.getaddrinfo(address.host, port, type=kind, flags=flags)
        for family, _, _, _, sockaddr in found:
            try:
                one = _bind_one(stack, family, (sockaddr[0], port, *sockaddr[2:]))
            except OSError as exc:
                if exc.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                lacking = exc
            else:
                port = one.getsockname()[1]  # port 0 is the same free one for every address of the name
                bound.append(one)
        if lacking is not None and not bound:
            raise lacking
    except OSError as exc:
        raise ConfigError(f"--api {address} cannot be bound: {exc.strerror or exc}; name another address") from exc
    return bound


def _bind_one(stack: ExitStack, family: int, sockaddr: tuple[str | int, ...]) -> socket.socket:
    one = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        # `[::]` is every address of this machine, as in most servers; the kernel's default may differ.
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, sockaddr[0] != "::")
    one.bind(sockaddr)
    return one


def _door(bound: socket.socket, entrance: Entrance) -> Door:
    bound.listen(BACKLOG)
    bound.setblocking(False)
    return Door(trio.SocketListener(trio.socket.from_stdlib_socket(bound)), entrance)
