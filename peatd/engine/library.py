"""The seam to a CRDT library: what peatd asks of y-py and of pycrdt. Sans-IO.

Two things, which both do well: merging updates, and telling the difference to a state vector. Whatever a library
raises out of these calls, other than `ValueError` from `apply`, leaves the copy in doubt.
"""

from typing import Protocol


class Copy(Protocol):
    """One document in memory."""

    def apply(self, update: bytes) -> bytes:
        """Merges a checked update in one transaction; the news, which may be `00 00`.

        Raises:
            ValueError: if the library cannot decode it, and nothing was changed.
        """

    def diff(self, state_vector: bytes) -> bytes: ...


class Library(Protocol):
    @property
    def holds_subdocuments(self) -> bool: ...

    @property
    def holds_hooks(self) -> bool: ...

    def new_copy(self) -> Copy: ...
