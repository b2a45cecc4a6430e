"""For all tests: how hard Hypothesis tries (`nox -s fuzz` chooses between `short` and `long`), what takes `--long`, and
when garbage goes.

y-py complains when one of its documents is freed by another thread than the one that made it, and a cyclic collection
happens in whatever thread allocates next: so here garbage goes after each test, in the main thread.
"""

import gc
import resource
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# No deadlines: a shared machine is slow now and then, and that says nothing about the code. What is run for every
# change tries the same every time; what searches is `nox -s fuzz`.
settings.register_profile("usual", deadline=None, derandomize=True)
settings.register_profile("short", deadline=None, max_examples=150, stateful_step_count=50)
settings.register_profile("long", deadline=None, max_examples=50_000, stateful_step_count=200)
settings.load_profile("usual")


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # what is imported is not looked through after every test
    gc.disable()


@pytest.fixture(autouse=True)
def _garbage_goes_in_the_main_thread() -> Iterator[None]:
    yield
    gc.collect()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="more of what takes long, and for longer")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # from a shell that began this in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # or whatever is started here would ignore it too
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand strangers here, as a node does for them
    config.addinivalue_line("markers", "long: skipped without --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="only with --long"))


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))
