"""Secrets on disk: private, whole, never overwritten."""

import os
import stat
from pathlib import Path

import pytest

from peatd.errors import ConfigError
from peatd.identity import Keypair
from peatd.keyfile import load_keypair, save_keypair, write_private


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_a_saved_key_is_loaded_and_private(tmp_path: Path) -> None:
    keypair = Keypair.from_seed(b"formation", "alice")
    path = tmp_path / "node.key"
    save_keypair(keypair, path)
    assert path.read_bytes() == keypair.secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keypair(path).device_id == keypair.device_id
    assert names_in(tmp_path) == ["node.key"]


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_mode_is_0600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_private(tmp_path / "secret", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(b"precious")
    with pytest.raises(ConfigError, match="never overwritten"):
        save_keypair(Keypair.generate(), path)
    assert path.read_bytes() == b"precious"
    assert names_in(tmp_path) == ["node.key"]


def test_not_even_a_dangling_link_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "node.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="never overwritten"):
        save_keypair(Keypair.generate(), tmp_path / "node.key")
    assert names_in(tmp_path) == ["node.key"]


@pytest.mark.parametrize("name", ["missing/node.key", "x" * 300])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        save_keypair(Keypair.generate(), tmp_path / name)
    assert names_in(tmp_path) == []


def test_a_directory_is_no_place_for_a_key(tmp_path: Path) -> None:
    for place in (tmp_path, Path("/"), Path()):
        with pytest.raises(ConfigError, match=r"is there already|cannot be written"):
            save_keypair(Keypair.generate(), place)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o777])
def test_a_key_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "node.key"
    save_keypair(Keypair.generate(), path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"{path} has mode {mode:04o}.*chmod 600 {path}"):
        load_keypair(path)


@pytest.mark.parametrize(("size", "found"), [(0, "has 0 bytes"), (31, "has 31 bytes"), (33, "is longer")])
def test_a_key_of_another_size_is_refused(tmp_path: Path, size: int, found: str) -> None:
    path = tmp_path / "node.key"
    write_private(path, bytes(size))
    with pytest.raises(ConfigError, match=f"32 raw bytes, this file {found}.*peat keygen"):
        load_keypair(path)


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file.*peat keygen --out"):
        load_keypair(tmp_path / "node.key")


def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match=r"not a regular file|Is a directory"):
            load_keypair(path)
