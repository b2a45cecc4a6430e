"""Papers minted in a process of their own: the same as here, and the library's weight is gone with that process."""

import signal
import subprocess
import sys

import msgspec
import pytest
from fakes.links import OTHER_SECRET, SECRET

from peatd.identity import Keypair
from peatd.papers import Order, Papers
from peatd.papers.certificates import mint
from peatd.papers.minting import mint_apart

ALICE = Keypair.from_seed(SECRET, "alice")
ORDER = Order(ALICE.secret, ALICE.device_id, (SECRET, OTHER_SECRET))


async def test_another_process_mints_the_same() -> None:
    assert await mint_apart(ORDER) == mint(ORDER)


async def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(ChildProcessError, match="ended with 1: ValueError"):
        await mint_apart(Order(b"short", ALICE.device_id, (SECRET,)))


def test_it_finishes_although_the_group_is_told_to_stop() -> None:
    """Ctrl-C and a service's stop reach it too: the node decides, and must not take its end for a fault."""
    command = [sys.executable, "-m", "peatd.papers"]
    piped = subprocess.PIPE
    with subprocess.Popen(command, stdin=piped, stdout=piped, stderr=piped) as process:
        assert process.stdin is not None
        # More than a pipe holds: once it is written, the process reads, which it does after it has made itself deaf.
        process.stdin.write(bytes(1024 * 1024))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"ValidationError" in said


def test_secrets_show_in_no_repr() -> None:
    for made in (ORDER, *mint(ORDER)):
        assert repr(SECRET)[2:-1] not in repr(made)
        assert "PRIVATE" not in repr(made)


def test_a_node_does_without_the_library() -> None:
    program = "import sys, peatd.node; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_papers_survive_the_pipe() -> None:
    papers = mint(ORDER)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(papers), type=tuple[Papers, ...]) == papers
