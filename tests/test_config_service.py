"""What a service manager tells of itself in the environment."""

import os
from pathlib import Path

import pytest

from peatd.config import Config, forget_service_manager, load
from peatd.errors import ConfigError


def read(tmp_path: Path, **environ: str) -> Config:
    return load([], {"HOME": str(tmp_path), **environ}, default_file=tmp_path / "none.toml")


def test_without_one_there_is_nothing_to_say(tmp_path: Path) -> None:
    config = read(tmp_path, NOTIFY_SOCKET="", WATCHDOG_USEC="")
    assert (config.notify_socket, config.watchdog) == (None, None)


@pytest.mark.parametrize("name", ["/run/systemd/notify", "@abstract/name"])
def test_one_that_listens_is_found(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, NOTIFY_SOCKET=name).notify_socket == name


def test_its_watchdog_is_heeded_if_it_is_for_this_process(tmp_path: Path) -> None:
    assert read(tmp_path, WATCHDOG_USEC="1500000").watchdog == 1.5
    assert read(tmp_path, WATCHDOG_USEC="1500000", WATCHDOG_PID=str(os.getpid())).watchdog == 1.5
    assert read(tmp_path, WATCHDOG_USEC="1500000", WATCHDOG_PID=str(os.getppid())).watchdog is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NOTIFY_SOCKET", "run/notify"),
        ("NOTIFY_SOCKET", "vsock:2:9999"),
        ("NOTIFY_SOCKET", "@"),
        ("NOTIFY_SOCKET", "/"),
        ("WATCHDOG_USEC", "0"),
        ("WATCHDOG_USEC", "1.5"),
        ("WATCHDOG_USEC", "-1"),
        ("WATCHDOG_PID", "me"),
    ],
)
def test_nonsense_is_refused_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} \(environment\): '{text}'"):
        read(tmp_path, **{name: text})


def test_no_child_inherits_what_is_for_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.setenv(name, "1")
    forget_service_manager()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()
