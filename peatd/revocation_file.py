"""The list of revoked keys on disk: `revoked.jsonl` in the data directory, a line for each.

It is rewritten as a whole, for it is small and seldom changes. Each line stands for itself: one that is damaged is left
out and told of, and the peers, which have it too, give it again.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import trio

from peatd.errors import ConfigError, RevocationForged, Unavailable
from peatd.formation import Formation
from peatd.keyfile import replace_private
from peatd.names import DeviceId, Fingerprint
from peatd.revocations import MAX_REVOCATIONS, Revocation, Revocations, verify
from peatd.threads import run_in_thread

log = structlog.get_logger()

FILE_NAME = "revoked.jsonl"

_MAX_BYTES = 1024 * MAX_REVOCATIONS
_RETRY = 5.0
"""Seconds, ±50 %, until a failing disk is tried again."""

_Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class _Line(msgspec.Struct):
    device_id: _Hex
    revoked_at: int
    issuer: _Hex
    signed_by: str
    signature: bytes


def load(directory: Path, formation: Formation) -> Revocations:
    """What was revoked when the node last ran. What a secret has signed that is accepted no more is believed, for the
    file is ours, and signed again.

    Raises:
        ConfigError: if the file is there and cannot be read: without it a revoked node would be let in.
    """
    file, found = directory / FILE_NAME, Revocations()
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES)
    except FileNotFoundError:
        return found
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror or exc}; make it readable for this user") from exc
    for entry in _entries(content, formation):
        found.add(entry)
    found.sign_again(formation)
    return found


def _entries(content: bytes, formation: Formation) -> Iterator[Revocation]:
    for number, line in enumerate(content.splitlines()[:MAX_REVOCATIONS], start=1):
        try:
            told = msgspec.json.decode(line, type=_Line)
            entry = Revocation(
                DeviceId(told.device_id),
                told.revoked_at,
                DeviceId(told.issuer),
                Fingerprint(told.signed_by),
                told.signature,
            )
            if entry.by in formation.fingerprints:
                verify(entry, formation)
            yield entry
        except (msgspec.DecodeError, UnicodeDecodeError, RevocationForged) as exc:
            log.warning("revocation damaged", file=FILE_NAME, line=number, reason=str(exc))


class RevocationFile:
    """Keeps the file as the list is.

    Attributes:
        failure: why the last write failed; None if it did not.
    """

    def __init__(self, directory: Path, revocations: Revocations) -> None:
        self.failure: str | None = None
        self._file = directory / FILE_NAME
        self._revocations = revocations
        self._wanted = self._written = 0
        self._work = trio.Event()
        self._attempt = trio.Event()

    def changed(self) -> None:
        """The list is not as it was, or is signed otherwise."""
        self._wanted += 1
        self._work.set()

    async def run(self) -> None:
        while True:
            while self._wanted == self._written:
                self._work = trio.Event()
                await self._work.wait()
            wanted = self._wanted
            try:
                await run_in_thread(replace_private, self._file, self._content(), abandon_on_cancel=False)
                self._written, failure = wanted, None
            except OSError as exc:
                failure = f"{self._file} cannot be written: {exc.strerror or exc}"
                if failure != self.failure:
                    log.warning("revocations not saved", reason=failure, hint="tried again; they count all the same")
            self.failure = failure
            attempt, self._attempt = self._attempt, trio.Event()
            attempt.set()
            if failure is not None:
                await trio.sleep(_RETRY * random.uniform(0.5, 1.5))

    async def saved(self) -> None:
        """Returns when the list, as it is now, is on the disk.

        Raises:
            Unavailable: if the disk fails. It is tried again.
        """
        wanted = self._wanted
        while self._written < wanted:
            await self._attempt.wait()
            if self.failure is not None:
                raise Unavailable(f"the key is revoked, but that is not on this node's disk yet: {self.failure}")

    def _content(self) -> bytes:
        lines = (
            _Line(entry.device_id, entry.at, entry.issuer, entry.by, entry.signature) for entry in self._revocations
        )
        return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
