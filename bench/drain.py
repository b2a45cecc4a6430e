"""`python -m bench.drain DIRECTORY BYTES`: takes a link, throws away so much of what comes, and says that it has."""

import secrets
import sys
from pathlib import Path

import trio

from bench.daemons import credentials
from peatd.names import Address
from peatd.transport import Link, listen
from peatd.wire.connection import frame
from peatd.wire.messages import MAX_FRAME_BYTES, PROTOCOL, Hello, Ping

_NAME = "drain"


async def _main(directory: Path, size_bytes: int) -> None:
    is_full = trio.Event()

    async def drain(link: Link) -> None:
        await link.stream.send_all(frame([Ping(0)]))  # what came sooner would be taken for messages behind HELLO
        left = size_bytes
        while left > 0 and (received := await link.stream.receive_some()):
            left -= len(received)
        await link.stream.send_all(b".")
        await link.stream.aclose()
        is_full.set()

    hello = Hello(PROTOCOL, _NAME, "peat", secrets.token_bytes(16), MAX_FRAME_BYTES, "bench")
    bind = Address("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        (bound,) = await nursery.start(listen, bind, lambda: (credentials(directory, _NAME), hello), drain)
        print(bound, flush=True)
        await is_full.wait()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main, Path(sys.argv[1]), int(sys.argv[2]))
