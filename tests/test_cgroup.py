"""The memory that a container, a pod or a service may take."""

from pathlib import Path

import pytest

from peatd.cgroup import memory_limit

V2 = "0::/system.slice/peatd.service\n"
V1 = "9:name=systemd:/\n4:memory:/kubepods/pod1/c1\n1:cpu,cpuacct:/\n0::/\n"


def root_with(directory: Path, **limits: str) -> Path:
    root = directory / "cgroup"
    root.mkdir()
    for place, limit in limits.items():
        file = root / place.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{limit}\n")
    return root


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "268435456"}, 268435456),
        (V2, {"system.slice__memory.max": "max", "system.slice__peatd.service__memory.max": "1000"}, 1000),
        (V2, {"system.slice__memory.max": "500", "system.slice__peatd.service__memory.max": "1000"}, 500),
        (V1, {"memory__kubepods__pod1__c1__memory.limit_in_bytes": "7"}, 7),
        (V1, {"memory__memory.limit_in_bytes": "9223372036854771712"}, 9223372036854771712),
        (V2, {"system.slice__memory.max": "max"}, None),
        (V2, {}, None),
        ("junk\n\n1:memory\n", {}, None),
    ],
    ids=["container", "service", "slice", "v1-pod", "v1-none", "none", "no-files", "junk"],
)
def test_the_least_of_what_holds_for_us_counts(
    tmp_path: Path, membership: str, limits: dict[str, str], expected: int | None
) -> None:
    (tmp_path / "membership").write_text(membership)
    assert memory_limit(tmp_path / "membership", root_with(tmp_path, **limits)) == expected


def test_without_proc_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path / "nowhere", tmp_path) is None
