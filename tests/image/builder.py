"""Builds the image as an operator does, with buildah in a store of its own, and unpacks it."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image import base

BASE = "debian:bookworm-slim"


@dataclass(frozen=True, slots=True)
class Image:
    """
    Attributes:
        root: its file system; not to be written to.
        config: as `docker image inspect` shows it under `Config`.
        size_bytes: of all files.
        layers_bytes: of what a registry keeps, compressed: the base, then what is ours.
    """

    root: Path
    config: Mapping[str, Any]
    size_bytes: int
    layers_bytes: Sequence[int]


class Builder:
    """Has no part in the host's own images: its base would be taken for the real one."""

    def __init__(self, directory: Path) -> None:
        store = ["--root", str(directory / "store"), "--runroot", str(directory / "run"), "--storage-driver", "vfs"]
        self._buildah = ["buildah", *store]
        self._directory = directory

    def image(self, checkout: Path, arguments: Sequence[str], tag: str) -> Image:
        """
        Args:
            arguments: of `docker build`, in the checkout; buildah understands the same.
        """
        self._make_base(base.this_host())
        # HEALTHCHECK is Docker's alone; chroot and the host's network need nothing of the kernel but root.
        how = ["--isolation", "chroot", "--network", "host", "--format", "docker", "--pull-never"]
        self._run("bud", *how, *arguments, directory=checkout)
        inspected = json.loads(self._run("inspect", "--type", "image", tag))
        root = Path(self._run("mount", self._run("from", "--pull-never", tag)))
        return Image(root, inspected["Docker"]["config"], _size_bytes(root), self._layers_bytes(tag))

    def _make_base(self, host: base.Host) -> None:
        container = self._run("from", "scratch")
        self._run("add", "--quiet", container, str(base.tarball(host)), "/")
        variables = [word for name, value in host.pip.items() for word in ("--env", f"{name}={value}")]
        self._run("config", *variables, "--cmd", "bash", container)
        self._run("commit", "--quiet", "--format", "docker", "--rm", container, BASE)

    def _layers_bytes(self, tag: str) -> list[int]:
        layout = self._directory / "oci"
        self._run("push", "--quiet", tag, f"oci:{layout}")

        def read(digest: str) -> Any:
            return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())

        (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
        return [layer["size"] for layer in read(manifest["digest"])["layers"]]

    def _run(self, *arguments: str, directory: Path | None = None) -> str:
        done = subprocess.run([*self._buildah, *arguments], cwd=directory, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"buildah {arguments}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()


def _size_bytes(root: Path) -> int:
    said = subprocess.run(["du", "-sb", str(root)], check=True, capture_output=True, text=True).stdout
    return int(said.split()[0])
