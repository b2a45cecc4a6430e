"""Faults that real kernels, disks and networks have, on real nodes. `--long` tries more of each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import Formation, formation_in


@pytest.fixture
def formation(tmp_path: Path) -> Iterator[Formation]:
    with formation_in(tmp_path) as made:
        yield made


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="faults at many more places, and for longer")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: skipped without --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="only with --long"))


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))
