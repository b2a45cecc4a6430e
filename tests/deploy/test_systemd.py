"""The unit as systemd reads it. Without `systemd-analyze` (Debian: systemd) these are skipped."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = [ROOT / "deploy" / "systemd" / f"{program}.service" for program in ("peatd", "peat-relay")]

WORST_EXPOSURE = 1.5
""""OK" is below 4.0; what is left at 1.1 is the network, which is what it is for."""


def analyze(*arguments: str) -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not on this machine (Debian: systemd)")
    done = subprocess.run([found, "--no-pager", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(params=UNITS, ids=[unit.stem for unit in UNITS])
def installed(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A unit where its program is: for systemd a unit whose program is not there is wrong."""
    found: Path = request.param
    program = tmp_path / found.stem
    program.touch(0o755)
    text = found.read_text(encoding="utf-8")
    assert text.count(f"/opt/peat/bin/{found.stem}\n") == 1
    unit = tmp_path / found.name
    unit.write_text(text.replace(f"/opt/peat/bin/{found.stem}", str(program)), encoding="utf-8")
    return unit


def test_systemd_finds_no_fault(installed: Path) -> None:
    assert analyze("verify", "--man=no", str(installed)) == ""


def test_systemd_finds_the_fault_of_a_broken_one(installed: Path) -> None:
    """That the test above can fail: `verify` ends with 0 when it only ignores a line."""
    installed.write_text(installed.read_text().replace("RestartSec=2", "RestartSec=often"))
    assert "Failed to parse sec value" in analyze("verify", "--man=no", str(installed))


def test_it_may_do_little(installed: Path) -> None:
    said = analyze("security", "--offline=yes", f"--threshold={WORST_EXPOSURE * 10:.0f}", str(installed))
    (exposure,) = re.findall(r"Overall exposure level for peat\S+\.service: (\d+\.\d+)", said)
    assert float(exposure) <= WORST_EXPOSURE
