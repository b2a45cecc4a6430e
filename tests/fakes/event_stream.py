"""A reader of Server-Sent Events, as the HTML Standard (§9.2.6) has it, on one connection."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h11
import trio
from fakes.http_client import PATIENCE, Client


@dataclass(frozen=True)
class Block:
    """What stands between two empty lines. A comment's name is empty."""

    fields: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        (value,) = (value for field, value in self.fields if field == name)
        return value

    @property
    def kind(self) -> str:
        """The event's, or `comment`."""
        return next((value for field, value in self.fields if field == "event"), "comment")

    @property
    def data(self) -> Any:
        return json.loads(self["data"])


class EventStream:
    """An answer to `GET /events` that is being read."""

    def __init__(self, client: Client, connection: h11.Connection, response: h11.Response) -> None:
        self.client = client
        self.status = response.status_code
        self.headers = {name.decode(): value.decode() for name, value in response.headers}
        self.has_ended = False
        self._h11 = connection
        self._heard = ""

    async def next(self) -> Block:
        """The next block of any kind."""
        with trio.fail_after(PATIENCE):
            while "\n\n" not in self._heard:
                match self._h11.next_event():
                    case h11.NEED_DATA:
                        self._h11.receive_data(await self.client.stream.receive_some(65536))
                    case h11.Data() as data:
                        self._heard += data.data.decode()
                    case h11.EndOfMessage():
                        self.has_ended = True
                        raise EOFError
        block, _, self._heard = self._heard.partition("\n\n")
        lines = (line.partition(":") for line in block.split("\n"))
        return Block(tuple((name, value.removeprefix(" ")) for name, _, value in lines))

    async def event(self) -> Block:
        """The next that is more than a comment."""
        while (block := await self.next()).kind == "comment":
            pass
        return block

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> Block:
        """The next event, until the stream has ended."""
        try:
            return await self.event()
        except EOFError:
            raise StopAsyncIteration from None


async def follow(client: Client, query: str = "", headers: Mapping[str, str] | None = None) -> EventStream:
    """Opens a stream by this connection."""
    connection = h11.Connection(h11.CLIENT)
    sent = {"Host": client.host, **(headers or {})}
    request = h11.Request(method="GET", target=f"/api/v1/events{query}", headers=list(sent.items()))
    octets = (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")
    await client.stream.send_all(octets)
    with trio.fail_after(PATIENCE):
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await client.stream.receive_some(65536))
    assert isinstance(event, h11.Response), event
    return EventStream(client, connection, event)
