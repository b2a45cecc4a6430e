"""Runs a program as the unit confines it: `python confined.py UNIT PROGRAM ARGUMENTS…`.

What systemd would do with SystemCallFilter, MemoryDenyWriteExecute and NoNewPrivileges, done by ourselves: by seccomp
and prctl(2), with systemd's own sets of system calls.
"""

import ctypes
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_SET_NO_NEW_PRIVS, _SET_MDWE, _MDWE_REFUSE_EXEC_GAIN = 38, 65, 1


def allowed_calls(unit: str) -> set[str]:
    """Of the lines `SystemCallFilter=[~]SET…`, in their order. @default is always in it, says systemd.exec(5)."""
    calls = members("@default") | {"execve"}
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        found = set().union(*(members(name) for name in line.removeprefix("~").split()))
        calls = calls - found if line.startswith("~") else calls | found
    return calls


def members(name: str) -> set[str]:
    command = ["systemd-analyze", "--no-pager", "syscall-filter", name]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in (members(word) if word.startswith("@") else {word})}


def confine(calls: set[str]) -> None:
    seccomp, libc = ctypes.CDLL("libseccomp.so.2"), ctypes.CDLL(None)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_REFUSE)))
    for call in calls:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # else this machine has no such call
            assert seccomp.seccomp_rule_add(rules, ctypes.c_uint32(_ALLOW), ctypes.c_int(number), ctypes.c_uint(0)) == 0
    assert libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    libc.prctl(_SET_MDWE, _MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # Linux before 6.3 has it not
    assert seccomp.seccomp_load(rules) == 0


if __name__ == "__main__":
    unit_file, *command = sys.argv[1:]
    confine(allowed_calls(Path(unit_file).read_text(encoding="utf-8")))
    os.execv(command[0], command)
