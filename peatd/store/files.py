"""All that an open store holds of its directory, opened and closed together. Blocking: for the store's threads."""

from dataclasses import dataclass
from pathlib import Path

from peatd import __version__
from peatd.store.directory import DirectoryLock
from peatd.store.opening import Contents
from peatd.store.reading import Reader
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
            writer = Writer(open_file(directory, version=__version__), directory, lock)
        except BaseException:
            lock.release()
            raise
        files = cls(lock, writer, Reader(directory))
        try:
            return files, files.reader.contents()
        except BaseException:
            files.close()
            raise

    def close(self) -> None:
        """The writer last: the last connection moves the write-ahead log into the main file. Then the lock."""
        self.reader.close()
        self.writer.close()
        self.lock.release()
