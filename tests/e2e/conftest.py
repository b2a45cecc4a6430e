"""Formations of real nodes, and their logs where a test failed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import Formation, Node, formation_in, up

_TAIL = 6000
"""Characters of each node's log that a failed test shows."""


@pytest.fixture
def formation(tmp_path: Path) -> Iterator[Formation]:
    with formation_in(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Three linked nodes: tests that share them use documents of their own, and leave all three up."""
    with formation_in(tmp_path_factory.mktemp("three")) as made:
        nodes = made.mesh("alice", "bob", "carol")
        up(*nodes)
        yield nodes


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            nodes = value.nodes if isinstance(value, Formation) else value if isinstance(value, list) else []
            for node in nodes:
                if isinstance(node, Node):
                    report.sections.append((f"log of {node.name} ({name})", node.log()[-_TAIL:]))
    return report
