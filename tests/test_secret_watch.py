"""The formation secret is followed: files that change, steps that are asked for, and what is not believed."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from fakes.links import OTHER_SECRET, SECRET, hello
from structlog.testing import capture_logs
from trio.testing import MockClock

from peatd.config import load
from peatd.errors import ConfigError, SecretFixed
from peatd.formation import Formation, format_formation_secret
from peatd.formation_secret import SecretSource
from peatd.membership import Membership, credentials_of
from peatd.names import NodeId
from peatd.papers.certificates import mint
from peatd.papers.order import Order, Papers
from peatd.revocations import Revocations
from peatd.rotation import Install, Remove, Use
from peatd.secret_watch import LOOK_INTERVAL, SecretWatch

(NAME,), (OTHER_NAME,) = (Formation("peat", (secret,)).fingerprints for secret in (SECRET, OTHER_SECRET))


async def mint_here(order: Order) -> tuple[Papers, ...]:
    await trio.lowlevel.checkpoint()
    return mint(order)


def source(directory: Path, **environ: str) -> SecretSource:
    usual = {"HOME": str(directory), "PEAT_DATA_DIR": str(directory / "data")}
    return SecretSource(load([], usual | environ, default_file=directory / "none"))


def write(file: Path, *secrets: bytes) -> None:
    """As an editor does that is careful: another file under the old name."""
    draft = file.with_name("draft")
    draft.write_text(format_formation_secret(secrets))
    draft.replace(file)


def put(file: Path, content: str | None) -> None:
    """As an editor does that is not: the same file, with another content, or away."""
    if content is None:
        file.unlink()
    else:
        file.write_text(content)


def text_of(file: Path) -> str:
    return file.read_text()


@asynccontextmanager
async def watching(read: SecretSource) -> AsyncIterator[tuple[SecretWatch, Membership]]:
    shown = await credentials_of(Formation("peat", (SECRET,)), NodeId("alice"), None, mint_here)
    membership = Membership(shown, hello("alice"), Revocations(), mint=mint_here)
    watch = SecretWatch(read, membership)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        yield watch, membership
        nursery.cancel_scope.cancel()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    write(path, SECRET)
    return path


async def test_a_file_that_was_changed_is_used_within_seconds(
    tmp_path: Path, file: Path, autojump_clock: MockClock
) -> None:
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET_FILE=str(file))) as (watch, alice):
        await trio.sleep(60)
        assert watch.reloads == 0
        write(file, SECRET, OTHER_SECRET)
        await trio.sleep(5)
        assert (alice.fingerprints, watch.reloads) == ((NAME, OTHER_NAME), 1)
        await trio.sleep(60)
        assert watch.reloads == 1


async def test_what_kubernetes_exchanges_is_a_link_above_the_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    for number, secrets in enumerate([(SECRET,), (SECRET, OTHER_SECRET)]):
        (tmp_path / f"..{number}").mkdir()
        write(tmp_path / f"..{number}" / "formation-secret", *secrets)
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "formation-secret").symlink_to("..data/formation-secret")
    mounted = source(tmp_path, PEAT_FORMATION_SECRET_FILE=str(tmp_path / "formation-secret"))
    async with watching(mounted) as (_, alice):
        (tmp_path / "..new").symlink_to("..1")
        os.replace(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH105
        await trio.sleep(5)
        assert alice.fingerprints == (NAME, OTHER_NAME)
    assert "Kubernetes" in (mounted.fixed() or "")


async def test_a_file_that_is_being_written_is_left_alone(
    tmp_path: Path, file: Path, autojump_clock: MockClock
) -> None:
    """Half a line is a secret, too, and another."""
    line = base64.b64encode(OTHER_SECRET).decode()
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET_FILE=str(file))) as (watch, alice):
        for length in range(24, len(line), 4):
            put(file, line[:length])
            await trio.sleep(LOOK_INTERVAL * 0.7)
        assert (watch.reloads, watch.failure) == (0, None)
        write(file, OTHER_SECRET)
        await trio.sleep(5)
        assert alice.fingerprints == (OTHER_NAME,)


async def test_a_hangup_says_that_it_is_whole(tmp_path: Path, file: Path, autojump_clock: MockClock) -> None:
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET_FILE=str(file))) as (watch, alice):
        write(file, OTHER_SECRET, SECRET)
        watch.reload()
        await trio.sleep(0.1)
        assert alice.fingerprints == (OTHER_NAME, NAME)


@pytest.mark.parametrize("content", ["", "not base64 at all", "c2hvcnQ=", None])
async def test_what_is_no_secret_is_told_once_and_the_old_ones_stay(
    tmp_path: Path, file: Path, content: str | None, autojump_clock: MockClock
) -> None:
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET_FILE=str(file))) as (watch, alice):
        with capture_logs() as logs:
            put(file, content)
            await trio.sleep(60)
        assert [line["event"] for line in logs] == ["formation secret not reloaded"]
        assert content is None or content not in str(logs) or not content
        assert alice.fingerprints == (NAME,)
        assert watch.failure is not None
        write(file, SECRET)
        await trio.sleep(6)
        assert watch.failure is None


async def test_the_steps_are_done_to_the_file_and_at_once(
    tmp_path: Path, file: Path, autojump_clock: MockClock
) -> None:
    os.chmod(file, 0o640)  # noqa: PTH101
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET_FILE=str(file))) as (watch, alice):
        for step, secrets in (
            (Install(OTHER_SECRET), (SECRET, OTHER_SECRET)),
            (Install(OTHER_SECRET), (SECRET, OTHER_SECRET)),
            (Use(OTHER_NAME), (OTHER_SECRET, SECRET)),
            (Remove(OTHER_NAME), (OTHER_SECRET,)),
        ):
            await watch.take(step)
            assert text_of(file) == format_formation_secret(secrets)
            assert alice.credentials.formation.secrets == secrets
        await trio.sleep(60)
        assert watch.reloads == 3
    assert os.stat(file).st_mode & 0o777 == 0o640  # noqa: PTH116
    assert sorted(os.listdir(tmp_path)) == ["secret"]  # noqa: PTH208  # names, not paths


async def test_a_step_is_done_to_what_is_in_the_file_now(tmp_path: Path, file: Path, mock_clock: MockClock) -> None:
    """Nodes may share a file: what another has just written there is not written over."""
    third = b"\x2c" * 32
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET_FILE=str(file))) as (watch, alice):
        write(file, SECRET, third)
        await watch.take(Install(OTHER_SECRET))
        assert alice.credentials.formation.secrets == (SECRET, third, OTHER_SECRET)


async def test_a_step_that_comes_too_early_changes_nothing(tmp_path: Path, file: Path, mock_clock: MockClock) -> None:
    before = text_of(file)
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET_FILE=str(file))) as (watch, _):
        with pytest.raises(ConfigError):
            await watch.take(Use(OTHER_NAME))
    assert text_of(file) == before


async def test_what_stands_in_the_environment_is_not_ours_to_change(tmp_path: Path, mock_clock: MockClock) -> None:
    text = format_formation_secret((SECRET,))
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET=text)) as (watch, alice):
        with pytest.raises(SecretFixed, match=r"PEAT_FORMATION_SECRET .*restart the node") as caught:
            await watch.take(Install(OTHER_SECRET))
        await watch.take(Remove(NAME))  # it is so already
    assert text.strip() not in str(caught.value)
    assert alice.fingerprints == (NAME,)


async def test_a_hangup_has_nothing_to_read_where_there_is_no_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    text = format_formation_secret((SECRET,))
    async with watching(source(tmp_path, PEAT_FORMATION_SECRET=text)) as (watch, _):
        with capture_logs() as logs:
            watch.reload()
            await trio.sleep(10)
    assert [line["event"] for line in logs] == ["nothing to read again"]
