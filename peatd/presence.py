"""Awareness over one link: our clients' states to the peer, and its clients' to us. Deciding is `awareness.py`'s."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from peatd.awareness import Awareness, Feed
from peatd.errors import WireError
from peatd.names import DeviceId
from peatd.speakers import Told, is_json
from peatd.wire.messages import Message, Presence, Present, named

_BATCH_BYTES = 64 * 1024
"""Of states, before documents have their turn."""


class PeerPresence:
    """One peer's side of awareness.

    Args:
        is_heard: whether the peer knows of awareness; releases that do not would end the link over it.
    """

    def __init__(self, awareness: Awareness, device_id: DeviceId, *, is_heard: bool) -> None:
        self._awareness = awareness
        self._device_id = device_id
        self._is_heard = is_heard
        self._feed: Feed | None = None

    @contextmanager
    def told(self, wake: Callable[[], None]) -> Iterator[None]:
        """While it lasts, there is something to take whenever `wake` was called. What the peer told before the link is
        over unless it tells it again."""
        self._awareness.doubt(self._device_id, trio.current_time())
        feed = self._feed = self._awareness.feed(wake) if self._is_heard else None
        try:
            yield
        finally:
            if feed is not None:
                self._awareness.end(feed)

    def take(self) -> Sequence[Message]:
        """What to send next."""
        if self._feed is None:
            return []
        return [
            Presence(name, [Present(said.client, said.clock, said.state) for said in told])
            for name, told in self._feed.take(_BATCH_BYTES)
        ]

    def received(self, message: Message) -> None:
        """What the peer tells.

        Raises:
            WireError: if it names no document, or tells what clients here could not parse.
        """
        if not isinstance(message, Presence):
            return
        name = named(message.name)
        for present in message.clients:
            if present.state and not is_json(present.state):
                raise WireError(f"{name}: an awareness state is not JSON")
        told = [Told(present.client, present.clock, present.state) for present in message.clients]
        self._awareness.peer_told(self._device_id, name, told, trio.current_time())

    def parted(self) -> None:
        """The peer's last link has ended."""
        self._awareness.doubt(self._device_id, trio.current_time())
