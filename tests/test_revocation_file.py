"""The list of revoked keys on disk: what is saved is there after a restart, whatever is damaged beside it."""

import os
import stat
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from peatd.errors import ConfigError, Unavailable
from peatd.formation import Formation
from peatd.names import DeviceId
from peatd.revocation_file import FILE_NAME, RevocationFile, load
from peatd.revocations import Revocation, Revocations, sign, verify

OLD, NEW = b"o" * 32, b"n" * 32
PEAT = Formation("peat", (OLD,))
ALICE, BOB, CAROL = (DeviceId(two * 16) for two in ("aa", "bb", "cc"))


def listed(*devices: DeviceId) -> Revocations:
    made = Revocations()
    for device_id in devices:
        made.add(sign(Revocation(device_id, 1_767_225_600, ALICE), PEAT, PEAT.fingerprints[0]))
    return made


async def save(directory: Path, revoked: Revocations) -> None:
    file = RevocationFile(directory, revoked)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        file.changed()
        await file.saved()
        nursery.cancel_scope.cancel()


async def test_what_is_saved_is_there_again(tmp_path: Path) -> None:
    await save(tmp_path, listed(BOB, CAROL))
    assert list(load(tmp_path, PEAT)) == list(listed(BOB, CAROL))
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [FILE_NAME]  # noqa: PTH208  # names, not paths


def test_at_the_first_start_nothing_is_revoked(tmp_path: Path) -> None:
    assert len(load(tmp_path, PEAT)) == 0


async def test_a_node_that_was_away_for_a_rotation_still_knows_what_it_knew(tmp_path: Path) -> None:
    await save(tmp_path, listed(BOB))
    rotated = Formation("peat", (NEW,))
    (entry,) = load(tmp_path, rotated)
    assert entry.device_id == BOB
    verify(entry, rotated)


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:40],
        lambda line: b"\xff" + line,
        lambda line: line.replace(b'"' + BOB.encode(), b'"' + ALICE.encode()),
        lambda line: line.replace(b"bb", b"b\x00"),
        lambda line: b"[" * 100_000,
        lambda line: b"{}",
    ],
)
async def test_a_damaged_line_is_told_of_and_takes_no_other_with_it(tmp_path: Path, damage: object) -> None:
    await save(tmp_path, listed(BOB, CAROL))
    file = tmp_path / FILE_NAME
    first, second = file.read_bytes().splitlines()
    file.write_bytes(damage(first) + b"\n" + second + b"\n")  # type: ignore[operator]  # each is a function
    with capture_logs() as logs:
        found = load(tmp_path, PEAT)
    assert [entry.device_id for entry in found] == [CAROL]
    assert [(line["event"], line["line"]) for line in logs] == [("revocation damaged", 1)]


def test_a_list_that_cannot_be_read_keeps_the_node_down(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, PEAT)


async def test_a_failing_disk_is_told_and_tried_again(tmp_path: Path, autojump_clock: object) -> None:
    directory = tmp_path / "later"
    file = RevocationFile(directory, listed(BOB))
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(file.run)
            file.changed()
            with pytest.raises(Unavailable, match="not on this node's disk yet"):
                await file.saved()
            assert file.failure is not None
            await trio.sleep(60)
            directory.mkdir()
            while file.failure is not None:  # noqa: ASYNC110  # what a thread does takes no time of this clock
                await trio.sleep(1)
            await file.saved()
            nursery.cancel_scope.cancel()
    assert [entry.device_id for entry in load(directory, PEAT)] == [BOB]
    assert [line["event"] for line in logs] == ["revocations not saved"]
