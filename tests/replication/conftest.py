"""Runs that a seed repeats."""

import random
from collections.abc import Iterator

import pytest
import trio


@pytest.fixture(autouse=True)
def same_chance_each_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trio shuffles its tasks on purpose (seeded, it shuffles them the same way each time, as Hypothesis has it), and
    nodes wait by chance: what a test counts, as how many messages a change took, would be another number each time."""
    monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    state, own_state = trio._core._run._r.getstate(), random.getstate()
    trio._core._run._r.seed(0)
    random.seed(0)
    yield
    trio._core._run._r.setstate(state)
    random.setstate(own_state)
