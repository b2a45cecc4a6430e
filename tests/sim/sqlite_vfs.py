"""SQLite's own way to the file system, with a listener: each write, truncation and sync of a watched directory is told.

A VFS of SQLite (https://www.sqlite.org/vfs.html) that is the built-in one but for these few calls. Locks, shared memory
and reading stay the real thing. It becomes the default of this process, in the library that Python's sqlite3 uses.
"""

import _sqlite3
import ctypes
import sys
import traceback
from pathlib import Path
from typing import Protocol

OK = 0
FULL = 13
CANNOT_OPEN = 14
WRITE_FAILED, SYNC_FAILED, TRUNCATE_FAILED, DELETE_FAILED = (10 | number << 8 for number in (3, 4, 6, 10))

_Close = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_Open = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("close", _Close),
        ("read", ctypes.c_void_p),
        ("write", _Write),
        ("truncate", _Truncate),
        ("sync", _Sync),
        ("others", ctypes.c_void_p * 13),
    )


class _Handle(ctypes.Structure):
    """sqlite3_file."""

    _fields_ = (("methods", ctypes.c_void_p),)


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("handle_bytes", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", _Open),
        ("delete", _Delete),
        ("others", ctypes.c_void_p * 14),
    )


class Listener(Protocol):
    """Is asked before each call; what it returns, unless it is `OK`, is the call's outcome, and nothing is done."""

    def opening(self, name: str) -> int: ...

    def writing(self, name: str, offset: int, data: bytes) -> int: ...

    def truncating(self, name: str, size_bytes: int) -> int: ...

    def syncing(self, name: str) -> int: ...

    def deleting(self, name: str) -> int: ...


class _Shim:
    """The registered VFS. Once per process, for ever: SQLite keeps pointers into it."""

    def __init__(self) -> None:
        library = _library()
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        self._real = _Vfs.from_address(library.sqlite3_vfs_find(None))
        self._vfs = _Vfs.from_buffer_copy(self._real)
        self._vfs.name = b"peatd-sim"
        self._vfs.open, self._vfs.delete = _Open(_guarded(self._open)), _Delete(_guarded(self._delete))
        self._own = (_Close(_guarded(self._close)), _Write(_guarded(self._write)))
        self._own += (_Truncate(_guarded(self._truncate)), _Sync(_guarded(self._sync)))
        self._methods: dict[int, tuple[_Methods, _Methods]] = {}
        self._files: dict[int, tuple[Listener, str, _Methods]] = {}
        self.listeners: dict[str, Listener] = {}
        if library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) != OK:
            raise RuntimeError("SQLite takes no VFS")

    def _open(self, vfs: int, name: int | None, handle: int, flags: int, out_flags: int | None) -> int:
        directory, _, base = (ctypes.string_at(name).decode() if name else "").rpartition("/")
        listener = self.listeners.get(directory)
        if listener is None:
            return int(self._real.open(vfs, name, handle, flags, out_flags))
        if (refusal := listener.opening(base)) != OK:
            _Handle.from_address(handle).methods = None
            return refusal
        code = int(self._real.open(vfs, name, handle, flags, out_flags))
        if code == OK:
            opened = _Handle.from_address(handle)
            real, ours = self._wrapped(opened.methods)
            opened.methods = ctypes.addressof(ours)
            self._files[handle] = (listener, base, real)
        return code

    def _wrapped(self, address: int) -> tuple[_Methods, _Methods]:
        if address not in self._methods:
            real = _Methods.from_address(address)
            ours = _Methods.from_buffer_copy(real)
            ours.close, ours.write, ours.truncate, ours.sync = self._own
            self._methods[address] = (real, ours)
        return self._methods[address]

    def _close(self, handle: int) -> int:
        _, _, real = self._files.pop(handle)
        return int(real.close(handle))

    def _write(self, handle: int, data: int, size_bytes: int, offset: int) -> int:
        listener, name, real = self._files[handle]
        refusal = listener.writing(name, offset, ctypes.string_at(data, size_bytes))
        return refusal if refusal != OK else int(real.write(handle, data, size_bytes, offset))

    def _truncate(self, handle: int, size_bytes: int) -> int:
        listener, name, real = self._files[handle]
        refusal = listener.truncating(name, size_bytes)
        return refusal if refusal != OK else int(real.truncate(handle, size_bytes))

    def _sync(self, handle: int, flags: int) -> int:
        listener, name, _ = self._files[handle]
        return listener.syncing(name)  # what is durable is the listener's business: the real disk need not work

    def _delete(self, vfs: int, path: bytes, sync_directory: int) -> int:
        directory, _, base = path.decode().rpartition("/")
        listener = self.listeners.get(directory)
        if listener is not None and (refusal := listener.deleting(base)) != OK:
            return refusal
        return int(self._real.delete(vfs, path, sync_directory))


def _library() -> ctypes.CDLL:
    """The SQLite that Python's sqlite3 uses: a library that its extension module needs, or a part of Python."""
    places = [getattr(_sqlite3, "__file__", None), None]
    for place in places:
        library = ctypes.CDLL(place)
        if hasattr(library, "sqlite3_vfs_register"):
            return library
    raise RuntimeError("Python's SQLite cannot be reached")


def _guarded(call):  # type: ignore[no-untyped-def]  # any of the signatures above
    """ctypes would print the exception and return whatever is in a register."""

    def guarded(*args: object) -> int:
        try:
            return call(*args)
        except BaseException:
            traceback.print_exc(file=sys.stderr)
            return WRITE_FAILED

    return guarded


_shim: _Shim | None = None


def listen(directory: Path, listener: Listener) -> None:
    """From now on the listener is asked about all that SQLite does to files of this directory, an absolute path."""
    global _shim  # SQLite's list of VFSes is the process's, too
    _shim = _shim or _Shim()
    _shim.listeners[str(directory)] = listener


def forget(root: Path) -> None:
    """Nobody listens any more to what happens below this directory."""
    if _shim is not None:
        for directory in [each for each in _shim.listeners if Path(each).is_relative_to(root)]:
            del _shim.listeners[directory]
