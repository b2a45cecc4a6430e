"""Disks of nodes that fill up, and have room again."""

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from e2e.nodes import Node


class Disk(Protocol):
    def fill(self, node: Node) -> None: ...

    def free(self, node: Node) -> None: ...


class LimitedFiles:
    """No file of the node may grow any more: needs no privileges."""

    def fill(self, node: Node) -> None:
        largest = max(file.stat().st_size for file in node.directory.iterdir())
        self._limit(node, largest)

    def free(self, node: Node) -> None:
        self._limit(node, resource.RLIM_INFINITY)

    def _limit(self, node: Node, size_bytes: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # what has ended has no limits
            resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


class SmallVolume:
    """A volume of its own, filled up by somebody else."""

    def fill(self, node: Node) -> None:
        with (node.directory / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"f" * 4096)

    def free(self, node: Node) -> None:
        (node.directory / "filler").unlink()


def limited_files(_directory: Path) -> Iterator[Disk]:
    yield LimitedFiles()


def small_volume(directory: Path) -> Iterator[Disk]:
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a volume takes privileges")
    try:
        yield SmallVolume()
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
