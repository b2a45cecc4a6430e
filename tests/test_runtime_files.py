"""What is in the data directory while a node runs."""

import json
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from peatd.errors import ConfigError
from peatd.runtime_files import remove, write_node_file


def test_the_node_file_is_for_everyone_and_replaces_that_of_a_crashed_node(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    for pid in (1, 2):
        write_node_file(path, {"node_id": "peat-mesh-0", "pid": pid})
    assert json.loads(path.read_text()) == {"node_id": "peat-mesh-0", "pid": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.mkdir()
    with pytest.raises(ConfigError, match=r"node\.json cannot be written: Is a directory; look at its volume"):
        write_node_file(path, {})
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_gone_already_is_no_fault(tmp_path: Path) -> None:
    with capture_logs() as logs:
        remove(tmp_path / "api.token")
    assert logs == []


def test_what_cannot_be_taken_away_is_left_behind_and_told(tmp_path: Path) -> None:
    path = tmp_path / "api.token"
    path.mkdir()  # as on a disk that has become read-only, unlink() fails
    with capture_logs() as logs:
        remove(path)
    assert [(log["event"], log["file"], log["message"]) for log in logs] == [
        ("file left behind", str(path), "Is a directory")
    ]
