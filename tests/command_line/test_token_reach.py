"""Whom the data directory's token is sent to."""

from pathlib import Path

import pytest

from cli.client import Daemon
from cli.locate import Options


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "api.token").write_text("s3cret\n")
    return {"PEAT_DATA_DIR": str(tmp_path)}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "LOCALHOST"])
def test_this_machine_is_sent_it(environ: dict[str, str], host: str) -> None:
    assert Daemon.find(Options(api=f"http://{host}:8081"), environ).token == "s3cret"


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "127.0.0.1.example.com", "peat-mesh-1"])
def test_another_is_sent_it_only_when_the_directory_is_named_beside_it(environ: dict[str, str], host: str) -> None:
    assert Daemon.find(Options(api=f"http://{host}:8081"), environ).token is None
    named = Options(api=f"http://{host}:8081", data_dir=environ["PEAT_DATA_DIR"])
    assert Daemon.find(named, {}).token == "s3cret"


def test_a_named_token_file_goes_anywhere_but_not_over_the_socket(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    token_file = str(tmp_path / "other")
    assert Daemon.find(Options(api="https://192.0.2.1", token_file=token_file), environ).token == "other"
    assert Daemon.find(Options(token_file=token_file), environ).token is None
