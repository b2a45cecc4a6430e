"""A `debian:bookworm-slim` for machines that reach Debian's packages but no registry of images: debootstrap's minimal
system less what the slim image leaves out.

What this host needs to reach packages (a mirror, a proxy, a certificate authority of its own) is read from its
configuration and goes into this base, and nowhere else. Made once a week, and kept where the user's caches are.
"""

import ast
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CODENAME = "bookworm"

_MAX_AGE = 7 * 24 * 3600.0
"""Seconds. The real one is made anew about as often, with the security updates of the time."""

_CERTIFICATES = "etc/host-certificates.crt"
"""Apart from Debian's own, which that package writes anew."""
_NOT_IN_SLIM = ("doc", "groff", "info", "linda", "lintian", "locale", "man")
"""Below /usr/share; as the slim image's own list has them."""

_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy")


@dataclass(frozen=True, slots=True)
class Host:
    """What this machine needs to reach packages.

    Attributes:
        sources: of Debian's packages, lines of a sources.list; empty for debootstrap's own.
        apt: settings, as apt.conf has them.
        certificates: a bundle of those to trust.
        pip: its settings, as environment variables.
    """

    sources: tuple[str, ...]
    apt: str
    certificates: Path | None
    pip: Mapping[str, str]


def this_host() -> Host:
    configured = _pip_settings()
    names = [configured.get("cert"), ssl.get_default_verify_paths().cafile]
    bundles = [Path(name) for name in names if name and Path(name).is_file()]
    pip = {name: _reachable(value) for name, value in configured.items() if name in _PIP_SETTINGS}
    variables = {f"PIP_{name.replace('-', '_').upper()}": value for name, value in pip.items() if value}
    if bundles:
        variables["PIP_CERT"] = f"/{_CERTIFICATES}"
    return Host(_sources(), _said("apt-config", "dump", "Acquire"), bundles[0] if bundles else None, variables)


def tarball(host: Host) -> Path:
    """The base's file system; made if there is none of this week."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peatd"
    recipe = f"{Path(__file__).read_text(encoding='utf-8')}{host}"
    made = cache / f"{CODENAME}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.tar"
    if made.exists() and time.time() - made.stat().st_mtime < _MAX_AGE:
        return made
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        root, draft = Path(directory) / "root", Path(directory) / made.name
        _bootstrap(root, host)
        _run("tar", "--create", "--numeric-owner", "--file", str(draft), "--directory", str(root), ".")
        for old in cache.glob(f"{CODENAME}-*.tar"):
            old.unlink()
        draft.replace(made)
    return made


def _bootstrap(root: Path, host: Host) -> None:
    mirror = [host.sources[0].split()[1]] if host.sources else []
    _run("debootstrap", "--variant=minbase", CODENAME, str(root), *mirror)
    if host.sources:
        (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in host.sources))
    (root / "etc/apt/apt.conf.d/host").write_text(host.apt)
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(
        "".join(f"path-exclude /usr/share/{name}/*\n" for name in _NOT_IN_SLIM)
        + "path-include /usr/share/doc/*/copyright\n"
    )
    for directory in [*(f"usr/share/{name}" for name in _NOT_IN_SLIM if name != "doc"), "var/lib/apt/lists", "var/log"]:
        _empty(root / directory)
    for path in (root / "usr/share/doc").glob("*/*"):
        if path.name != "copyright":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    _run("chroot", str(root), "apt-get", "clean")
    if host.certificates is not None:
        shutil.copyfile(host.certificates, root / _CERTIFICATES)


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()


def _sources() -> tuple[str, ...]:
    """This host's, if it is of the same Debian; its main archive first."""
    fields = "$(CREATED_BY) $(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)"
    found = {tuple(line.split()[1:]) for line in _said("apt-get", "indextargets", "--format", fields).splitlines()}
    lines = {
        f"deb {uri} {codename} {component}"
        for uri, codename, component, *origin in found
        if codename.split("-")[0] == CODENAME and component == "main" and origin == ["Debian"]
    }
    return tuple(sorted(lines, key=lambda line: (line.split()[2] != CODENAME, line)))


def _pip_settings() -> dict[str, str]:
    """Of files and environment, the latter first; without the name of the section."""
    settings: dict[str, str] = {}
    for line in sorted(_said(sys.executable, "-m", "pip", "config", "list").splitlines(), reverse=True):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return settings


def _reachable(value: str) -> str:
    """Without this machine's own directories."""
    return " ".join(word for word in value.split() if not word.startswith(("file:", "/")))


def _said(*command: str) -> str:
    """Nothing, where there is no such program."""
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
