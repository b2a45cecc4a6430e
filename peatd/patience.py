"""How long an engine process may be silent while somebody waits for it. Sans-IO.

What counts against it is processor time, not the clock: on a busy machine an innocent process is slow, too.
"""

from dataclasses import dataclass

from peatd.worker_jobs import Death

_SLOWEST = 1_000_000
"""Bytes of a document that an engine works through in a second, at the very least: measured 8 to 40 million."""

_STARVED = 10.0
"""Seconds in which it got next to no processor time, until it is replaced: someone froze it, or it waits for a disk."""

_NEXT_TO_NONE = 0.05
"""Of the time that passed, as processor time. Below, it was kept from working; above, it is slow."""

_STOPPED_LOOKS = 2
"""Looks in a row that find it stopped (SIGSTOP, a debugger)."""

_LONGEST_INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """A process at one moment: seconds of the clock and of processor time, and whether it is stopped."""

    now: float
    worked: float
    is_stopped: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """It is to be replaced."""

    reason: str
    death: Death


class Patience:
    """With one life of an engine process.

    Args:
        deadline: seconds of processor time that anything may take, whatever its size.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._heard = -1
        self._since: Vitals | None = None
        self._stopped_looks = 0

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return min(self._deadline / 2, _LONGEST_INTERVAL)

    def look(self, heard: int, size_bytes: int | None, vitals: Vitals) -> Verdict | None:
        """What to do, having heard of it so often. `size_bytes`: of the largest document that something was asked
        about; None when nothing was asked."""
        if size_bytes is None or heard != self._heard or self._since is None:
            self._heard, self._since, self._stopped_looks = heard, vitals, 0
            return None
        self._stopped_looks = self._stopped_looks + 1 if vitals.is_stopped else 0
        if self._stopped_looks >= _STOPPED_LOOKS:
            return Verdict("somebody has stopped it", Death.OUTSIDE)
        passed, worked = vitals.now - self._since.now, vitals.worked - self._since.worked
        large = size_bytes / _SLOWEST
        if worked >= self._deadline + large:
            return Verdict(f"it hung: no answer in {worked:.1f} s of processor time", Death.HANG)
        if passed >= _STARVED + large and worked < _NEXT_TO_NONE * passed:
            return Verdict(f"it got no processor time for {passed:.1f} s", Death.OUTSIDE)
        return None
