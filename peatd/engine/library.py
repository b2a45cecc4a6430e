"""The seam to a CRDT library: what peatd asks of y-py and of pycrdt. Sans-IO.

Whatever a library raises out of these calls, other than `ValueError` from `apply`, leaves the copy in doubt.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from peatd.engine.json_view import Change


class Copy(Protocol):
    """One document in memory."""

    def apply(self, update: bytes) -> bytes:
        """Merges a checked update in one transaction; the news, which may be `00 00`.

        Raises:
            ValueError: if the library cannot decode it, and nothing was changed.
        """

    def diff(self, state_vector: bytes) -> bytes: ...

    def root(self, name: str, kind: str) -> object:
        """A shared type; a name must be asked for as one kind only, or the library may panic or hang."""

    def change(self, root: str, changes: Sequence[Change]) -> bytes:
        """Makes changes to a root map in one transaction; the news."""


class Library(Protocol):
    @property
    def holds_subdocuments(self) -> bool: ...

    def new_copy(self, client: int) -> Copy: ...

    def is_map(self, value: object) -> bool:
        """Whether it is a shared map, as opposed to a plain object."""

    def look_inside(self, value: object) -> Mapping[str, object] | Sequence[object] | object:
        """A shared map's or array's immediate children, a shared text as a string; anything else as it is."""
