"""A disk under the real store and the real SQLite, which keeps what was synced and, of the rest, what chance lets it.

Each life of a node has a directory of its own: whatever still writes for a dead one writes into nowhere.

Rules:
1. What was written and then synced is there after a power cut. Of what was written since, each write may be there or
   not, whatever the order, and one may be there in part: whole sectors, then a torn one.
2. Files appear and disappear at once: a journaling file system orders that.
3. A process that dies takes nothing with it: the kernel still has what it wrote.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sim import sqlite_vfs

_GONE_WITH_THE_PROCESS = "-shm"


@dataclass(frozen=True, slots=True)
class _Written:
    offset: int
    data: bytes

    def onto(self, content: bytearray) -> None:
        if len(content) < self.offset:
            content.extend(bytes(self.offset - len(content)))
        content[self.offset : self.offset + len(self.data)] = self.data


@dataclass(frozen=True, slots=True)
class _Cut:
    size_bytes: int

    def onto(self, content: bytearray) -> None:
        del content[self.size_bytes :]


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[_Written | _Cut] = field(default_factory=list)
    size_bytes: int = 0

    def sync(self) -> None:
        for change in self.unsynced:
            change.onto(self.durable)
        self.unsynced.clear()

    def all(self) -> bytearray:
        content = bytearray(self.durable)
        for change in self.unsynced:
            change.onto(content)
        return content

    def after_power_cut(self, chance: random.Random) -> bytearray:
        content = bytearray(self.durable)
        share = chance.choice((0.0, 0.5, 1.0))
        kept = [change for change in self.unsynced if chance.random() < share]
        for change in kept[:-1]:
            change.onto(content)
        if kept:
            _torn(kept[-1], chance).onto(content)
        return content


def _torn(last: _Written | _Cut, chance: random.Random) -> _Written | _Cut:
    if isinstance(last, _Cut) or chance.random() < 0.5:
        return last
    return _Written(last.offset, last.data[: chance.randrange(len(last.data) + 1)])


class Disk:
    """One node's, over all of its lives. A listener of `sqlite_vfs`.

    Attributes:
        is_full: no file grows.
        is_broken: no sync succeeds.
        is_dead: the node's present life is over: nothing that it still does has any effect.
        operations: writes, truncations and syncs so far.
    """

    def __init__(self, root: Path, name: str, chance: random.Random) -> None:
        self.is_full = self.is_broken = False
        self.is_dead = True
        self.operations = 0
        self._root, self._name, self._chance = root, name, chance
        self._life = 0
        self._files: dict[str, _File] = {}
        self._image: dict[str, bytes] = {}
        self._end_at: int | None = None
        self._ended: Callable[[], object] = lambda: None

    @property
    def directory(self) -> Path:
        return self._root / f"{self._name}-{self._life}"

    def begin_life(self) -> Path:
        """The directory of a new life: what the last one left on the disk."""
        assert self.is_dead
        self._life += 1
        self.is_dead = False
        self._end_at = None
        directory = self.directory
        directory.mkdir(mode=0o700)
        self._files = {}
        for name, content in self._image.items():
            (directory / name).write_bytes(content)
            (directory / name).chmod(0o600)
            self._files[name] = _File(bytearray(content), size_bytes=len(content))
        sqlite_vfs.listen(directory, _Life(self, self._files))
        return directory

    def end_life(self, *, power: bool) -> None:
        """The process is killed or has ended, or (`power`) the whole machine loses its power."""
        if self.is_dead:
            return
        self.is_dead = True
        chance = self._chance
        self._image = {
            name: bytes(file.after_power_cut(chance) if power else file.all())
            for name, file in self._files.items()
            if not name.endswith(_GONE_WITH_THE_PROCESS)
        }

    def lose(self) -> None:
        """Another disk takes its place: an empty one."""
        assert self.is_dead
        self._image = {}

    def end_life_at(self, operation: int, ended: Callable[[], object]) -> None:
        """Has `ended` called, which is to end the life, in the middle of that operation, counted from now."""
        self._end_at, self._ended = self.operations + operation, ended

    def spare(self) -> None:
        """The life does not end at any operation."""
        self._end_at = None

    def is_ending(self) -> bool:
        """Whether this operation is one too many: the life ends with it."""
        self.operations += 1
        if not self.is_dead and self._end_at is not None and self.operations >= self._end_at:
            self._end_at = None
            self._ended()
        return self.is_dead


class _Life:
    """The directory of one life. It is told even of what a dead one does."""

    def __init__(self, disk: Disk, files: dict[str, _File]) -> None:
        self._disk, self._files = disk, files

    @property
    def _is_over(self) -> bool:
        return self._disk.is_dead or self._disk._files is not self._files

    def opening(self, name: str) -> int:
        if self._is_over:
            return sqlite_vfs.CANNOT_OPEN
        self._files.setdefault(name, _File())
        return sqlite_vfs.OK

    def writing(self, name: str, offset: int, data: bytes) -> int:
        if self._is_over:
            return sqlite_vfs.WRITE_FAILED
        file = self._files[name]
        if self._disk.is_full and offset + len(data) > file.size_bytes:
            return sqlite_vfs.FULL
        file.unsynced.append(_Written(offset, data))
        file.size_bytes = max(file.size_bytes, offset + len(data))
        return sqlite_vfs.WRITE_FAILED if self._disk.is_ending() else sqlite_vfs.OK

    def truncating(self, name: str, size_bytes: int) -> int:
        if self._is_over:
            return sqlite_vfs.TRUNCATE_FAILED
        file = self._files[name]
        file.unsynced.append(_Cut(size_bytes))
        file.size_bytes = min(file.size_bytes, size_bytes)
        return sqlite_vfs.TRUNCATE_FAILED if self._disk.is_ending() else sqlite_vfs.OK

    def syncing(self, name: str) -> int:
        if self._is_over or self._disk.is_broken or self._disk.is_ending():
            return sqlite_vfs.SYNC_FAILED
        self._files[name].sync()
        return sqlite_vfs.OK

    def deleting(self, name: str) -> int:
        if self._is_over:
            return sqlite_vfs.DELETE_FAILED
        self._files.pop(name, None)
        return sqlite_vfs.OK
