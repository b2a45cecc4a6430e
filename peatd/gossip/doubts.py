"""Who is suspected to be dead, by whom, and when that counts. Sans-IO.

SWIM (Das, Gupta and Motivala, 2002) with three parts of Lifeguard (Dadgar, Phillips and Currey, 2017):

* Who hears nothing of a peer asks others that are linked to it before it says anything. One that is heard elsewhere is
  not suspected: the doubt was about the way, or about ourselves.
* Otherwise it accuses the peer, and the accusation goes to all members; to the accused too, which refutes it with a
  higher incarnation (members.py).
* Unrefuted, it counts after a while: the more members accuse on their own, the sooner.
* Whoever was wrong about others is likely to be slow itself, and waits longer (`strain`).

Rules:
1. An accusation is about one incarnation: the present one. All others are of the past, or of nobody.
2. Of one member four accusers are listened to; more would change nothing.
3. A signature is only checked of an accusation that is news.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from peatd.gossip.cards import accuse, is_signed
from peatd.gossip.members import Members
from peatd.identity import Keypair
from peatd.names import DeviceId
from peatd.wire.gossip import Accusation

MAX_ACCUSERS = 4
"""Lifeguard's K, which is 3 confirmations of the first."""
_SOONEST, _LATEST = 2.0, 6.0
"""Seconds until an accusation counts, with all accusers and with one. In a thousand nodes it reaches the accused, and
the answer all of them, within one."""
ASKED = 3
"""Others that are asked (SWIM's k)."""
PATIENCE = 3.0
"""Seconds that they have for their answers, a ping of their own included."""
MAX_STRAIN = 4


@dataclass(slots=True)
class _Case:
    incarnation: int
    since: float
    accusations: dict[bytes, Accusation] = field(default_factory=dict)

    def counts_at(self, strain: int) -> float:
        confirmed = math.log(len(self.accusations)) / math.log(MAX_ACCUSERS)
        return self.since + (1 + strain) * (_LATEST - (_LATEST - _SOONEST) * confirmed)


class Doubts:
    """All that are open.

    Attributes:
        strain: 0 while this node is well; each wrong doubt of ours makes it more, each time of peace less.
    """

    def __init__(self, members: Members, formation: str) -> None:
        self.strain = 0
        self._members = members
        self._formation = formation
        self._asked: dict[bytes, float] = {}
        self._cases: dict[bytes, _Case] = {}
        self._listeners: set[Callable[[bytes], None]] = set()

    @contextmanager
    def told(self, listener: Callable[[bytes], None]) -> Iterator[None]:
        """While it lasts, the listener hears of whom there is a new accusation."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    # Our own doubts --------------------------------------------------------------------------------------------

    def doubt(self, device: bytes, now: float) -> bool:
        """We hear nothing of it; whether that is news, and others are to be asked."""
        member = self._members.book.get(device)
        if member is None or member.card.left or device in self._asked or self._accused_by_us(device):
            return False
        self._asked[device] = now + (1 + self.strain) * PATIENCE
        return True

    def vouched(self, device: bytes) -> None:
        """Somebody hears it well: the fault was ours, or of the way between us."""
        if self._asked.pop(device, None) is not None:
            self.strained()

    def settled(self, device: bytes) -> None:
        """We hear it again ourselves."""
        self._asked.pop(device, None)

    def strained(self) -> None:
        self.strain = min(self.strain + 1, MAX_STRAIN)

    def calmed(self) -> None:
        """A while went by in which we doubted nobody."""
        self.strain = max(self.strain - 1, 0)

    def due(self, keypair: Keypair, now: float) -> None:
        """Accuses those of whom nobody has told that they live, and declares those dead whose time is over."""
        for device in [device for device, at in self._asked.items() if at <= now]:
            del self._asked[device]
            self.accuse(device, keypair, now)
        for device, case in list(self._cases.items()):
            if not self._is_present(device, case.incarnation):
                del self._cases[device]  # refuted, gone or forgotten
            elif case.counts_at(self.strain) <= now:
                self._members.declare(device)

    def accuse(self, device: bytes, keypair: Keypair, now: float) -> None:
        """We have it from ourselves that it does not answer."""
        member = self._members.book.get(device)
        if member is not None and not member.card.left and not self._accused_by_us(device):
            self._take(accuse(DeviceId(device.hex()), member.card.incarnation, keypair, self._formation), now)

    def _accused_by_us(self, device: bytes) -> bool:
        case, own = self._cases.get(device), self._members.own_device
        return case is not None and own in case.accusations and self._is_present(device, case.incarnation)

    # Those of others -------------------------------------------------------------------------------------------

    def hear(self, accusation: Accusation, now: float) -> bool:
        """Takes in what somebody tells; whether it is news. One of ourselves is refuted."""
        device, members = accusation.device, self._members
        accuser = members.book.get(accusation.accuser)
        if accuser is None or accusation.accuser == device or not self._is_present(device, accusation.incarnation):
            return False
        known = {one.accuser for one in self.of(device)}
        if accusation.accuser in known or len(known) >= MAX_ACCUSERS:
            return False
        if not is_signed(accusation, accuser.card.key, self._formation):
            return False
        if device == members.own_device:
            members.dispute((accusation.incarnation, 0))
            self.strained()
            return False
        self._take(accusation, now)
        return True

    def of(self, device: bytes) -> Sequence[Accusation]:
        """Those that stand."""
        case = self._cases.get(device)
        return list(case.accusations.values()) if case and self._is_present(device, case.incarnation) else []

    def accused(self) -> list[bytes]:
        """Of whom somebody says that it is dead, and it has not answered."""
        return [device for device, case in self._cases.items() if self._is_present(device, case.incarnation)]

    def _take(self, accusation: Accusation, now: float) -> None:
        device = accusation.device
        case = self._cases.get(device)
        if case is None or case.incarnation != accusation.incarnation:
            case = self._cases[device] = _Case(accusation.incarnation, now)
        case.accusations[accusation.accuser] = accusation
        for listener in self._listeners:
            listener(device)

    def _is_present(self, device: bytes, incarnation: int) -> bool:
        """Rule 1."""
        member = self._members.book.get(device)
        return member is not None and member.card.incarnation == incarnation and not member.card.left
