"""Follows the formation secret while the node runs: reads its file again when it has changed, and does the steps of a
rotation that the API is asked for.

A file is looked at every few seconds, which costs a `stat`; no thread, no inotify, which sees nothing on many network
filesystems. What has changed is believed once it has been the same for two looks, as an editor or a `>>` may be at work
still, and half a line can be another secret. SIGHUP says that it is whole.
"""

import random

import structlog
import trio

from peatd.errors import ConfigError
from peatd.formation import Formation
from peatd.formation_secret import SecretSource, Stamp
from peatd.membership import Membership
from peatd.rotation import Step, after

log = structlog.get_logger()

LOOK_INTERVAL = 2.0
"""Seconds, ±25 %: so a changed file is in use after five at most. Kubernetes takes a minute to bring it here."""

_UNREAD: Stamp = (0, 0, 0, 0)
"""Of no file: so it is read once more at first, as it may have changed since the node has read it."""


class SecretWatch:
    """One node's.

    Attributes:
        failure: why the file that is there now is not used; None if it is.
        reloads: how often the secrets were exchanged.
    """

    def __init__(self, source: SecretSource, membership: Membership) -> None:
        self.failure: str | None = None
        self.reloads = 0
        self.source = source
        self._membership = membership
        self._asked = trio.Event()
        self._turn = trio.Lock()
        self._used: Stamp | None = _UNREAD

    def reload(self) -> None:
        """Reads the file now, whether it has changed or not: SIGHUP."""
        self._asked.set()

    async def run(self) -> None:
        seen = self._used
        while True:
            with trio.move_on_after(LOOK_INTERVAL * random.uniform(0.75, 1.25)):
                await self._asked.wait()
            is_asked, self._asked = self._asked.is_set(), trio.Event()
            last, seen = seen, self.source.stamp()
            has_changed = self.source.file is not None and seen != self._used
            if is_asked or (has_changed and seen == last):
                async with self._turn:
                    await self._read(seen, is_asked=is_asked)

    async def take(self, step: Step) -> None:
        """Does one step: writes the file, and goes over to what it says.

        Raises:
            ConfigError: if it cannot be done now.
            SecretFixed: if the secret is not ours to write. Nothing has changed then.
            OSError: if certificates could not be minted. The file says what is to be; it is tried again.
        """
        async with self._turn:
            # What is in the file counts: somebody may have changed it a moment ago.
            now = self._membership.credentials.formation
            found = now if self.source.file is None else Formation(now.name, self.source.read())
            secrets = after(step, found)
            if secrets != found.secrets:
                self.source.rewrite(secrets)
            await self._exchange(secrets, self.source.stamp())

    async def _read(self, stamp: Stamp | None, *, is_asked: bool) -> None:
        if self.source.file is None:
            log.info("nothing to read again", hint=self.source.fixed())
            return
        try:
            await self._exchange(self.source.read(), stamp)
        except (ConfigError, OSError) as exc:
            if str(exc) != self.failure or is_asked:
                log.warning("formation secret not reloaded", reason=str(exc), hint="the node goes on with those it has")
            self.failure = str(exc)

    async def _exchange(self, secrets: tuple[bytes, ...], stamp: Stamp | None) -> None:
        if await self._membership.exchange(secrets):
            self.reloads += 1
        self._used, self.failure = stamp, None
