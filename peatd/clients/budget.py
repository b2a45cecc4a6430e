"""How much a client may ask for that changes nothing: a bucket of tokens. Sans-IO.

A message costs one. An update that brought news gives it back: who moves a document forward is slowed down by what the
engine and the disk can take, and never turned away. What is left are questions, presence, repetitions and noise.
"""

BURST = 5_000.0
"""Messages at once: a client that comes back with its whole history of presence."""
RATE = 500.0
"""Messages a second for ever: eight times what a cursor that follows a mouse at 60 Hz takes."""


class Budget:
    """The tokens of one connection."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._left = BURST
        self._at = now

    def spend(self, now: float) -> bool:
        """Takes a token; whether there was one."""
        self._left = min(BURST, self._left + (now - self._at) * RATE) - 1
        self._at = now
        return self._left >= 0

    def give_back(self, count: int) -> None:
        self._left += count
