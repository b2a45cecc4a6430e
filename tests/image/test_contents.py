"""What is in the image, and what is not."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from image.builder import Image
from image.container import Container
from image.readme import CHECKOUT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SBOM = "usr/share/sbom/peatd.cdx.json"
SITE_PACKAGES = "opt/peat/lib/python3.11/site-packages"
PROGRAM_DIRECTORIES = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "opt/peat/bin")

UNWANTED = (
    "pip",
    "pip3",
    "cc",
    "c++",
    "gcc",
    "g++",
    "cpp",
    "clang",
    "ld",
    "make",
    "cargo",
    "rustc",
    "curl",
    "wget",
    "git",
)

_MAX_DOWNLOAD = 70e6
"""Bytes above the base: 58 MB when this was written. Whoever adds something large should know."""

_LIST = """
import importlib.metadata, json, platform
found = {found.name: found.version for found in importlib.metadata.distributions()}
print(json.dumps({"found": found, "python": platform.python_version()}))
"""


def files(root: Path, *directories: str) -> Iterator[Path]:
    for directory in directories or ("",):
        for parent, _, names in os.walk(root / directory):
            yield from (Path(parent, name) for name in names)


@pytest.fixture
def installed(container: Callable[..., Container]) -> dict[str, str]:
    """Versions of Python distributions by normalised names, as the image's Python sees them."""
    seen = _seen(container)
    return {canonicalize_name(name): version for name, version in seen["found"].items()}


def _seen(container: Callable[..., Container]) -> dict[str, dict[str, str]]:
    asked = container("list", "-c", _LIST, entrypoint=["/opt/peat/bin/python"])
    assert asked.wait(30) == 0, asked.log()
    return dict(json.loads(asked.log()))


def locked(python: str) -> dict[str, str]:
    """What requirements/runtime.txt names for this kind of machine and that Python."""
    text = (CHECKOUT / "requirements/runtime.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            requirement = Requirement(line.partition(" --hash")[0].strip())
            here = {"python_version": python.rpartition(".")[0], "python_full_version": python}
            if requirement.marker is None or requirement.marker.evaluate(here):
                (pinned,) = requirement.specifier
                found[canonicalize_name(requirement.name)] = pinned.version
    return found


def test_it_holds_exactly_what_is_locked(container: Callable[..., Container]) -> None:
    seen = _seen(container)
    found = {canonicalize_name(name): version for name, version in seen["found"].items()}
    assert found.pop("peatd")
    assert found == locked(str(seen["python"]))


def test_each_distribution_is_as_it_was_unpacked(image: Image) -> None:
    """Nothing was taken out afterwards: what the list says is there, is there."""
    for record in (image.root / SITE_PACKAGES).glob("*.dist-info/RECORD"):
        names = [line.rsplit(",", 2)[0].strip('"') for line in record.read_text(encoding="utf-8").splitlines()]
        assert [name for name in names if not (record.parent.parent / name).exists()] == []


@pytest.mark.parametrize("name", UNWANTED)
def test_no_tool_to_fetch_or_build(image: Image, name: str) -> None:
    assert [directory for directory in PROGRAM_DIRECTORIES if os.path.lexists(image.root / directory / name)] == []


def test_no_pip_under_another_name(image: Image) -> None:
    assert [path for path in files(image.root, "usr", "opt") if path.name.startswith(("pip-", "pip3"))] == []
    assert not list(image.root.glob("usr/lib/python3*/**/ensurepip/_bundled"))
    assert not (image.root / SITE_PACKAGES / "pip").exists()


def test_nothing_lets_anybody_become_root(image: Image) -> None:
    modes = {path: path.lstat().st_mode for path in files(image.root)}
    assert [str(path) for path, mode in modes.items() if stat.S_ISREG(mode) and mode & 0o6000] == []


def test_nothing_belongs_to_its_user_but_the_data(image: Image) -> None:
    owned = [path for path in image.root.rglob("*") if 65532 in (path.lstat().st_uid, path.lstat().st_gid)]
    assert owned == [image.root / "data"]
    assert stat.S_IMODE(owned[0].stat().st_mode) == 0o700
    assert list(owned[0].iterdir()) == []


def test_all_of_its_python_is_compiled(image: Image) -> None:
    for path in files(image.root, "opt/peat/lib", "usr/lib/python3.11", "usr/lib/python3"):
        if path.suffix == ".py":
            compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc"
            assert compiled.exists(), path


def test_nothing_else_of_the_checkout_is_in_it(image: Image) -> None:
    ours = {path.relative_to(image.root / SITE_PACKAGES) for path in files(image.root, f"{SITE_PACKAGES}/peatd")}
    there = {path.relative_to(CHECKOUT) for path in files(CHECKOUT, "peatd")}
    assert {path for path in ours if path.suffix == ".py"} == {path for path in there if path.suffix == ".py"}
    assert not (image.root / "build").exists()


def test_its_list_names_all_that_is_installed(image: Image, installed: dict[str, str]) -> None:
    sbom = json.loads((image.root / SBOM).read_text(encoding="utf-8"))
    root = sbom["metadata"]["component"]
    listed = [(part["type"], part["name"], part["version"], part.get("purl", "")) for part in sbom["components"]]
    python = {canonicalize_name(name): version for _, name, version, purl in listed if purl.startswith("pkg:pypi/")}
    assert python | {root["name"]: root["version"]} == installed
    query = ["dpkg-query", f"--admindir={image.root}/var/lib/dpkg", "--show", "--showformat=${Package} ${Version}\n"]
    packages = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()
    assert sorted(f"{n} {version}" for _, n, version, purl in listed if purl.startswith("pkg:deb/")) == sorted(packages)
    assert len(packages) > 50
    assert ("operating-system", "debian", "12", "") in listed
    needed = {entry["ref"]: entry.get("dependsOn", []) for entry in sbom["dependencies"]}
    assert f"pkg:pypi/trio@{installed['trio']}" in needed[root["bom-ref"]]


def test_its_list_is_valid(image: Image) -> None:
    text = (image.root / SBOM).read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_it_says_what_it_is_and_how_to_run_it(image: Image) -> None:
    config = image.config
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["peatd"]
    assert not config["Cmd"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Volumes"] == {"/data": {}}
    assert set(config["ExposedPorts"]) == {"11204/tcp", "8081/tcp", "8082/tcp"}
    assert config["Healthcheck"]["Test"] == ["CMD", "peat", "ready"]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == "peatd"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == json.loads((image.root / SBOM).read_text())["metadata"]["component"]["version"]
    assert re.fullmatch("[0-9a-f]{40}", labels["revision"])


def test_its_size_is_what_was_said(image: Image) -> None:
    assert sum(image.layers_bytes[1:]) < _MAX_DOWNLOAD
