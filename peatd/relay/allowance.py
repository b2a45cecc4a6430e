"""How many bytes a second somebody may send: a token bucket. Sans-IO."""

_BURST = 1.0
"""Seconds' worth that may come at once: what was not used in the second before."""


class Allowance:
    """Of one node, or of all together. Bytes that are over it are not refused: they are paid for by waiting.

    Args:
        rate: bytes a second; 0 is without end.
    """

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._free_at = now - _BURST

    def spend(self, size_bytes: int, now: float) -> float:
        """Takes so many bytes; returns for how many seconds the sender has to wait before the next."""
        if not self._rate:
            return 0.0
        self._free_at = max(self._free_at, now - _BURST) + size_bytes / self._rate
        return max(0.0, self._free_at - now)
