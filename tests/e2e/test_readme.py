"""The README does what it says: its commands are run as they stand, and their output is compared.

Ports and what differs from run to run (device ids, durations) are replaced on both sides.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.nodes import until
from fakes.ports import free_address
from fakes.shell import Shell

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

_LOOKS = ("peat topology", "peat peers", "peat docs list")
"""Commands that show what is so by now."""
_VARYING = (
    (re.compile(r"\b[0-9a-f]{32,64}\b"), "ID"),
    (re.compile(r"\b(now|\d+(\.\d+)? ?(us|ms|s|min)( ago)?)(?=\s)"), "T"),
    (re.compile(r"\b\d+ B\b"), "SIZE"),
    (re.compile(r" +"), " "),
    (re.compile(r"\bT T \d -"), "T T OWED -"),  # a peer's last change counts until half a second later
)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def tour() -> list[tuple[str, str]]:
    """Each command, continued lines and all, with the output below it."""
    steps: list[tuple[str, str]] = []
    for line in "".join(blocks("console")).splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif line.startswith("> "):
            steps[-1] = (steps[-1][0] + line[2:], "")
        else:
            steps[-1] = (steps[-1][0], steps[-1][1] + line)
    return steps


def masked(text: str) -> str:
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return text.strip()


def with_free_ports(text: str) -> str:
    """The tour's ports, exchanged for free ones: `720$i` becomes a variable that holds one."""
    text = re.sub(r"127\.0\.0\.1:7([23])0([123])", r"$A\1\2", text)
    return re.sub(r"127\.0\.0\.1:7([23])0\$i", r"$(eval echo \\$A\1$i)", text)


def test_the_tour_gives_the_output_that_it_shows(tmp_path: Path) -> None:
    addresses = {f"A{digit}{i}": free_address() for digit in "23" for i in "123"}
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), **addresses}

    def as_shown(given: str) -> str:
        for name, address in addresses.items():
            given = given.replace(address, f"127.0.0.1:7{name[1]}0{name[2]}")
        return masked(given)

    with Shell(tmp_path, environ) as shell:
        for command, output in tour():
            shell.shows(with_free_ports(command), masked(output), as_shown, is_look=command.startswith(_LOOKS))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone, as a reader has it; the commands make their environment in it."""
    checkout = tmp_path_factory.mktemp("reader") / "peatd"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    return checkout


@contextlib.contextmanager
def reader_runs(command: str, checkout: Path, home: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs it in the clone, without a screen; what it says is in `home`, in `out` and `err`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PEAT_", "PYTHON", "VIRTUAL_ENV", "XDG_"))}
    inherited = {k: v for k, v in inherited.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}}
    environ = {**inherited, "HOME": str(home), "TMPDIR": str(home), **environ}
    with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
        run = subprocess.Popen(
            ["bash", "-c", command], cwd=checkout, env=environ, stdout=out, stderr=err, process_group=0
        )
    try:
        yield run
    finally:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait()


def test_the_first_command_shows_it(tmp_path: Path, checkout: Path) -> None:
    command = blocks("sh")[0]
    assert "--demo" in command
    said = tmp_path / "out"
    with reader_runs(command, checkout, tmp_path) as run:
        until(lambda: b"/demo/" in said.read_bytes() or run.poll() is not None, "it says where to look", within=300)
        assert run.poll() is None, (tmp_path / "err").read_text()
        (url,) = re.findall(r"http://\S+", said.read_text())
        with urllib.request.urlopen(url, timeout=20) as page:
            assert b"<title>peat</title>" in page.read()
    until(lambda: not list(tmp_path.glob("peatd-demo-*")), "it has cleared up")


def test_the_picture_is_small_and_there() -> None:
    (picture,) = re.findall(r"!\[.+\]\((.+\.png)\)", README)
    assert 10_000 < (ROOT / picture).stat().st_size < 150_000


def test_the_second_command_runs_a_node(tmp_path: Path, checkout: Path) -> None:
    command = blocks("sh")[1]
    assert "pip install" in command
    node_file = tmp_path / ".local/state/peat/node.json"
    free = {"PEAT_BIND": "127.0.0.1:0", "PEAT_API_BIND": "127.0.0.1:0"}
    with reader_runs(command, checkout, tmp_path, **free) as run:
        until(lambda: node_file.exists() or run.poll() is not None, "the node is up", within=300)
        assert run.poll() is None, (tmp_path / "err").read_text()
    until(lambda: not node_file.exists(), "it has stopped in order")


def test_the_third_command_is_what_ci_runs() -> None:
    assert ".venv/bin/nox" in blocks("sh")[2]
    assert "-m nox" in (ROOT / ".ci/run").read_text(encoding="utf-8")
