"""Where the formation secret is kept, and who may make one."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from peatd import formation_secret
from peatd.config import Config, load
from peatd.errors import ConfigError
from peatd.formation import new_formation_secret, parse_formation_secret
from peatd.formation_secret import MAX_FILE_BYTES, ensure_formation_secret

Configure = Callable[..., Config]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    def configure(**environ: str) -> Config:
        usual = {"HOME": str(tmp_path), "PEAT_DATA_DIR": str(tmp_path / "a" / "data")}
        return load([], usual | environ, default_file=tmp_path / "none")

    return configure


def test_the_first_start_makes_one_and_the_next_finds_it(configure: Configure, tmp_path: Path) -> None:
    text, origin, created = ensure_formation_secret(configure())
    file = tmp_path / "a" / "data" / "formation-secret"
    assert (origin, created) == (str(file), True)
    assert [len(secret) for secret in parse_formation_secret(text, origin)] == [32]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert ensure_formation_secret(configure()) == (text, origin, False)


def test_in_a_cluster_none_is_made(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--formation-secret-file is not set .*PEAT_FORMATION_SECRET"):
        ensure_formation_secret(configure(KUBERNETES_SERVICE_HOST="10.96.0.1"))
    assert list(tmp_path.iterdir()) == []


def test_of_two_daemons_at_once_one_makes_it(configure: Configure) -> None:
    config = configure()
    start, found = threading.Barrier(8), []

    def ensure() -> None:
        start.wait()
        found.append(ensure_formation_secret(config))

    threads = [threading.Thread(target=ensure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({text for text, _, _ in found}) == 1
    assert sum(created for _, _, created in found) == 1
    assert os.listdir(config.data_dir) == ["formation-secret"]  # noqa: PTH208  # names, not paths


def test_a_daemon_that_was_faster_wins(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = new_formation_secret()

    def lose(path: Path, content: bytes) -> None:
        path.write_text(theirs)
        raise ConfigError(f"{path} is there already: {content!r}")

    monkeypatch.setattr(formation_secret, "write_private", lose)
    text, _, created = ensure_formation_secret(configure())
    assert (text, created) == (theirs, False)


def test_a_data_directory_that_cannot_be_made(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(ConfigError, match="name another with --data-dir"):
        ensure_formation_secret(configure())


def test_a_data_directory_that_cannot_be_looked_into(configure: Configure, tmp_path: Path) -> None:
    """As with one of another user's, but for root too."""
    with pytest.raises(ConfigError, match=r"cannot be used: File name too long; .*--data-dir"):
        ensure_formation_secret(configure(PEAT_DATA_DIR=str(tmp_path / ("x" * 300))))


def test_a_data_directory_that_cannot_be_written(configure: Configure) -> None:
    # Even root cannot make a file there.
    with pytest.raises(ConfigError, match="/proc/self/formation-secret cannot be written"):
        ensure_formation_secret(configure(PEAT_DATA_DIR="/proc/self"))


def test_a_text_comes_from_the_environment(configure: Configure) -> None:
    config = configure(PEAT_FORMATION_SECRET="text")
    assert ensure_formation_secret(config) == ("text", "PEAT_FORMATION_SECRET (environment)", False)


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """As Kubernetes mounts a Secret: readable for all, behind a link."""
    file = tmp_path / "..data"
    file.write_text(f"{new_formation_secret()}\n")
    file.chmod(0o644)
    link = tmp_path / "formation-secret"
    link.symlink_to(file)
    return link


def test_a_mounted_file_may_be_readable_for_all(configure: Configure, mounted: Path) -> None:
    text, origin, created = ensure_formation_secret(configure(PEAT_FORMATION_SECRET_FILE=str(mounted)))
    assert (text, created) == (mounted.read_text(), False)
    assert origin == f"PEAT_FORMATION_SECRET_FILE (environment): {mounted}"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o622])
def test_a_file_that_others_can_write_is_refused(configure: Configure, mounted: Path, mode: int) -> None:
    mounted.chmod(mode)
    with pytest.raises(ConfigError, match=rf"mode {mode:04o}.*chmod go-w"):
        ensure_formation_secret(configure(PEAT_FORMATION_SECRET_FILE=str(mounted)))


def test_our_own_file_is_judged_like_any(configure: Configure) -> None:
    config = configure()
    ensure_formation_secret(config)
    (config.data_dir / "formation-secret").chmod(0o666)
    with pytest.raises(ConfigError, match="chmod go-w"):
        ensure_formation_secret(config)


def refusal(config: Config) -> str:
    with pytest.raises(ConfigError) as caught:
        ensure_formation_secret(config)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is not None or caught.value.__context__ is None
    return str(caught.value)


def test_what_cannot_be_a_secret_is_refused(configure: Configure, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    config = configure(PEAT_FORMATION_SECRET_FILE=str(file))
    origin = f"PEAT_FORMATION_SECRET_FILE (environment): {file}"
    assert refusal(config) == f"{origin} cannot be read: No such file or directory; `peat secret new` makes one"
    file.write_bytes(b"\xff" * 40)
    assert refusal(config) == f"{origin} is not base64 text; `peat secret new` makes one"
    file.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    assert "is no formation secret" in refusal(config)
    file.unlink()
    os.mkfifo(file)
    assert "is not a regular file" in refusal(config)
    assert "Is a directory" in refusal(configure(PEAT_FORMATION_SECRET_FILE=str(tmp_path)))
