"""Awareness over one link: our clients' states to the peer, and its clients' to us. Deciding is `awareness.py`'s."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import trio

from peatd.awareness import Awareness
from peatd.errors import WireError
from peatd.names import DeviceId
from peatd.speakers import Feed, Told, is_json
from peatd.wire.messages import Message, Presence, Present, named

_BATCH_BYTES = 64 * 1024
"""Of states, before documents have their turn."""


class Mesh(Protocol):
    """What is to be known of the other nodes."""

    def is_present(self, device_id: DeviceId) -> bool:
        """Whether that node is in the mesh, linked with us or not."""

    def is_linked_here(self, device_id: DeviceId) -> bool:
        """Whether it is linked with us."""

    def is_served_by(self, peer: DeviceId, device_id: DeviceId) -> bool:
        """Whether the peer hears of what happens at that node by us, not being linked with it."""


class PeerPresence:
    """One peer's side of awareness.

    Args:
        is_heard: whether the peer knows of awareness; releases that do not would end the link over it.
    """

    def __init__(self, awareness: Awareness, device_id: DeviceId, mesh: Mesh, *, is_heard: bool) -> None:
        self._awareness = awareness
        self._device_id = device_id
        self._mesh = mesh
        self._is_heard = is_heard
        self._feed: Feed | None = None

    @contextmanager
    def told(self, wake: Callable[[], None]) -> Iterator[None]:
        """While it lasts, there is something to take whenever `wake` was called. What the peer told before the link is
        over unless it tells it again."""
        self._awareness.doubt(self._device_id, trio.current_time())
        if self._is_heard:
            self._feed = self._awareness.feed(wake, self._device_id, partial(self._mesh.is_served_by, self._device_id))
        try:
            yield
        finally:
            if self._feed is not None:
                self._awareness.end(self._feed)

    def take(self) -> Sequence[Message]:
        """What to send next."""
        if self._feed is None:
            return []
        return [
            Presence(name, [Present(said.client, said.clock, said.state) for said in told], bytes.fromhex(home or ""))
            for name, home, told in self._feed.take(_BATCH_BYTES)
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
        home = DeviceId(message.home.hex()) or self._device_id
        if home == self._device_id:
            self._awareness.peer_told(home, name, told, trio.current_time())
        elif not self._mesh.is_linked_here(home):  # it tells us itself
            self._awareness.peer_told(home, name, told, trio.current_time(), via=self._device_id)

    def parted(self) -> None:
        """The peer's last link has ended. While others are linked with it, what happens there comes by way of them."""
        if not self._mesh.is_present(self._device_id):
            self._awareness.doubt(self._device_id, trio.current_time())
