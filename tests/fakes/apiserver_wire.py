"""The HTTP that the fake API server speaks, and the faults that it can be told to have."""

import contextlib
import json
import socket
import struct
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from fakes.endpointslices import Json

CutHow = Literal["fin", "rst"]


@dataclass(frozen=True)
class Refuse:
    """Answers with a status and a Status body."""

    code: int
    message: str = "refused for the test"
    retry_after: int | None = None


@dataclass(frozen=True)
class HangUp:
    """Cuts the connection instead of answering."""

    how: CutHow = "fin"


@dataclass(frozen=True)
class Hang:
    """Reads the request and says nothing, for ever."""


@dataclass(frozen=True)
class Say:
    """Answers 200 with these bytes as the first chunk, and goes on as usual."""

    line: bytes


Fault = Refuse | HangUp | Hang | Say


@dataclass(frozen=True)
class Request:
    verb: str
    query: dict[str, str]
    authorization: str | None


CHUNKED_HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event_line(event: Json) -> bytes:
    return json.dumps(event).encode() + b"\n"


def status(code: int, message: str) -> Json:
    reasons = {401: "Unauthorized", 403: "Forbidden", 410: "Expired", 422: "Invalid", 504: "Timeout"}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reasons.get(code, "InternalError"),
        "code": code,
    }


def cut(connection: socket.socket, how: CutHow) -> None:
    """Ends a connection, also under the thread that serves it. RST is sure only while that thread is not reading."""
    with contextlib.suppress(OSError):
        if how == "rst":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        else:
            connection.shutdown(socket.SHUT_RDWR)


def read_request(connection: socket.socket) -> Request | None:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            return None
        head += received
    request_line, *lines = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    url = urlsplit(request_line.split(" ")[1])
    query = {key: values[0] for key, values in parse_qs(url.query).items()}
    query["namespace"] = url.path.split("/")[-2]
    verb = "watch" if query.get("watch", "").lower() == "true" else "list"
    return Request(verb, query, headers.get("authorization"))
