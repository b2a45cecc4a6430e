"""What went wrong with the disk, as a sentence that ends with what to do. Sans-IO."""

import sqlite3
from pathlib import Path

from peatd.errors import StoreDamaged, StoreError, StoreUnavailable

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH)
"""No statement of ours breaks a constraint, unless an index disagrees with its table."""

_ADVICE = {
    sqlite3.SQLITE_FULL: "free space on its volume",
    sqlite3.SQLITE_IOERR_SHMSIZE: "free space on its volume",
    sqlite3.SQLITE_IOERR: "look at the kernel's log for errors of its disk, and at the space left on its volume",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for peatd, and its volume mounted read-write",
    sqlite3.SQLITE_PERM: "make the file and its directory writable for peatd",
    sqlite3.SQLITE_AUTH: "make the file and its directory writable for peatd",
    sqlite3.SQLITE_CANTOPEN: "make the file and its directory readable and writable for peatd, and its volume mounted",
    sqlite3.SQLITE_BUSY: "end the other program that has it open",
    sqlite3.SQLITE_LOCKED: "end the other program that has it open",
    **dict.fromkeys(_DAMAGE, "restart peatd: it then saves all rows that can be read"),
    sqlite3.SQLITE_NOTADB: "move the file away, or choose another --data-dir",
}
_PASSING = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
)
"""What may be over at the next try without anyone's changing a setting."""

_OTHERWISE = "look at its disk, then restart peatd"


def is_of_the_disk(exc: sqlite3.Error) -> bool:
    """Whether the disk or the file is at fault, so that trying again may help, and not our use of SQLite."""
    return isinstance(exc, sqlite3.OperationalError | sqlite3.IntegrityError) or type(exc) is sqlite3.DatabaseError


def fault(what: str, path: Path, exc: sqlite3.Error) -> StoreError:
    """The error to raise for one of SQLite's: a `StoreDamaged` if pages of the file are bad, a `StoreUnavailable` if it
    may be over at the next try.

    Args:
        what: what we could not do to the file: "write to".
    """
    name = getattr(exc, "sqlite_errorname", "")
    code = getattr(exc, "sqlite_errorcode", 0)
    # The low byte is the error, the rest its variety: SQLITE_IOERR_FSYNC is a SQLITE_IOERR.
    advice = _ADVICE.get(code) or _ADVICE.get(code & 0xFF, _OTHERWISE)
    message = f"cannot {what} {path}: {exc}{f' ({name})' if name else ''}: {advice}"
    if code & 0xFF in _DAMAGE:
        return StoreDamaged(message)
    return StoreUnavailable(message) if code & 0xFF in _PASSING else StoreError(message)
