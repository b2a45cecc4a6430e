"""Listening sockets for an address as an operator writes it."""

import errno
import socket
from typing import Any

import trio

from peatd.errors import ConfigError
from peatd.names import Address
from peatd.threads import needing_threads

_BACKLOG = 256
"""Connections that wait for `accept`: all nodes of a large formation, when this one comes back."""
_ANY_IPV6 = "::"
_ANY_IPV4 = "0.0.0.0"
_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


async def bind_sockets(bind: Address, flag: str = "--bind") -> list[trio.SocketListener]:
    """One listener per address that the host stands for; with port 0, all on the port that the first was given.

    `::` takes IPv4 connections too, and is `0.0.0.0` on a machine without IPv6.

    Raises:
        ConfigError: if one cannot be bound.
    """
    try:
        with needing_threads():
            kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
            targets = await trio.socket.getaddrinfo(bind.host, bind.port, type=kind, flags=flags)
        return await _bind_all([(family, name) for family, _, _, _, name in targets])
    except OSError as exc:
        if bind.host == _ANY_IPV6 and exc.errno in _NO_IPV6:
            return await bind_sockets(Address(_ANY_IPV4, bind.port), flag)
        raise ConfigError(f"cannot listen on {bind}: {exc.strerror or exc}; choose another with {flag}") from exc


def peer_address(name: tuple[Any, ...]) -> Address:
    """A socket's name as an address. An IPv4 peer of a dual-stack socket is called by its IPv4 address."""
    host = str(name[0])
    return Address(host.removeprefix("::ffff:") if "." in host else host, int(name[1]))


async def _bind_all(targets: list[tuple[int, Any]]) -> list[trio.SocketListener]:
    listeners: list[trio.SocketListener] = []
    try:
        for family, (host, port, *more) in targets:
            taken = listeners[0].socket.getsockname()[1] if listeners else port
            listeners.append(await _bind(family, (host, port or taken, *more)))
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


async def _bind(family: int, name: tuple[Any, ...]) -> trio.SocketListener:
    listening = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Whoever asks for `::` means everybody; any other IPv6 address is just that.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, name[0] != _ANY_IPV6)
        await listening.bind(name)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return trio.SocketListener(listening)
