"""How long the runs are that have no end of their own: `nox -s fuzz -- --minutes 60`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, default=None, help="that a live node is fed nonsense by every door")
