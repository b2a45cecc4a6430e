"""pycrdt-websocket under hypercorn, as its manual sets it up, on a socket that is handed in: `pycrdt_server.py FD`."""

import asyncio
import signal
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config
from pycrdt.websocket import ASGIServer, WebsocketServer


async def main() -> None:
    config = Config()
    config.bind = [f"fd://{sys.argv[1]}"]
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with WebsocketServer() as server:
        await serve(ASGIServer(server), config, mode="asgi", shutdown_trigger=ended.wait)


asyncio.run(main())
