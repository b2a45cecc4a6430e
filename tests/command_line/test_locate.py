"""Which daemon is asked."""

import socket
from pathlib import Path

import pytest

from cli.locate import DEFAULT_API, Options, api, data_dir
from peatd.config import load


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"XDG_STATE_HOME": "/var/state"},
        {"XDG_STATE_HOME": ""},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        {"KUBERNETES_SERVICE_HOST": ""},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "PEAT_DATA_DIR": "/elsewhere"},
        {"PEAT_DATA_DIR": "/elsewhere", "XDG_STATE_HOME": "/var/state"},
        {"PEAT_DATA_DIR": ""},
    ],
    ids=str,
)
def test_the_data_directory_is_where_the_daemon_has_it(home: Path, environ: dict[str, str]) -> None:
    seen = {"HOME": str(home), **environ}
    assert data_dir(Options(), seen) == str(load([], seen, default_file=home / "none").data_dir)


def test_a_flag_goes_before_its_variable() -> None:
    environ = {"PEAT_API": "http://variable", "PEAT_DATA_DIR": "/variable"}
    assert api(Options(), environ) == "http://variable"
    assert api(Options(api="http://flag"), environ) == "http://flag"
    assert data_dir(Options(data_dir="/flag"), environ) == "/flag"


def test_a_named_data_directory_is_asked_and_no_other_daemon(tmp_path: Path) -> None:
    sock = f"unix:{tmp_path}/api.sock"
    assert api(Options(data_dir=str(tmp_path)), {}) == sock
    assert api(Options(), {"PEAT_DATA_DIR": str(tmp_path)}) == sock


def test_the_usual_data_directory_is_asked_if_a_socket_is_there(home: Path) -> None:
    environ = {"HOME": str(home)}
    assert api(Options(), environ) == DEFAULT_API
    directory = home / ".local" / "state" / "peat"
    directory.mkdir(parents=True)
    (directory / "api.sock").write_text("no socket")
    assert api(Options(), environ) == DEFAULT_API
    (directory / "api.sock").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "api.sock"))
        assert api(Options(), environ) == f"unix:{directory}/api.sock"


def test_an_empty_variable_is_unset(home: Path) -> None:
    assert api(Options(), {"HOME": str(home), "PEAT_API": "", "PEAT_DATA_DIR": ""}) == DEFAULT_API
