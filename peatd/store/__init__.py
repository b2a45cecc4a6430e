"""The store: every update that was merged here, in order, durable.

`Store` is all that the rest of the program sees; the types beside it are what it hands out.
"""

from peatd.store.records import QuarantinedUpdate, StoredDocument, StoredLog, StoredUpdate, StoreStatus
from peatd.store.store import Store

__all__ = ["QuarantinedUpdate", "Store", "StoreStatus", "StoredDocument", "StoredLog", "StoredUpdate"]
