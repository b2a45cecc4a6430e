"""Connects to a unix socket, however long its path."""

import os
import socket

_MAX_PATH_BYTES = 107
"""unix(7): 108 with the NUL."""


def connect(path: str, timeout: float | None) -> socket.socket:
    """A connection; `timeout`, in seconds, holds for connecting and for whatever is done with it.

    Raises:
        OSError: if nobody listens there.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
            connection.connect(path)
        else:
            _connect_by_directory(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_by_directory(connection: socket.socket, path: str) -> None:
    """By way of the open directory, whose path is short whatever it is."""
    directory, name = os.path.split(path)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
