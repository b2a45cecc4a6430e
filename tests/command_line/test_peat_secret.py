"""`peat secret new`: what the nodes of a formation share."""

import json
import stat
from pathlib import Path

import pytest
from run_peat import Peat

from peatd.formation import parse_formation_secret


def test_a_new_secret_is_one_that_the_daemon_accepts(peat: Peat) -> None:
    first, second = peat("secret", "new"), peat("secret", "new")
    assert (first.code, first.err) == (0, "")
    (secret,) = parse_formation_secret(first.out, "stdout")
    assert len(secret) == 32
    assert first.out != second.out
    assert "secret" in json.loads(peat("secret", "new", "--json").out)


def test_out_keeps_it_for_its_owner_alone_and_shows_the_path(peat: Peat, tmp_path: Path) -> None:
    out = tmp_path / "formation.secret"
    ended = peat("secret", "new", "--out", str(out))
    assert (ended.code, ended.out, ended.err) == (0, f"{out}\n", "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    parse_formation_secret(out.read_text(), "file")


def test_the_file_can_be_rotated_by_appending(peat: Peat, tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    assert json.loads(peat("secret", "new", "--out", str(new), "--json").out) == {"file": str(new)}
    peat("secret", "new", "--out", str(old))
    with new.open("a") as file:
        file.write(old.read_text())
    assert len(parse_formation_secret(new.read_text(), "file")) == 2


@pytest.mark.parametrize("place", ["there", "missing/secret"])
def test_a_place_that_cannot_be_used_is_2(peat: Peat, tmp_path: Path, place: str) -> None:
    (tmp_path / "there").write_text("precious")
    ended = peat("secret", "new", "--out", str(tmp_path / place))
    assert (ended.code, ended.out) == (2, "")
    assert str(tmp_path / place) in ended.err
    assert (tmp_path / "there").read_text() == "precious"
