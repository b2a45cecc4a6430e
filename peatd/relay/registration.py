"""A node behind relays: stays registered at each of them, and takes the circuits that come.

Registrations.run
└─ _Registration.run, per relay      registers, again and again
   └─ its control connection         answers PING, takes what comes
      └─ per circuit                 accepts it, handshake, `on_link` with the link
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import structlog
import trio

from peatd.backoff import Backoff
from peatd.errors import HandshakeError, RelayError
from peatd.relay.asking import Asker, Conversation
from peatd.relay.protocol import REPLACED, Incoming, Ping, Pong, frame
from peatd.relay_url import RelayUrl
from peatd.transport.admission import Repetitions
from peatd.transport.establish import receive
from peatd.transport.link import Link
from peatd.transport.tls import Credentials
from peatd.wire.messages import Hello

log = structlog.get_logger()

SILENCE = 60.0
"""Seconds without a word of the relay's, which pings every twenty."""
MAX_HANDSHAKES = 16
"""Circuits of one relay that are not links yet: each costs memory and a signature, and a relay may be anybody's."""
_LIVED = 60.0
"""Seconds after which a registration is taken for a good one: its loss is mended from the shortest pause again."""

REGISTERED: Final = "registered"
CONNECTING: Final = "connecting"
BACKING_OFF: Final = "backing-off"
State = Literal["registered", "connecting", "backing-off"]


@dataclass(slots=True)
class RelayStanding:
    """How a node stands with one relay, as it is shown.

    Attributes:
        error: why it is not registered, or was not; None once it is.
        since: trio time of the last change of state.
    """

    url: RelayUrl
    state: State = CONNECTING
    error: str | None = None
    since: float = 0.0


class Registrations:
    """One node's, at all its relays.

    Args:
        asker: asks in the node's name, as it is now.
        present: what is shown to whoever comes.
        on_link: runs in the link's own task.
    """

    def __init__(
        self,
        urls: Sequence[RelayUrl],
        asker: Callable[[], Asker],
        present: Callable[[], tuple[Credentials, Hello]],
        on_link: Callable[[Link], Awaitable[None]],
    ) -> None:
        self._all = [_Registration(url, asker, present, on_link) for url in urls]

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for registration in self._all:
                nursery.start_soon(registration.run)

    def renew(self) -> None:
        """Our key, or the secrets that we accept, have changed."""
        for registration in self._all:
            registration.renew()

    def standings(self) -> Sequence[RelayStanding]:
        return [registration.standing for registration in self._all]


class _Registration:
    def __init__(
        self,
        url: RelayUrl,
        asker: Callable[[], Asker],
        present: Callable[[], tuple[Credentials, Hello]],
        on_link: Callable[[Link], Awaitable[None]],
    ) -> None:
        self.standing = RelayStanding(url)
        self._url = url
        self._asker = asker
        self._present = present
        self._on_link = on_link
        self._attempt = trio.CancelScope()
        self._handshakes = 0
        self._repetitions = Repetitions()

    def renew(self) -> None:
        self._attempt.cancel()

    async def run(self) -> None:
        """Links live on when the registration that they came by ends."""
        backoff = Backoff()
        async with trio.open_nursery() as links:
            while True:
                begun = trio.current_time()
                with trio.CancelScope() as self._attempt:
                    pause = await self._register(links, backoff)
                if self._attempt.cancelled_caught:
                    backoff.reset()
                    continue
                if trio.current_time() - begun >= _LIVED:
                    backoff.reset()
                    pause = backoff.pause(random.random())
                self._turn(BACKING_OFF, self.standing.error)
                with trio.move_on_after(pause), trio.CancelScope() as self._attempt:
                    await trio.sleep_forever()

    async def _register(self, links: trio.Nursery, backoff: Backoff) -> float:
        """Registers, and stays so as long as it lasts; how long to wait before the next time."""
        self._turn(CONNECTING, self.standing.error)
        try:
            control = await self._asker().register(self._url)
            try:
                self._turn(REGISTERED, None)
                await self._attend(control, links)
            finally:
                await trio.aclose_forcefully(control.stream)
        except RelayError as exc:
            if str(exc) != self.standing.error:
                log.warning("not registered at a relay", relay=str(self._url), code=exc.code, error=str(exc))
            self.standing.error = str(exc)
            is_twice = exc.code == REPLACED
            return backoff.longest(random.random()) if is_twice else backoff.pause(random.random())
        raise AssertionError("a control connection ends by an error")

    async def _attend(self, control: Conversation, links: trio.Nursery) -> None:
        while True:
            message = None
            with trio.move_on_after(SILENCE):
                message = await control.next()
            match message:
                case Ping():
                    with trio.move_on_after(SILENCE):
                        await _answer(control)
                case Incoming() if self._handshakes < MAX_HANDSHAKES:
                    self._handshakes += 1
                    links.start_soon(self._take, message.token)
                case Incoming():
                    pass  # the relay tells who has dialled that nobody answers
                case None:
                    raise RelayError(f"{self._url}: nothing was heard of it for {SILENCE:.0f} s", "silence")
                case _:
                    raise RelayError(f"{self._url}: a {type(message).__name__} where a relay has none", "not-a-relay")

    async def _take(self, token: str) -> None:
        """`_handshakes` counts it already: many may come at once."""
        link = None
        try:
            stream = await self._asker().accept(self._url, token)
            link = await receive(stream, *self._present(), self._url.address)
        except (RelayError, HandshakeError) as exc:
            unsaid = self._repetitions.count(self._url.text, exc.code, trio.current_time())
            if unsaid is not None:
                log.warning("circuit not taken", relay=self._url.text, code=exc.code, reason=str(exc), repeated=unsaid)
        finally:
            self._handshakes -= 1
        if link is None:
            return
        link.peer = replace(link.peer, via=self._url.text)
        try:
            await self._on_link(link)
        finally:
            # For an `on_link` that was cancelled before it conversed.
            await trio.aclose_forcefully(link.stream)

    def _turn(self, state: State, error: str | None) -> None:
        if state == REGISTERED:
            log.info("registered at a relay", relay=self._url.text)
        if state != self.standing.state:
            self.standing.since = trio.current_time()
        self.standing.state, self.standing.error = state, error


async def _answer(control: Conversation) -> None:
    try:
        await control.stream.send_all(frame(Pong()))
    except trio.BrokenResourceError:
        return  # what we read next tells why
