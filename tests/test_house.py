"""Rules of this house that no tool of its own holds: sizes, the environment, addresses, locks, words."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PACKAGES = ("peatd", "cli")
SOURCES = sorted(path for package in PACKAGES for path in (HOUSE / package).rglob("*.py"))

MAX_LINES = 300
"""More is two modules."""

READERS_OF_THE_ENVIRONMENT = {
    "peatd/config.py",  # settings
    "peatd/discovery/kubernetes_client.py",  # Kubernetes' own protocol with its pods
    "cli/keygen.py",
    "cli/token.py",  # settings of `peat`
    "cli/rotate.py",
    "cli/secret.py",
    "cli/locate.py",
    "cli/main.py",
    "cli/options.py",
}

ADDRESSES_OF_PACKAGES = re.compile(
    r"https?://\S+\.(whl|tgz|tar\.gz|deb)\b|^\s*registry\s*=.*://|--(extra-)?index-url|--find-links", re.MULTILINE
)
"""Where things are fetched from is the business of whoever fetches them."""

TEXTS = {".cfg", ".json", ".md", ".py", ".service", ".sh", ".toml", ".tpl", ".txt", ".yaml", ".yml", ""}

FOREIGN = {"__pycache__", "node_modules"}


def name(path: Path) -> str:
    return str(path.relative_to(HOUSE))


def texts() -> Iterator[Path]:
    """All that is written by hand or generated into this repository, but this file."""
    for path in HOUSE.iterdir():
        if path.is_file():
            yield path
    for directory in (".ci", "bench", "cli", "deploy", "peatd", "requirements", "tests"):
        for path in (HOUSE / directory).rglob("*"):
            if path.is_file() and path.suffix in TEXTS and path != Path(__file__) and not FOREIGN & set(path.parts):
                yield path


def test_a_module_fits_in_a_head() -> None:
    lines = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {module: count for module, count in lines.items() if count > MAX_LINES} == {}


def test_a_module_opens_with_what_it_is_for() -> None:
    sources = {name(path): path.read_text(encoding="utf-8") for path in SOURCES}
    assert [module for module, text in sources.items() if text.strip() and not ast.get_docstring(ast.parse(text))] == []


def test_few_read_the_environment() -> None:
    readers = {name(path) for path in SOURCES if reads_environment(ast.parse(path.read_text(encoding="utf-8")))}
    assert readers == READERS_OF_THE_ENVIRONMENT


def reads_environment(tree: ast.Module) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "expanduser", "expandvars"})
        or (isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & {"environ", "getenv"})
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("import os\nos.environ['X']", True),
        ("import os\nos.getenv('X')", True),
        ("from os import environ", True),
        ("def load(environ): return environ['X']", False),
    ],
)
def test_a_reader_of_the_environment_is_recognised(source: str, *, reads: bool) -> None:
    assert reads_environment(ast.parse(source)) == reads


def test_no_address_of_a_registry_is_written_anywhere() -> None:
    found = [name(path) for path in texts() if ADDRESSES_OF_PACKAGES.search(path.read_text("utf-8", "replace"))]
    assert found == []


@pytest.mark.parametrize("path", sorted((HOUSE / "requirements").glob("*.txt")), ids=name)
def test_a_lock_names_exact_versions_with_hashes(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[a-z0-9.-]+==\S+ ", line)
        assert " --hash=sha256:" in line


@pytest.mark.parametrize("path", sorted(path for path in texts() if path.name == "package-lock.json"), ids=name)
def test_a_lock_of_npm_names_hashes_and_no_place(path: Path) -> None:
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    assert [
        each for each, facts in packages.items() if "resolved" in facts or (each and "integrity" not in facts)
    ] == []


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    runtime = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["pycrdt"]]
    for lock, wanted in {
        "runtime": runtime,
        "build": [*project["build-system"]["requires"], *groups["sbom"]],
        "ci": [*runtime, *groups["test"], *groups["check"], *groups["sbom"]],
        "deploy": groups["deploy"],
        "nox": groups["nox"],
        "lock": groups["lock"],
    }.items():
        text = (HOUSE / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
        locked = set(re.findall(r"^([a-z0-9.-]+)==", text, re.MULTILINE))
        assert {re.split(r"[<>=~ ]", requirement)[0] for requirement in wanted} <= locked


def test_the_shorter_locks_agree_with_the_longest() -> None:
    versions = {
        path.stem: dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in (HOUSE / "requirements").glob("*.txt")
    }
    for lock in ("runtime", "build", "nox"):
        assert versions[lock].items() <= versions["ci"].items()
