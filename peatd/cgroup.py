"""How much memory this process may take, as its container, pod or service has it: cgroups(7), both versions."""

from contextlib import suppress
from pathlib import Path

_MEMBERSHIP = Path("/proc/self/cgroup")
_ROOT = Path("/sys/fs/cgroup")


def memory_limit(membership: Path = _MEMBERSHIP, root: Path = _ROOT) -> int | None:
    """Bytes; None where there is no limit, or no word of one.

    In a container the limit often stands at the root of what we see, whatever our path is called outside.
    """
    limits = []
    for directory, name in _places(membership, root):
        with suppress(OSError, ValueError):  # "max", or not there
            limits.append(int((directory / name).read_text()))
    return min(limits, default=None)


def _places(membership: Path, root: Path) -> list[tuple[Path, str]]:
    """Our group's directory and all above it, in the hierarchy of either version."""
    try:
        lines = membership.read_text().splitlines()
    except (OSError, ValueError):
        return []
    places = []
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            top, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        parts = Path(path.lstrip("/")).parts
        places += [(top.joinpath(*parts[:count]), name) for count in range(len(parts) + 1)]
    return places
