"""A node on one segment of a LAN: an interface, and one IP version. Sans-IO; times are seconds on one clock.

What it says of itself is `announcer.py`'s, what it knows of others `neighbours.py`'s.
"""

from collections.abc import Callable, Sequence

from peatd.discovery.announcer import Announcer
from peatd.discovery.dnssd import Asked, Notice, read_packet
from peatd.discovery.neighbours import Neighbours
from peatd.errors import MalformedNotice


class Segment:
    """Packets in, packets out."""

    def __init__(
        self, concerns_us: Callable[[Notice], bool], is_proven: Callable[[Notice], bool], now: float, chance: float
    ) -> None:
        """
        Args:
            concerns_us: whether a notice is one of our formation, and not our own.
            is_proven: whether somebody made it who knows the formation's secret.
        """
        self.neighbours = Neighbours(concerns_us, is_proven, now, chance)
        self._announcer = Announcer()

    @property
    def due(self) -> float:
        """When `take` is to be called, at the latest."""
        return min(self._announcer.due, self.neighbours.due)

    def notices(self) -> Sequence[Notice]:
        """Of those who are there now."""
        return self.neighbours.notices()

    def announce(self, notice: Notice | None, now: float, chance: float) -> None:
        """What we say of ourselves from now on; None: nothing."""
        self._announcer.announce(notice, now, chance)

    def heard(self, packet: bytes, now: float, chance: float) -> None:
        """Takes a packet, whatever it is."""
        try:
            message = read_packet(packet)
        except MalformedNotice:
            return  # other programs speak here too, and not all of them well
        if isinstance(message, Asked):
            self._announcer.asked(message, now, chance)
            return
        for notice, _ in message.notices:
            self._announcer.contradicted(notice, now, chance)
        self.neighbours.told(message, now, chance)

    def take(self, now: float, chance: float) -> list[bytes]:
        """What to send now."""
        return [*self._announcer.take(now), *self.neighbours.take(now, chance)]

    def farewell(self) -> list[bytes]:
        """What to send at the end."""
        return self._announcer.farewell()
