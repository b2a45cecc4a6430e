"""The other end of `bench.relay`: takes links directly and by a relay, echoes single bytes, and swallows many."""

import sys
from pathlib import Path

import trio

from bench.daemons import credentials
from peatd.identity import Keypair
from peatd.names import Address
from peatd.relay.asking import Asker
from peatd.relay.connecting import Outward
from peatd.relay.protocol import Signer
from peatd.relay.registration import REGISTERED, Registrations
from peatd.relay_url import RelayUrl
from peatd.transport import Credentials, Link, listen
from peatd.wire.messages import MAX_FRAME_BYTES, PROTOCOL, Hello

BOB, CAROL = "bob", "carol"
CHUNK = 256 * 1024
ACK = b"a"
UP = "up: "
"""What it says once it can be reached either way, before the address."""


def hello(name: str) -> Hello:
    return Hello(PROTOCOL, name, "peat", name.encode().ljust(16, b"\0"), MAX_FRAME_BYTES, "bench")


def asker_of(ours: Credentials) -> Asker:
    return Asker(Signer(ours.keypair, _formation_keys(ours)), Outward())


def relay_keys(ours: Credentials) -> list[str]:
    return [key.public_key.hex() for key in _formation_keys(ours)]


def _formation_keys(ours: Credentials) -> tuple[Keypair, ...]:
    return (Keypair.from_secret(ours.formation.relay_secret(0)),)


async def _serve(link: Link) -> None:
    """The first message is one: what comes right behind HELLO may have been read with it, as messages."""
    stream = link.stream
    try:
        messages = list(link.early)
        while not messages:
            messages = link.connection.receive(await stream.receive_some())
        await stream.send_all(ACK)
        while asked := await stream.receive_some(1):
            if asked == b"p":
                await stream.send_all(asked)
                continue
            left = 4
            count = b""
            while left:
                count += await stream.receive_some(left)
                left = 4 - len(count)
            left = int.from_bytes(count, "big") * CHUNK
            while left:
                left -= len(await stream.receive_some(min(left, CHUNK)))
            await stream.send_all(ACK)
    except trio.BrokenResourceError:
        return


async def _main(directory: Path, name: str, relay: str) -> None:
    ours = credentials(directory, name)
    urls = [RelayUrl.parse(relay)]
    registrations = Registrations(urls, lambda: asker_of(ours), lambda: (ours, hello(name)), _serve)
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(listen, Address("127.0.0.1", 0), lambda: (ours, hello(name)), _serve)
        nursery.start_soon(registrations.run)
        while any(standing.state != REGISTERED for standing in registrations.standings()):  # noqa: ASYNC110 # no event
            await trio.sleep(0.01)
        print(f"{UP}{bound[0]}", flush=True)


if __name__ == "__main__":
    trio.run(_main, Path(sys.argv[1]), *sys.argv[2:])
