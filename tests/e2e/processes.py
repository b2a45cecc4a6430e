"""Processes of this machine, seen by the kernel. They may end while they are looked at."""

from pathlib import Path


def command_line(pid: int) -> bytes:
    """Nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def is_alive(pid: int) -> bool:
    """Zombies are not: whoever kills us leaves them to the machine's first process, which may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
