"""Two nodes, or a node and a script, meet over a memory stream with real TLS."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from fakes.links import credentials, hello
from trio.testing import memory_stream_pair

from peatd.errors import HandshakeError
from peatd.names import Address
from peatd.transport import Credentials, Link, initiate, receive
from peatd.wire.messages import Hello

ADDRESS = Address("192.0.2.1", 11204)
Script = Callable[[trio.abc.Stream], Awaitable[None]]
Outcome = Link | HandshakeError


async def outcome(establish: Awaitable[Link]) -> Outcome:
    try:
        return await establish
    except HandshakeError as exc:
        return exc


async def meet(
    alice: Credentials,
    bob: Credentials,
    *,
    alice_hello: Hello | None = None,
    bob_hello: Hello | None = None,
    streams: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
) -> tuple[Outcome, Outcome]:
    """What alice, who initiates, and bob, who receives, get."""
    ours, theirs = streams or memory_stream_pair()
    outcomes: dict[str, Outcome] = {}

    async def run(name: str, establish: Awaitable[Link]) -> None:
        outcomes[name] = await outcome(establish)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "alice", initiate(ours, alice, alice_hello or hello("alice"), ADDRESS))
        nursery.start_soon(run, "bob", receive(theirs, bob, bob_hello or hello("bob"), ADDRESS))
    return outcomes["alice"], outcomes["bob"]


async def met_by(script: Script) -> HandshakeError:
    """How bob, who receives, refuses whoever runs `script`; whose stream is then closed."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(script, ours)
        refused = await outcome(receive(theirs, credentials("bob"), hello("bob"), ADDRESS))
        nursery.cancel_scope.cancel()
    assert isinstance(refused, HandshakeError)
    with pytest.raises(trio.ClosedResourceError):
        await theirs.send_all(b"x")
    return refused


async def meets(script: Script) -> HandshakeError:
    """How alice, who initiates, refuses whoever runs `script`; whose stream is then closed."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(script, theirs)
        refused = await outcome(initiate(ours, credentials("alice"), hello("alice"), ADDRESS))
        nursery.cancel_scope.cancel()
    assert isinstance(refused, HandshakeError)
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")
    return refused
