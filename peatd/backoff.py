"""How long to wait before trying again. Sans-IO."""

_FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds. The longest is the heartbeat of most cluster machinery: a peer that is back is linked within that."""


class Backoff:
    """Pauses between dials: full jitter, 0.5 s doubling to 30 s (AWS, "Exponential Backoff And Jitter")."""

    def __init__(self) -> None:
        self._failures = 0

    def pause(self, fraction: float, longest: float = LONGEST_PAUSE) -> float:
        """The next pause; `fraction` is uniform in [0, 1)."""
        ceiling = min(longest, _FIRST_PAUSE * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return ceiling * fraction

    def longest(self, fraction: float) -> float:
        """A pause for what only an operator can mend: between half and all of the longest."""
        self._failures += 1
        return LONGEST_PAUSE * (0.5 + fraction / 2)

    def reset(self) -> None:
        self._failures = 0
