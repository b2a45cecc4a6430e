"""What peatd cannot run with: one line that names the setting and what to do, exit code 2, nothing started."""

import base64
import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from e2e.nodes import PATIENCE, Formation, Node, peatd
from e2e.processes import command_line

SECRET = base64.b64encode(b"s" * 32).decode()


@dataclass
class Attempt:
    """What peatd is started with: arguments, and changes to an environment with which it would run."""

    directory: Path
    arguments: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def file(self, name: str, content: bytes | str, mode: int = 0o600) -> str:
        path = self.directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return str(path)

    def run(self) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PEAT_SERVICE_ACCOUNT_DIR": "/nowhere",
            "PEAT_FORMATION_SECRET": SECRET,
            "PEAT_DATA_DIR": str(self.data),
            "PEAT_BIND": "127.0.0.1:0",
            "PEAT_API_BIND": "127.0.0.1:0",
            "PEAT_NODE_ID": "alice",
        }
        return subprocess.run(
            [peatd(), *self.arguments],
            env=environment | self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path)


def refused(attempt: Attempt, *names: str) -> str:
    """It is refused, in one line that names all of these."""
    run = attempt.run()
    assert (run.returncode, run.stdout) == (2, ""), run.stderr
    (line,) = run.stderr.splitlines()
    assert line.startswith("peatd: ")
    for name in names:
        assert name in line
    assert "Traceback" not in line
    assert SECRET not in line
    for left in ("node.json", "api.sock", "api.token"):
        assert not (attempt.data / left).exists()
    return line


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("c2hvcnQ=\n", "16"),
        ("not base64!\n", "base64"),
        (b"\xff\xfe\x00\x01" * 9, ""),
    ],
    ids=["empty", "blank", "short", "not-base64", "binary"],
)
def test_a_formation_secret_that_is_none(attempt: Attempt, content: str | bytes, why: str) -> None:
    path = attempt.file("secret", content)
    attempt.arguments = ["--formation-secret-file", path]
    assert why in refused(attempt, path)
    attempt.arguments = []
    attempt.environ = {"PEAT_FORMATION_SECRET_FILE": path, "PEAT_FORMATION_SECRET": ""}
    assert why in refused(attempt, path)


def test_a_formation_secret_that_is_not_there_or_no_file_or_open_to_all(attempt: Attempt) -> None:
    for path in ("/nowhere/secret", str(attempt.directory), attempt.file("open", SECRET, 0o666)):
        attempt.arguments = ["--formation-secret-file", path]
        refused(attempt, path)


@pytest.mark.parametrize(
    ("content", "mode"), [(b"k" * 32, 0o640), (b"k" * 31, 0o600), (b"k" * 33, 0o600), (b"", 0o600)]
)
def test_a_key_file_that_others_can_read_or_that_is_no_key(attempt: Attempt, content: bytes, mode: int) -> None:
    path = attempt.file("key", content, mode)
    attempt.arguments = ["--key-file", path]
    refused(attempt, path)


def test_a_key_file_that_is_not_there_or_cannot_be_read(attempt: Attempt) -> None:
    for path in ("/nowhere/key", str(attempt.directory)):
        attempt.arguments = ["--key-file", path]
        refused(attempt, path)


@pytest.mark.parametrize("flag", ["--bind", "--api"])
def test_a_port_that_is_taken(attempt: Attempt, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        attempt.arguments = [flag, address]
        refused(attempt, flag, address)


@pytest.mark.parametrize("flag", ["--bind", "--api"])
def test_an_address_that_is_not_ours(attempt: Attempt, flag: str) -> None:
    attempt.arguments = [flag, "192.0.2.1:1234"]
    refused(attempt, flag, "192.0.2.1")


def test_a_data_directory_that_cannot_be_one(attempt: Attempt) -> None:
    below_a_file = f"{attempt.file('file', b'')}/data"
    for directory in (below_a_file, attempt.file("other", b""), "/proc/peat"):
        attempt.arguments = ["--data-dir", directory]
        refused(attempt, directory)


def test_a_data_directory_that_is_in_use(attempt: Attempt, formation: Formation) -> None:
    alice = formation.node("alice").start().wait_ready()
    attempt.arguments = ["--data-dir", str(alice.directory)]
    run = attempt.run()
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert str(alice.directory) in line
    assert str(alice.pid) in line
    assert alice.is_ready()
    alice.stop()


def with_store(formation: Formation, damage: Callable[[Path], None]) -> Node:
    alice = formation.node("alice").start().wait_ready()
    alice.write("PUT", "notes/a", {"n": 1})
    alice.stop()
    damage(alice.directory / "peat.db")
    return alice


def newer_schema(file: Path) -> None:
    connection = sqlite3.connect(file)
    with connection:
        changed = connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'schema'")
    assert changed.rowcount == 1
    connection.close()


def garbage(file: Path) -> None:
    file.write_bytes(b"this is no database at all, whatever its name says\n" * 200)


def foreign(file: Path) -> None:
    file.unlink()
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def content_of(file: Path) -> bytes | list[str]:
    """Every row, or every byte of what has no rows."""
    connection = sqlite3.connect(file)
    try:
        return list(connection.iterdump())
    except sqlite3.DatabaseError:
        return file.read_bytes()
    finally:
        connection.close()


@pytest.mark.parametrize("damage", [newer_schema, garbage, foreign])
def test_a_store_that_this_version_cannot_read_is_left_as_it_is(
    attempt: Attempt, formation: Formation, damage: Callable[[Path], None]
) -> None:
    alice = with_store(formation, damage)
    file = alice.directory / "peat.db"
    before = content_of(file)
    attempt.arguments = ["--data-dir", str(alice.directory)]
    refused(attempt, str(alice.directory))
    assert content_of(file) == before


def test_a_file_of_settings_that_is_not_toml(attempt: Attempt) -> None:
    for content in ("bind = ", "\xff", "poll_interval = 'soon'\n", "colour = 'red'\n", "peers = 'x'\n"):
        path = attempt.file("config.toml", content.encode("latin-1"))
        attempt.arguments = ["--config", path]
        refused(attempt, path)


@pytest.mark.parametrize(
    ("arguments", "environ", "named"),
    [
        (["--colour", "red"], {}, "--colour"),
        (["extra"], {}, "extra"),
        (["--peer", "nobody"], {}, "--peer"),
        ([], {"PEAT_STATIC_PEERS": "a@b:1,,c"}, "PEAT_STATIC_PEERS"),
        (["--poll-interval", "soon"], {}, "--poll-interval"),
        ([], {"PEAT_BIND": "", "PEAT_IROH_BIND_PORT": "http"}, "PEAT_IROH_BIND_PORT"),
        ([], {"PEAT_API_BIND": "", "PEAT_BROKER_PORT": "70000"}, "PEAT_BROKER_PORT"),
        (["--engine-workers", "0"], {}, "--engine-workers"),
        (["--engine", "yjs"], {}, "--engine"),
        (["--discovery", "kubernetes,magic"], {}, "--discovery"),
        (["--discovery", "kubernetes"], {}, "Kubernetes"),
        (["--node-id", "no spaces please"], {}, "--node-id"),
        (["--log-level", "loud"], {}, "--log-level"),
        (["--formation", ""], {}, "--formation"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_setting_that_does_not_parse(
    attempt: Attempt, arguments: list[str], environ: dict[str, str], named: str
) -> None:
    attempt.arguments, attempt.environ = arguments, environ
    refused(attempt, named)


def test_what_is_refused_while_running_leaves_no_engine_behind(attempt: Attempt) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        attempt.arguments = ["--bind", f"127.0.0.1:{taken.getsockname()[1]}"]
        refused(attempt, "--bind")
    mine = str(attempt.data).encode()
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    assert not [pid for pid in pids if pid != os.getpid() and mine in command_line(pid)]
