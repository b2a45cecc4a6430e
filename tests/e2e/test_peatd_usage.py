"""The `peatd` command before it is a node: help, version, settings, and refusing what it cannot run with."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

PEATD = shutil.which("peatd")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def peatd(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, in an environment that has next to nothing in it."""
    assert PEATD is not None, "install the project: the command `peatd` is not on the path"
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "PEAT_SERVICE_ACCOUNT_DIR": "/nowhere"}
    return subprocess.run(
        [PEATD, *arguments],
        env=environment | environ,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("flag", ["--help", "--version", "--print-config"])
def test_what_is_asked_for_goes_to_stdout(directory: Path, flag: str) -> None:
    run = peatd(directory, flag)
    assert (run.returncode, run.stderr) == (0, "")
    assert "peat" in run.stdout
    assert list(directory.iterdir()) == []


def test_printed_settings_are_a_file_of_settings(directory: Path) -> None:
    given = ["--node-id", "alice", "--peer", "bob@127.0.0.1:1", "--peer", "[::1]:2", "--poll-interval", "7"]
    first = peatd(directory, "--print-config", *given, PEAT_BROKER_PORT="8099")
    file = directory / "config.toml"
    file.write_text(first.stdout)
    second = peatd(directory, "--print-config", "--config", str(file))
    assert (second.returncode, second.stderr) == (0, "")
    assert tomllib.loads(second.stdout) == tomllib.loads(first.stdout)
    assert tomllib.loads(second.stdout)["api"] == "127.0.0.1:8099"


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--bindd", "x"], {}, "unrecognized arguments: --bindd x; see `peatd --help`"),
        (["--bind"], {}, "--bind: expected one argument; see `peatd --help`"),
        (["--bind", "x"], {}, "--bind: 'x' is not an address: write HOST:PORT, or [IPV6]:PORT"),
        ([], {"PEAT_API_BIND": "x"}, "PEAT_API_BIND (environment): 'x' is not an address"),
        ([], {"PEAT_CONFIG": "/nowhere.toml"}, "PEAT_CONFIG (environment): '/nowhere.toml' is not there"),
        (["--relay", "relay.example.org"], {}, "--relay: 'relay.example.org' is not a relay's URL: write https://"),
        ([], {"PEAT_RELAY_URLS": "tcp://h:1,tcp://h"}, "PEAT_RELAY_URLS (environment): 'tcp://h' is not a relay's URL"),
        ([], {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}, "--formation-secret-file is not set"),
        ([], {"PEAT_FORMATION_SECRET": "short"}, "PEAT_FORMATION_SECRET (environment), line 1: "),
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_exit_2(
    directory: Path, arguments: list[str], environ: dict[str, str], message: str
) -> None:
    run = peatd(directory, "--data-dir", str(directory / "data"), *arguments, **environ)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"peatd: {message}")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--relay-listen is not set: say where the relay listens"),
        (["--relay-listen", "127.0.0.1:0"], "--relay-allow is not set: nobody would be let in"),
        (["--relay-listen", "127.0.0.1:0", "--relay-allow", "x"], "--relay-allow: 'x' is not a relay key"),
        (["--relay", "tcp://h:1"], "unrecognized arguments: --relay tcp://h:1; see `peat-relay --help`"),
        (
            [
                "--relay-listen",
                "[::1]:0",
                "--relay-allow",
                "ab" * 32,
                "--relay-tls-cert",
                "/no",
                "--relay-tls-key",
                "/no",
            ],
            "/no and /no are no certificate and its key: No such file or directory",
        ),
    ],
)
def test_peat_relay_is_told_of_its_mistakes_likewise(directory: Path, arguments: list[str], message: str) -> None:
    program = shutil.which("peat-relay")
    assert program is not None
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "PEAT_RELAY_URLS": "tcp://not-for-it:1"}
    run = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"peat-relay: {message}")
    assert run.stderr.count("\n") == 1


def test_a_secret_never_shows(directory: Path) -> None:
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    for arguments in (["--print-config"], ["--bind", "x"], ["--formation-secret-file", "/nowhere"]):
        run = peatd(directory, *arguments, PEAT_FORMATION_SECRET=secret)
        assert secret not in run.stdout + run.stderr
