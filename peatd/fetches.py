"""Documents on their way here from one peer each, and when all of them has come. Sans-IO.

A fetch asks the *source* for its state, which owes us the rest. Its own state comes first, and says at which version it
was; the updates that lead there, or beyond, come behind it.
"""

from dataclasses import dataclass

from peatd.names import DeviceId, DocumentName

PATIENCE = 3.0
"""Seconds without a sign of the source until another is asked. A large document's parts are signs."""


@dataclass(slots=True)
class _Fetch:
    source: DeviceId
    heard_at: float
    version: int | None = None


class Fetches:
    """Those of one node."""

    def __init__(self) -> None:
        self._fetches: dict[DocumentName, _Fetch] = {}

    def begin(self, name: DocumentName, source: DeviceId, now: float) -> None:
        """From now on this one is the source."""
        self._fetches[name] = _Fetch(source, now)

    def source(self, name: DocumentName, now: float) -> DeviceId | None:
        """Whom it is coming from; None if that one has not been heard of for long."""
        fetch = self._fetches.get(name)
        return None if fetch is None or now - fetch.heard_at > PATIENCE else fetch.source

    def last_source(self, name: DocumentName) -> DeviceId | None:
        """Whom it was last sought from."""
        fetch = self._fetches.get(name)
        return None if fetch is None else fetch.source

    def told(self, name: DocumentName, device_id: DeviceId, version: int, now: float) -> None:
        """A peer has told its state."""
        fetch = self._fetches.get(name)
        if fetch is not None and fetch.source == device_id:
            fetch.version, fetch.heard_at = version, now

    def merged(self, name: DocumentName, device_id: DeviceId, version: int, now: float) -> bool:
        """Updates of a peer were merged, which lead to this version of its; whether that is all."""
        fetch = self._fetches.get(name)
        if fetch is None or fetch.source != device_id:
            return False
        fetch.heard_at = now
        return fetch.version is not None and version >= fetch.version

    def end(self, name: DocumentName, source: DeviceId | None = None) -> None:
        """It has come, or is needed no more; or this source has not got it."""
        fetch = self._fetches.get(name)
        if fetch is not None and source in (None, fetch.source):
            del self._fetches[name]
