"""What a hostile client says, and how to see that it harmed nobody."""

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio
import trio.testing
from fakes.http_client import parse_reply

from peatd.api.connection import Limits

GET = b"GET /api/v1/node HTTP/1.1\r\nHost: x\r\n"
GET_LARGE = b"GET /api/v1/documents/a/large HTTP/1.1\r\nHost: x\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /api/v1/sync/a/b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
BOUNDED = 20.0
"""Seconds in which what has a deadline of far less must be over."""


@asynccontextmanager
async def unharmed(node):
    """Yields a connection for a client's worst; afterwards the node answers others and holds nothing of it."""
    before = await held_when_settled()
    client = await node.connect_privately()
    async with client.stream:
        yield client
    assert (await node.ask("GET", "/livez")).status == 200
    await until_no_more_is_held_than(before)


def _held():
    """File descriptors and tasks."""
    return len(list(Path("/proc/self/fd").iterdir())), trio.lowlevel.current_statistics().tasks_living


async def held_when_settled():
    await trio.testing.wait_all_tasks_blocked(0.01)
    return _held()


async def until_no_more_is_held_than(limits):
    with trio.fail_after(BOUNDED):
        while any(held > limit for held, limit in zip(_held(), limits, strict=True)):
            await trio.testing.wait_all_tasks_blocked(0.001)


async def say_until_cut(client, octets):
    """Says the same over and over until the server has had enough."""
    with trio.fail_after(BOUNDED):
        try:
            while True:
                await client.say(octets)
        except trio.BrokenResourceError:
            pass


async def last_status(client):
    """The status of the first answer of a connection that then ends."""
    reply, _ = parse_reply(await client.hear_all())
    return reply.status


def quick(**changes):
    """Limits under which nothing takes long to end."""
    return replace(Limits(), **{"grace": 0.05} | changes)
