"""The token's file."""

import stat

import pytest

from peatd.api.token import create_token
from peatd.errors import ConfigError


def test_a_token_is_new_every_time_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "api.token"
    first = create_token(path)
    assert path.read_text() == f"{first}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = create_token(path)  # the first daemon crashed
    assert first != second
    assert path.read_text() == f"{second}\n"
    assert len(second) == 43
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_in_its_place_is_a_configuration_error(tmp_path):
    (tmp_path / "api.token").mkdir()
    with pytest.raises(ConfigError, match="cannot be replaced"):
        create_token(tmp_path / "api.token")
