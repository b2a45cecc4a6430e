"""What pycrdt does with an update for which there is too little memory: it must not look like a malformed one, which
would be set aside for good, with all that its writer was promised."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from peatd.engine.engine import Engine
from peatd.engine.protocol import Merged, Open, Put
from peatd.engine.pycrdt import Pycrdt

writer = Engine(Pycrdt(), lambda: 5)
writer.handle(Open(1, b"", []))
merged = writer.handle(Put(1, {f"key{n}": n for n in range(40_000)}))
assert isinstance(merged, Merged), merged
copy = Pycrdt().new_copy()
with open("/proc/self/statm") as statm:
    taken = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]),) * 2)
copy.apply(merged.news)
"""


@pytest.mark.parametrize("free_mib", [0, 2, 4, 6, 8])
def test_an_update_for_which_there_is_no_memory_is_not_called_malformed(free_mib: int) -> None:
    """It either says so, or is aborted by its allocator, which the node takes for the same."""
    command = [sys.executable, "-c", PROGRAM, str(free_mib * 2**20)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    words = done.stderr.splitlines()
    assert "MemoryError" in words or any(word.startswith("memory allocation of") for word in words), done
