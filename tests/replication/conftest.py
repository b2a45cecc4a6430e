"""Runs that a seed repeats."""

from collections.abc import Iterator

import pytest
import trio


@pytest.fixture
def deterministic_trio(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trio shuffles its tasks on purpose; seeded, it shuffles them the same way each time (as Hypothesis has it)."""
    monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    state = trio._core._run._r.getstate()
    trio._core._run._r.seed(0)
    yield
    trio._core._run._r.setstate(state)
