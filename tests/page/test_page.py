"""The demo's page as files: what is served is what a wheel has in it."""

import subprocess
import sys
import zipfile
from pathlib import Path

from peatd.page import BUILT, read_page

ROOT = Path(__file__).parents[2]


def test_all_that_was_built_is_served() -> None:
    page = read_page()
    assert {*page.files, "index.html"} == {path.name for path in BUILT.iterdir()}


def test_the_nonce_stands_in_the_page_once() -> None:
    assert read_page().html("n0nce").count(b"n0nce") == 1


def test_it_stays_small() -> None:
    assert sum(path.stat().st_size for path in BUILT.iterdir()) < 512 * 1024


def test_a_wheel_has_what_is_served_and_not_what_it_is_made_of(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if name.startswith("peatd/page/")}
    assert packed == {"peatd/page/__init__.py", *(f"peatd/page/built/{path.name}" for path in BUILT.iterdir())}
