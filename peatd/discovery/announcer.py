"""When a node says what it is, on one segment. Sans-IO; times are seconds on one clock.

* A new notice is said three times, as packets get lost, in growing intervals (RFC 6762, 8.3); never as a habit.
* Whoever asks is answered after a moment of chance, in which others answer too; not if what it knows of us is good for
  half of its time yet (7.1), and not more than once a second (6).
* A notice that is ours no more is taken back.
"""

import math

from peatd.discovery.dnssd import (
    SERVICE,
    SERVICES,
    Asked,
    Notice,
    farewell_packet,
    host_name,
    instance_name,
    notice_packet,
    services_packet,
)

LIFETIME = 25
"""Seconds that a notice is good for: a node that died without a word is known to be gone within them. RFC 6762 would
have two minutes, and an hour, for records of printers. It costs one question and an answer of each node in 20 s."""

_REPEATS = (1.0, 2.0)
"""Seconds between the times that a new notice is said."""
_LEAST_DELAY, _MOST_DELAY = 0.02, 0.12
"""Seconds until what many may say at once is said (RFC 6762, 6)."""
_SPACING = 1.0
"""Seconds between two answers: no storm of questions makes one of answers."""


def moment(chance: float) -> float:
    """How long to wait with what many may say at once; `chance` is uniform in [0, 1)."""
    return _LEAST_DELAY + chance * (_MOST_DELAY - _LEAST_DELAY)


class Announcer:
    """Ours.

    Attributes:
        due: when `take` has something to say; infinity if nothing.
    """

    def __init__(self) -> None:
        self.due = math.inf
        self._notice: Notice | None = None
        self._withdrawn: set[str] = set()
        self._repeats: list[float] = []
        self._said = -math.inf
        self._lists_services = False

    def announce(self, notice: Notice | None, now: float, chance: float) -> None:
        """From now on this is said, or (None) nothing."""
        before, self._notice = self._notice, notice
        if notice == before:
            return
        if before is not None and (notice is None or notice.label != before.label):
            self._withdrawn.add(before.label)
        self._repeats = list(_REPEATS) if notice is not None else []
        self.due = now + moment(chance)

    def asked(self, question: Asked, now: float, chance: float) -> None:
        notice = self._notice
        if notice is None:
            return
        self._lists_services |= SERVICES in question.names
        wanted = {SERVICE, SERVICES, instance_name(notice.label), host_name(notice.label)}
        if wanted.isdisjoint(question.names) or question.known.get(notice.label, 0.0) >= LIFETIME / 2:
            return
        self._owe(now, chance)

    def contradicted(self, notice: Notice, now: float, chance: float) -> None:
        """Somebody says something: under our label nobody but us does."""
        if self._notice is not None and notice.label == self._notice.label and notice != self._notice:
            self._owe(now, chance)

    def take(self, now: float) -> list[bytes]:
        """What to send."""
        if now < self.due:
            return []
        packets = [farewell_packet(label) for label in sorted(self._withdrawn)]
        self._withdrawn.clear()
        if self._notice is not None:
            packets.append(notice_packet(self._notice, LIFETIME))
            if self._lists_services:
                packets.append(services_packet(LIFETIME))
        self._lists_services = False
        self._said = now
        self.due = now + self._repeats.pop(0) if self._repeats else math.inf
        return packets

    def farewell(self) -> list[bytes]:
        """What to send at the end."""
        labels = self._withdrawn | ({self._notice.label} if self._notice is not None else set())
        return [farewell_packet(label) for label in sorted(labels)]

    def _owe(self, now: float, chance: float) -> None:
        self.due = min(self.due, max(now + moment(chance), self._said + _SPACING))
