"""All that an open store holds of its directory, opened and closed together. Blocking: for the store's threads."""

from dataclasses import dataclass
from pathlib import Path

from peatd import __version__
from peatd.errors import StoreDamaged
from peatd.store.directory import DirectoryLock
from peatd.store.opening import Contents
from peatd.store.reading import Reader
from peatd.store.recovery import mend_log
from peatd.store.salvage import finish_salvage, is_damaged, salvage
from peatd.store.schema import open_file
from peatd.store.writing import Writer


@dataclass(frozen=True, slots=True)
class Files:
    """The lock, and the two connections."""

    lock: DirectoryLock
    writer: Writer
    reader: Reader

    @classmethod
    def open(cls, directory: Path) -> "tuple[Files, Contents]":
        """Raises: StoreLocked, StoreSchemaError, StoreError."""
        lock = DirectoryLock(directory)
        try:
            finish_salvage(directory)
            mend_log(directory)
            if is_damaged(directory):
                salvage(directory, version=__version__)
            try:
                return cls._read(lock, directory)
            except StoreDamaged:
                salvage(directory, version=__version__)
                return cls._read(lock, directory)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _read(cls, lock: DirectoryLock, directory: Path) -> "tuple[Files, Contents]":
        writer = Writer(open_file(directory, version=__version__), directory, lock)
        reader = Reader(directory)
        try:
            return cls(lock, writer, reader), reader.contents()
        except BaseException:
            reader.close()
            writer.close()
            raise

    def close(self) -> None:
        """The writer last: the last connection moves the write-ahead log into the main file. Then the lock."""
        self.reader.close()
        self.writer.close()
        self.lock.release()
