"""Relays on 127.0.0.1 in this process: the real one, and some that are none or lie."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from fakes.certificates import Authority
from fakes.links import SECRET

from peatd.formation import Formation
from peatd.identity import Keypair
from peatd.limits import LimitHits
from peatd.names import Address, DeviceId
from peatd.relay.asking import Asker
from peatd.relay.connecting import Outward
from peatd.relay.gate import Gate
from peatd.relay.protocol import Signer
from peatd.relay.reception import Reception, serve_relay
from peatd.relay.switchboard import RelayLimits, Switchboard
from peatd.relay_url import RelayUrl

LOOPBACK = Address("127.0.0.1", 0)


def relay_key(secret: bytes = SECRET) -> Keypair:
    return Keypair.from_secret(Formation("peat", (secret,)).relay_secret(0))


def device_of(node_id: str, secret: bytes = SECRET) -> DeviceId:
    return Keypair.from_seed(secret, node_id).device_id


def asker(node_id: str, *, secret: bytes = SECRET, outward: Outward | None = None) -> Asker:
    """Asks in the name of a node of a formation."""
    signer = Signer(Keypair.from_seed(secret, node_id), (relay_key(secret),))
    return Asker(signer, outward or Outward())


class RunningRelay:
    """A real relay, and its parts."""

    def __init__(self, limits: RelayLimits, authority: Authority | None) -> None:
        self.hits = LimitHits()
        self.switchboard = Switchboard(limits, self.hits)
        context = None if authority is None else authority.server_context()
        gate = Gate((), lambda: {relay_key().public_key, relay_key(b"\x2b" * 32).public_key})
        self.reception = Reception(gate, self.switchboard, self.hits, None if context is None else lambda: context)
        self.address = LOOPBACK

    def url(self, scheme: str = "tcp") -> RelayUrl:
        return RelayUrl.parse(f"{scheme}://{self.address}")


@asynccontextmanager
async def relay_running(
    limits: RelayLimits | None = None, authority: Authority | None = None, at: Address = LOOPBACK
) -> AsyncIterator[RunningRelay]:
    async with trio.open_nursery() as nursery:
        relay = RunningRelay(limits or RelayLimits(), authority)
        relay.address = (await nursery.start(serve_relay, at, relay.reception))[0]
        yield relay
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def answering(answer: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[Address]:
    """Something that listens, and does this with whoever comes."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            await answer(stream)
        except trio.BrokenResourceError:
            return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield Address("127.0.0.1", listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], object]) -> None:
    """Waits for what other tasks do on real sockets."""
    with trio.fail_after(60):
        while not is_so():
            await trio.lowlevel.checkpoint()
