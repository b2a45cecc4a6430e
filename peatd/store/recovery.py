"""What a crash has left of the write-ahead log, looked at before SQLite does: see wal.py for why.

Only a process that ended without closing its store leaves one; it takes 20 ms a MiB.
"""

import os
from pathlib import Path

import structlog

from peatd.errors import StoreError
from peatd.store.directory import advice
from peatd.store.schema import FILE, note_damage
from peatd.store.wal import Claim, Damage, examine, parse_claim

_log = structlog.get_logger(__name__)


def mend_log(directory: Path) -> None:
    """Makes SQLite find all that was committed, as far as it can be read; says what cannot.

    Raises:
        StoreError: if the disk does not let us.
    """
    try:
        _mend_log(directory)
    except OSError as exc:
        raise StoreError(f"cannot mend {directory / FILE}-wal: {exc.strerror}: {advice(exc)}") from exc


def _mend_log(directory: Path) -> None:
    path = directory / f"{FILE}-wal"
    claim = parse_claim(_read(directory / f"{FILE}-shm"))
    log = _read(path)
    if not log:
        _say_if_gone(claim)
        return
    damage = examine(log, claim)
    if damage is None:
        return
    if damage.bad and not damage.is_harmless:
        # Before the log is replaced: a crash in between must not make the next opening trust it.
        note_damage(directory)
    _replace(path, damage.mended)
    _say(damage)


def _say(damage: Damage) -> None:
    if damage.is_harmless:
        _log.warning("store_log_mended", bad_frames=len(damage.bad), corrected=damage.corrected)
        return
    _log.error(
        "store_log_damaged",
        bad_frames=len(damage.bad),
        corrected=damage.corrected,
        missing_frames=damage.missing,
        hint="acknowledged writes may be lost here; peers that have them send them again",
    )


def _say_if_gone(claim: Claim | None) -> None:
    if claim is not None and claim.frames > claim.in_main_file:
        _log.error(
            "store_log_damaged",
            missing_frames=claim.frames,
            hint="peat.db-wal is gone or empty, and with it the last writes; peers that have them send them again",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
