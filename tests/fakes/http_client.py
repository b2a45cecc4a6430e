"""An HTTP client that does what it is told, however wrong: whole requests, or bytes."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import trio

from peatd.names import Address

PATIENCE = 20.0
"""Seconds after which a test fails that waits for an answer."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error = self.json["error"]
        assert error.keys() == {"code", "message", "hint"}
        assert error["code"]
        assert error["message"]
        return dict(error)


class Client:
    """One connection."""

    def __init__(self, stream: trio.SocketStream, host: str) -> None:
        self.stream = stream
        self.host = host
        self._h11 = h11.Connection(h11.CLIENT)

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """One request and its answer; may be repeated while the connection is kept."""
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        sent = {"Host": self.host} | dict(headers or {})
        if body:
            sent.setdefault("Content-Length", str(len(body)))
        request = h11.Request(method=method, target=target, headers=list(sent.items()))
        octets = (self._h11.send(request) or b"") + (self._h11.send(h11.Data(data=body)) or b"" if body else b"")
        await self.stream.send_all(octets + (self._h11.send(h11.EndOfMessage()) or b""))
        return await self.reply()

    async def reply(self) -> Reply:
        """The answer to what was asked."""
        body, response = b"", None
        with trio.fail_after(PATIENCE):
            while True:
                event = self._h11.next_event()
                match event:
                    case h11.NEED_DATA:
                        self._h11.receive_data(await self.stream.receive_some(65536))
                    case h11.Response():
                        response = event
                    case h11.Data():
                        body += event.data
                    case h11.EndOfMessage():
                        break
        assert response is not None
        found = {name.decode(): value.decode() for name, value in response.headers}
        return Reply(response.status_code, found, body)

    async def say(self, octets: bytes) -> None:
        await self.stream.send_all(octets)

    async def hear_all(self) -> bytes:
        """All that comes until the server closes."""
        heard = b""
        with trio.fail_after(PATIENCE):
            try:
                while octets := await self.stream.receive_some(65536):
                    heard += octets
            except trio.BrokenResourceError:
                pass
        return heard

    async def hear_replies(self, count: int) -> list[Reply]:
        """That many answers, to requests that were said and not asked."""
        heard, replies = b"", []
        with trio.fail_after(PATIENCE):
            while len(replies) < count:
                reply, size = parse_reply(heard)
                if reply is not None:
                    replies.append(reply)
                    heard = heard[size:]
                    continue
                octets = await self.stream.receive_some(65536)
                assert octets, f"closed after {len(replies)} answers: {heard!r}"
                heard += octets
        return replies


def parse_reply(octets: bytes) -> tuple[Reply | None, int]:
    """The first whole answer in the bytes (one that states its length), and its size."""
    head, separator, rest = octets.partition(b"\r\n\r\n")
    if not separator:
        return None, 0
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = int(headers.get("content-length", "0"))
    if len(rest) < size:
        return None, 0
    return Reply(int(first.split()[1]), headers, rest[:size]), len(head) + 4 + size


async def connect_tcp(address: Address) -> Client:
    return Client(await trio.open_tcp_stream(address.host, address.port), str(address))


async def connect_unix(path: Path) -> Client:
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await sock.connect(str(path))
    return Client(trio.SocketStream(sock), "localhost")
