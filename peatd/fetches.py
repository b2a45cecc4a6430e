"""Documents on their way here from one peer each, and when all of them has come. Sans-IO.

What a comparison finds lacking is asked of the first peer that offers it (`Coming`). What a node does not hold for
itself it fetches (`Fetches`).

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


class Coming:
    """What was asked of one peer, and need not be asked of others meanwhile.

    A node that comes to a mesh, or back to it, is offered the same by each of its peers.
    """

    def __init__(self) -> None:
        self._asked: dict[DocumentName, tuple[DeviceId, float]] = {}
        self._heard: dict[DeviceId, float] = {}

    def may_ask(self, name: DocumentName, peer: DeviceId, now: float) -> bool:
        """Whether to ask this peer, which then is the one; False while another one brings what it was asked for."""
        asked = self._asked.get(name)
        if asked is not None and asked[0] != peer and self._is_alive(*asked, now):
            return False
        self._asked.pop(name, None)
        self._asked[name] = peer, now
        return True

    def is_asked(self, name: DocumentName, now: float) -> bool:
        """Whether a peer was, and brings it."""
        asked = self._asked.get(name)
        return asked is not None and self._is_alive(*asked, now)

    def is_any(self, now: float) -> bool:
        while self._asked:
            name, asked = next(iter(self._asked.items()))
            if self._is_alive(*asked, now):
                return True
            del self._asked[name]
        return False

    def heard(self, name: DocumentName, peer: DeviceId, now: float) -> None:
        """A part of it has come from this peer."""
        if self._asked.get(name, ("", 0.0))[0] == peer:
            self._heard[peer] = now

    def came(self, name: DocumentName, peer: DeviceId, now: float) -> None:
        """It has come from this peer; or will not."""
        self.heard(name, peer, now)
        self._asked.pop(name, None)

    def parted(self, peer: DeviceId) -> None:
        """There is no link with it any more."""
        self._heard.pop(peer, None)
        for name in [name for name, (asked, _) in self._asked.items() if asked == peer]:
            del self._asked[name]

    def _is_alive(self, peer: DeviceId, since: float, now: float) -> bool:
        return now - max(since, self._heard.get(peer, since)) < PATIENCE
