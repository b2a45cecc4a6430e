"""Two ends of a link in conversation, or one end and a script."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from fakes.links import Inbox, credentials, hello, memory_links
from trio.testing import lockstep_stream_pair, memory_stream_pair

from peatd.names import Address
from peatd.transport import Link, LinkEnd, converse, initiate, receive
from peatd.wire.connection import Connection
from peatd.wire.messages import Goaway, Message, Updates


class Side:
    """One end of a link in conversation."""

    def __init__(self, link: Link, inbox: Inbox | None = None) -> None:
        self.link = link
        self.inbox = inbox or Inbox()
        self.ended = trio.Event()
        self.scope = trio.CancelScope()
        self.result: LinkEnd | None = None

    async def run(self) -> None:
        with self.scope:
            self.result = await converse(self.link, self.inbox)
        self.ended.set()

    async def end(self) -> LinkEnd | None:
        """How it ended; None where it was cancelled."""
        await self.ended.wait()
        return self.result


@asynccontextmanager
async def conversation(
    links: tuple[Link, Link] | None = None, inbox: Inbox | None = None
) -> AsyncIterator[tuple[Side, Side]]:
    """Alice's side and bob's; what is still up at the end is cancelled. `inbox` is alice's."""
    ours, theirs = links or memory_links()
    alice, bob = Side(ours, inbox), Side(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.run)
        nursery.start_soon(bob.run)
        yield alice, bob
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def with_script(
    inbox: Inbox | None = None, *, clogged: bool = False
) -> AsyncIterator[tuple[Side, trio.abc.Stream]]:
    """Alice's side, and the bare stream of whoever is at the other end. Clogged: a send waits until all is read."""
    ours, theirs = memory_links(streams=lockstep_stream_pair() if clogged else None)
    alice = Side(ours, inbox)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.run)
        yield alice, theirs.stream
        await theirs.stream.aclose()
        nursery.cancel_scope.cancel()


async def said(stream: trio.abc.Stream) -> list[Message]:
    """All that can be read until the stream ends."""
    connection, messages = Connection(), []
    while received := await stream.receive_some():
        messages += connection.receive(received)
    return messages


def updates(*numbers: int) -> list[Message]:
    return [Updates("notes/a", 1, number, 0, [bytes([number])]) for number in numbers]


async def said_then_closed(stream: trio.abc.Stream) -> list[Message]:
    """What is said up to a GOAWAY, upon which the stream is closed, as an honest peer does."""
    connection, messages = Connection(), []
    while not (messages and isinstance(messages[-1], Goaway)):
        messages += connection.receive(await stream.receive_some())
    await stream.aclose()
    return messages


async def tls_links() -> tuple[Link, Link]:
    ours, theirs = memory_stream_pair()
    links: dict[str, Link] = {}
    address = Address("192.0.2.1", 11204)

    async def alice() -> None:
        links["alice"] = await initiate(ours, credentials("alice"), hello("alice"), address)

    async def bob() -> None:
        links["bob"] = await receive(theirs, credentials("bob"), hello("bob"), address)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice)
        nursery.start_soon(bob)
    return links["alice"], links["bob"]
