"""Faults that real kernels, disks and networks have, on real nodes. `--long` tries more of each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import Formation, formation_in


@pytest.fixture
def formation(tmp_path: Path) -> Iterator[Formation]:
    with formation_in(tmp_path) as made:
        yield made
