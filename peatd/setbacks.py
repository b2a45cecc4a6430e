"""What one peer was to bring here, or we to it, and could not be merged or made."""

import structlog

from peatd.errors import PeatError
from peatd.names import DeviceId, DocumentKey
from peatd.sync import PeerSync
from peatd.table import DocumentTable

log = structlog.get_logger()


class Setbacks:
    """One link's.

    Attributes:
        error: the last, until a comparison finds us equal.
    """

    def __init__(self, table: DocumentTable, sync: PeerSync, device_id: DeviceId) -> None:
        self.error: str | None = None
        self._table, self._sync, self._device_id = table, sync, device_id
        self._noted: dict[DocumentKey, None] = {}

    def note(self, key: DocumentKey, error: PeatError) -> None:
        if key not in self._noted:  # one line for each document: the next comparison tries again
            self._noted[key] = None
            log.warning("update not merged", document=key.name, device_id=self._device_id, error=str(error))
        self.error = f"{key.name}: {error}"

    def ask_again(self) -> None:
        """About all of them. Some may have come from another peer by then: no comparison finds that this peer still
        takes them for owed, and it would for as long as it waits until it asks."""
        for key in self._noted:
            entry = self._table.get(key.name)
            if entry is None:
                self._sync.tell(key)
            else:
                self._sync.ask(entry, again=True)

    def clear(self) -> None:
        """The peer and we are equal."""
        self.error = None
        self._noted.clear()
