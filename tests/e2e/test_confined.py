"""What the systemd unit forbids, the daemon does without."""

import ctypes.util
import shutil
import sys
from pathlib import Path

import pytest
from e2e import confined, nodes
from e2e.nodes import Formation, up, wait_equal

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "peatd.service"


@pytest.mark.parametrize("engine", ["y-py", "pycrdt"])
def test_it_does_its_work_under_the_units_filter(formation: Formation, engine: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None or ctypes.util.find_library("seccomp") is None:
        pytest.skip("systemd-analyze or libseccomp is not on this machine (Debian: systemd)")
    program = tmp_path / "peatd"
    launcher = f'#!/bin/sh\nexec {sys.executable} {confined.__file__} {UNIT} {nodes.peatd()} "$@"\n'
    program.write_text(launcher)
    program.chmod(0o755)
    alice, bob = formation.mesh("alice", "bob", arguments=("--engine", engine))
    alice.program = str(program)
    up(alice, bob)
    assert "Seccomp:\t2" in Path(f"/proc/{alice.pid}/status").read_text(), "it is confined"
    alice.write("PUT", "confined/a", {"text": "x" * 100_000}, "?ack=replicated:1")
    bob.write("PATCH", "confined/a", {"more": 1}, "?ack=replicated:1")
    wait_equal([alice, bob], "confined/a")
    assert alice.ask("GET", "/metrics").status == 200
    (engine_pid,) = alice.engine_pids()
    limits = Path(f"/proc/{engine_pid}/limits").read_text()
    assert "Max core file size        0 " in limits, "the engine's limits could be set"
    alice.kill()
    alice.start().wait_ready()
    wait_equal([alice, bob], "confined/a")
    alice.stop()
