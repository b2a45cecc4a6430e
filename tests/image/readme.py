"""What the README says to those who use containers, as it stands."""

import argparse
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Run:
    """`docker run`: the options that the tests know, and none beside them."""

    name: str
    hostname: str
    volumes: Sequence[str]
    environ: Mapping[str, str]
    is_restricted: bool
    image: str
    arguments: Sequence[str]


def docker(verb: str) -> list[str]:
    """The words behind `docker VERB`, as a shell in the checkout would give them."""
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^docker {verb} .*$", text, re.MULTILINE)
    script = f'docker() {{ printf "%s\\0" "$@"; }}; {line}'
    said = subprocess.run(["bash", "-c", script], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    return said.split("\0")[1:-1]


def docker_run() -> Run:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--detach", action="store_true", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--hostname", required=True)
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--cap-drop")
    parser.add_argument("--volume", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    found = parser.parse_args(docker("run"))
    environ = dict(variable.split("=", 1) for variable in found.env)
    is_restricted = found.read_only and found.cap_drop == "ALL"
    return Run(found.name, found.hostname, found.volume, environ, is_restricted, found.image, found.arguments)
