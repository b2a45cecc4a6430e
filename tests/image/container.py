"""A container of the image, run by runc: what containerd runs pods with, and Docker its containers.

Its surroundings are those of a pod of Kubernetes' restricted profile: read-only root, no capability, no way to new
privileges. Only `/data` is mounted, from a directory of the test's.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from image.builder import Image

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which something that should happen has not."""

_PAUSE = 0.03

NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
_MOUNTS: Sequence[tuple[str, str, Sequence[str]]] = (
    ("/proc", "proc", ()),
    ("/dev", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/shm", "tmpfs", ("nosuid", "noexec", "nodev", "mode=1777", "size=65536k")),
    ("/sys", "sysfs", ("nosuid", "noexec", "nodev", "ro")),
)


def until(condition: Callable[[], T], what: str) -> T:
    """The first true answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if answer := condition():
                return answer
        time.sleep(_PAUSE)
    pytest.fail(f"not within {PATIENCE:g} s: {what}")


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    stdout: str
    stderr: str


class Container:
    """One container.

    Args:
        directory: for its bundle, its log and, unless given, its data.
        data: what is mounted at `/data`; by default as Docker makes a new volume: with the owner and mode that `/data`
            has in the image.
        arguments: behind the image's entry point.
        entrypoint: instead of the image's.
        joined: a container whose network it shares.
        mounts: further files of the host, by where they appear; read-only.
    """

    def __init__(
        self,
        image: Image,
        directory: Path,
        name: str,
        *arguments: str,
        data: Path | None = None,
        entrypoint: Sequence[str] | None = None,
        environ: Mapping[str, str] | None = None,
        joined: "Container | None" = None,
        mounts: Mapping[str, Path] | None = None,
    ) -> None:
        self.id = f"peatd-test-{os.getpid()}-{name}"
        self.name = name
        self.data = data or volume(image, directory / "volumes" / name)
        self._bundle = directory / "bundles" / name
        self._bundle.mkdir(parents=True, exist_ok=True)
        self._runc = ["runc", "--root", str(directory / "runc")]
        self.log_file = self._bundle / "log"
        self._pid_file = self._bundle / "pid"
        command = [*(image.config["Entrypoint"] if entrypoint is None else entrypoint), *arguments]
        variables = {**_variables(image), "HOSTNAME": name, **(environ or {})}
        binds = {"/data": (self.data, "rw"), **{inside: (path, "ro") for inside, path in (mounts or {}).items()}}
        spec = _spec(image, command, variables, binds, name, joined.pid if joined else None)
        (self._bundle / "config.json").write_text(json.dumps(spec))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Container":
        with self.log_file.open("ab") as log:
            files = ["--bundle", str(self._bundle), "--pid-file", str(self._pid_file)]
            command = [*self._runc, "run", *files, self.id]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def wait_ready(self) -> "Container":
        """Until its health check says so, asked as Docker asks."""
        until(lambda: self.is_over() or self.run("peat", "ready").code == 0, f"{self.name} is ready")
        assert not self.is_over(), f"{self.name} has ended: {self.log()}"
        return self

    def run(self, *command: str) -> Ran:
        """In the running container, with its user and environment, as `docker exec` and `kubectl exec` do."""
        done = subprocess.run([*self._runc, "exec", self.id, *command], check=False, capture_output=True, text=True)
        return Ran(done.returncode, done.stdout, done.stderr)

    @property
    def pid(self) -> int:
        """Of its first process, as seen from outside; OSError while it has none."""
        return int(self._pid_file.read_text())

    def hears(self, number: signal.Signals) -> bool:
        """Whether its first process is peatd, and no longer runc about to become it, and catches this signal."""
        status = self.status()
        return status["Name"] == "peatd" and bool(int(status["SigCgt"], 16) >> (number - 1) & 1)

    def is_over(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def wait(self, within: float) -> int:
        """The exit code of its first process."""
        assert self._process is not None
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} did not end within {within:g} s: {self.log()}")

    def stop(self, within: float) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return self.wait(within)

    def remove(self) -> None:
        """Whatever state it is in."""
        subprocess.run([*self._runc, "delete", "--force", self.id], check=False, capture_output=True)
        if self._process is not None:
            self._process.wait(PATIENCE)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def status(self) -> dict[str, str]:
        """Of its first process; see proc(5)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def children(self) -> dict[int, str]:
        """Of its first process: ids as seen from outside, and states as proc(5) has them. `Z` is a zombie."""
        pid = self.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child): Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in found}


def volume(image: Image, path: Path) -> Path:
    """A new one, as Docker makes it from what the image has there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
        made = (image.root / "data").stat()
        os.chown(path, made.st_uid, made.st_gid)
        path.chmod(made.st_mode & 0o7777)
    return path


def _variables(image: Image) -> dict[str, str]:
    return dict(variable.split("=", 1) for variable in image.config["Env"])


def _spec(
    image: Image,
    command: Sequence[str],
    environ: Mapping[str, str],
    binds: Mapping[str, tuple[Path, str]],
    hostname: str,
    network_of: int | None,
) -> dict[str, Any]:
    """See the runtime specification of the Open Container Initiative, config.md."""
    uid, gid = (int(number) for number in image.config["User"].split(":"))
    sets = ("bounding", "effective", "inheritable", "permitted", "ambient")
    mounts = [{"destination": at, "type": kind, "source": kind, "options": list(how)} for at, kind, how in _MOUNTS]
    for destination, (source, mode) in binds.items():
        options = ["rbind", mode, "nosuid", "nodev"]
        mounts.append({"destination": destination, "type": "bind", "source": str(source), "options": options})
    namespaces: list[dict[str, str]] = [{"type": kind} for kind in NAMESPACES]
    if network_of is not None:
        namespaces[NAMESPACES.index("network")]["path"] = f"/proc/{network_of}/ns/net"
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": uid, "gid": gid},
            "args": list(command),
            "env": [f"{name}={value}" for name, value in environ.items()],
            "cwd": image.config["WorkingDir"] or "/",
            "capabilities": {kind: [] for kind in sets},
            "noNewPrivileges": True,
        },
        "root": {"path": str(image.root), "readonly": True},
        "hostname": hostname,
        "mounts": mounts,
        "linux": {"namespaces": namespaces},
    }
