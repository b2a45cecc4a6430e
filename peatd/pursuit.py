"""One peer that discovery knows, as it is dialled: what is waited for, and how it went."""

from dataclasses import dataclass, field

import trio

from peatd.backoff import Backoff
from peatd.names import NodeId

LIVED = 10.0
"""Seconds after which a link is taken for a good one: its loss is dialled from the shortest pause again. What breaks
sooner may do so because of what lies between the two, which lets handshakes pass: whoever had dialled, it waits."""


@dataclass(slots=True, eq=False)
class Pursuit:
    """Of one sighting. `stop` cancels waiting and dialling, but never a link that is up: a peer that discovery has
    lost may well be there. `nudge`: what discovery knows of it has changed, dial at once."""

    node_id: NodeId
    backoff: Backoff = field(default_factory=Backoff)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    nudge: trio.Event = field(default_factory=trio.Event)
    is_lost: bool = False
    is_idle: bool = False
    """Nothing is to be done until the link under that name ends, or there is need of one."""
    content_since: float | None = None
    """Trio time since when there is such a link."""
    is_twin: bool = False
    """Whom we reached there goes by a node id that is taken: no arrival mends that, only an operator."""

    @property
    def is_content(self) -> bool:
        return self.content_since is not None

    def rest(self, is_linked: bool, now: float) -> None:
        self.is_idle = True
        if not is_linked:
            self.content_since = None
        elif self.content_since is None:
            self.content_since = now

    def had_brief_link(self, now: float) -> bool:
        """Whether the link under that name has ended too soon to be a good one. It says so once."""
        since, self.content_since = self.content_since, None
        if since is not None and now - since >= LIVED:
            self.backoff.reset()
        return since is not None and now - since < LIVED

    def begin_anew(self) -> None:
        """Why it could not be linked may be over."""
        self.backoff.reset()
        self.nudge.set()

    def stop(self) -> None:
        self.is_lost = True
        self.scope.cancel()

    def stoppable(self) -> trio.CancelScope:
        """A scope for one stretch of waiting; each can be used once."""
        self.scope = trio.CancelScope()
        if self.is_lost:
            self.scope.cancel()
        return self.scope
