"""Runs a demo from its first node to its last: starts them, says where to look, stops them and clears up."""

import os
import shutil
import signal
import sys
import tempfile
import webbrowser
from functools import partial
from pathlib import Path
from types import FrameType

import trio

from peatd.api.demo_control import create_demo_app
from peatd.api.server import serve
from peatd.demo.cast import Cast
from peatd.demo.child import Child
from peatd.demo.places import command, lay_out
from peatd.errors import ConfigError
from peatd.formation import new_formation_secret
from peatd.keyfile import write_private
from peatd.names import Address
from peatd.settings.demo import Demo

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The last one comes when the terminal is closed."""

_EXIT_SECOND_SIGNAL = 130
_ANY_PORT = Address("127.0.0.1", 0)

_TEXT_BROWSERS = {"www-browser", "links", "elinks", "lynx", "w3m"}
"""Those of the standard library's list that would take this terminal."""

_WELCOME = """\
Three nodes, linked with each other. Look at them here:

    {url}

Open it twice, write, kill a node. What you write is a document on all three; the same from a shell:

    peat docs get demo/welcome --json --data-dir {node}

Ctrl-C stops them{end}.
"""


def run_demo(demo: Demo) -> None:
    """Runs until a signal; a second one ends it, and its nodes, at once.

    Raises:
        ConfigError: if there is no place for its directory.
        DemoFailed: if a node does not come up; its directory stays, for the logs are there. Both in groups.
    """
    directory = _make_directory(demo)
    cast = _make_cast(demo, directory)

    def clear_up() -> None:
        if demo.directory is None:
            shutil.rmtree(directory, ignore_errors=True)

    async def main() -> None:
        stopping = trio.Event()
        token = trio.lowlevel.current_trio_token()
        is_asked = False

        def stop(_signal: int, _frame: FrameType | None) -> None:
            nonlocal is_asked
            if is_asked:
                cast.kill_now()
                clear_up()
                os._exit(_EXIT_SECOND_SIGNAL)
            is_asked = True
            token.run_sync_soon(stopping.set)

        for number in STOPPING:
            signal.signal(number, stop)
        await _perform(demo, directory, cast, stopping)

    trio.run(main)
    clear_up()


async def _perform(demo: Demo, directory: Path, cast: Cast, stopping: trio.Event) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when, stopping, nursery.cancel_scope)
        try:
            _warn("starting three nodes …")
            await cast.link()
            nursery.start_soon(cast.watch, _warn)
            bound = await nursery.start(partial(serve, create_demo_app(cast), tcp=_ANY_PORT, unix=None))
            url = f"http://{bound.tcp[0]}/demo/"
            end = " and removes what they kept" if demo.directory is None else ""
            sys.stdout.write(_WELCOME.format(url=url, node=directory / cast.names[0], end=end))
            sys.stdout.flush()
            if demo.opens_browser:
                await trio.to_thread.run_sync(_open_browser, url, abandon_on_cancel=True)
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await cast.stop()


def _make_directory(demo: Demo) -> Path:
    try:
        if demo.directory is None:
            return Path(tempfile.mkdtemp(prefix="peatd-demo-"))
        demo.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{exc.filename} cannot be made: {exc.strerror}; name another with --data-dir") from exc
    return demo.directory


def _make_cast(demo: Demo, directory: Path) -> Cast:
    secret = directory / "formation-secret"
    if not secret.exists():
        write_private(secret, f"{new_formation_secret()}\n".encode())
    places = lay_out(directory)
    return Cast([Child(place, command(place, places, secret, demo.flags), demo.variables) for place in places])


def _open_browser(url: str) -> None:
    """Shows the page, where there is a browser for it."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    if Path(getattr(browser, "name", "")).name not in _TEXT_BROWSERS:
        browser.open(url)


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _warn(line: str) -> None:
    sys.stderr.write(f"peatd: {line}\n")
