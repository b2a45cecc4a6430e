"""The short way to a yes: `peat ready` without typer, http.client or json.

It says yes only when it is sure. Whatever else comes up (another option, another answer, nobody there) is left to the
long way, which asks again and says why.
"""

import socket
from collections.abc import Mapping, Sequence

from cli import unix
from cli.locate import UNIX, Options, api

_TIMEOUT = 1.0
"""Seconds. Kubernetes gives a probe no more by default; the long way has more patience."""

_MAX_ANSWER_BYTES = 64 * 1024


def is_surely_ready(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the daemon that `peat ready ARGUMENTS…` asks says that it is ready."""
    options = _parse(arguments)
    if options is None:
        return False
    try:
        return _says_ready(_ask(api(options, environ)))
    except (OSError, ValueError):  # nobody there; an address that does not parse
        return False


def _parse(arguments: Sequence[str]) -> Options | None:
    """The options, if they are among those that make sense for a probe."""
    options = Options()
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            value = next(words, "")
        if not value:
            return None
        if name == "--api":
            options.api = value
        elif name == "--data-dir":
            options.data_dir = value
        else:
            return None
    return options


def _ask(address: str) -> bytes:
    connection, host = _connect(address)
    with connection:
        connection.sendall(f"GET /api/v1/ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("ascii"))
        answer = b""
        while len(answer) < _MAX_ANSWER_BYTES and (part := connection.recv(_MAX_ANSWER_BYTES)):
            answer += part
    return answer


def _connect(address: str) -> tuple[socket.socket, str]:
    if address.startswith(UNIX):
        return unix.connect(address.removeprefix(UNIX), _TIMEOUT), "localhost"
    host_and_port = address.removeprefix("http://").removesuffix("/")
    host, _, port = host_and_port.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT), host_and_port


def _says_ready(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    # The names are peatd's: not any server that says 200 will do.
    return head[:13] == b"HTTP/1.1 200 " and b'"node_id"' in body and b'"checks"' in body
