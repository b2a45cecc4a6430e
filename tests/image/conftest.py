"""The image, built once for all tests, and what is needed for that: root, namespaces, buildah, debootstrap and runc."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from image import readme
from image.builder import Builder, Image
from image.container import Container

PROGRAMS = ("buildah", "debootstrap", "runc")

_BUILT = pytest.StashKey[Image]()


def what_is_missing() -> str | None:
    """For building and running the image; None if nothing is."""
    if os.geteuid() != 0:
        return "root"
    for program in PROGRAMS:
        if shutil.which(program) is None:
            return program
    spaces = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true"]
    return (
        "the right to make namespaces" if subprocess.run(spaces, check=False, capture_output=True).returncode else None
    )


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Image]:
    missing = what_is_missing()
    if missing is not None:
        pytest.skip(f"building and running the image takes {missing}")
    directory = tmp_path_factory.mktemp("image")
    try:
        built = Builder(directory).image(readme.CHECKOUT, readme.docker("build"), readme.docker_run().image)
        pytestconfig.stash[_BUILT] = built
        yield built
    finally:
        shutil.rmtree(directory)  # a GB and more


@pytest.fixture
def container(image: Image, tmp_path: Path) -> Iterator[Callable[..., Container]]:
    """Starts containers of the image, and removes them. A name stands for a volume too."""
    with contextlib.ExitStack() as made:

        def start(name: str, *arguments: str, **options: object) -> Container:
            new = Container(image, tmp_path, name, *arguments, **options)  # type: ignore[arg-type]
            made.callback(new.remove)
            return new.start()

        yield start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    built = config.stash.get(_BUILT, None)
    if built is not None:
        base, *ours = (size_bytes / 1e6 for size_bytes in built.layers_bytes)
        line = f"image: {built.size_bytes / 1e6:.0f} MB; to download: base {base:.0f} MB, the rest {sum(ours):.0f} MB"
        terminalreporter.write_line(line)
