"""Renders what follows from the chart: the plain manifests, and the table of its values in the guide.

`nox -s manifests` runs it; with `--check` it writes nothing and fails where a file is not what it would write.
Needs helm on the path.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

DEPLOY = Path(__file__).parent
CHART = DEPLOY / "helm" / "peat-mesh"
MANIFESTS = DEPLOY / "kubernetes"
GUIDE = DEPLOY / "README.md"

SECRET = "peat-mesh-formation"
"""Whoever applies the manifests makes this Secret: the secret itself is in no repository."""

_HEADING = "# Rendered from deploy/helm/peat-mesh by `nox -s manifests`: change it there.\n"
_HELMS_OWN = re.compile(r"^ +(app\.kubernetes\.io/managed-by|helm\.sh/chart): .*\n", re.MULTILINE)
_TABLE = re.compile(r"(?<=<!-- values -->\n).*?(?=<!-- /values -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    files = {MANIFESTS / name: text for name, text in manifests()}
    guide = GUIDE.read_text(encoding="utf-8")
    files[GUIDE] = _TABLE.sub(lambda _: values_table(), guide)
    found = {path: path.read_text(encoding="utf-8") for path in [*MANIFESTS.glob("*.yaml"), GUIDE]}
    if "--check" in arguments:
        wrong = sorted(str(path) for path in files.keys() | found.keys() if files.get(path) != found.get(path))
        print("".join(f"{path} is not what the chart gives: `nox -s manifests`\n" for path in wrong), end="")
        return 1 if wrong else 0
    for path in found.keys() - files.keys():
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def manifests() -> Iterator[tuple[str, str]]:
    """The objects of the chart with its default values, by the names of their files."""
    release, namespace = "peat-mesh", "peat"
    command = ["helm", "template", release, str(CHART), "--namespace", namespace, "--skip-tests"]
    command += ["--set", f"formation.existingSecret={SECRET}"]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for document in re.split(r"^---\n", rendered, flags=re.MULTILINE)[1:]:
        source, text = document.split("\n", 1)
        yield source.rpartition("/")[2], _HEADING + _HELMS_OWN.sub("", text).strip("\n") + "\n"


def values_table() -> str:
    """One row for each value: its path, its default, and what values.yaml says above it."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    rows += [f"| `{path}` | `{default}` | {meaning} |" for path, default, meaning in values()]
    return "\n".join(rows) + "\n"


def values() -> Iterator[tuple[str, str, str]]:
    """The path, default and meaning of each value, in their order in values.yaml.

    A key with a comment above it is a value, with all that is below it; a key without one is a part of its path.
    """
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").split("\n\n", 1)[1].splitlines()
    path: list[str] = []
    value: list[str] | None = None  # path, default and meaning of the value we are in
    depth = 0
    comment: list[str] = []
    for line in lines:
        text = line.strip()
        indent = (len(line) - len(line.lstrip())) // 2
        if text.startswith("# "):
            comment.append(text.removeprefix("# "))
        elif text and value is not None and (indent > depth or text.startswith("- ")):
            value[1] = _joined(value[1], text)
        elif text:
            if value is not None:
                yield value[0], value[1], value[2]
                value = None
            key, _, default = text.partition(":")
            path = [*path[:indent], key]
            if comment:
                value, depth, comment = [".".join(path), default.strip(), " ".join(comment)], indent, []
    if value is not None:
        yield value[0], value[1], value[2]


def _joined(default: str, line: str) -> str:
    """A block of YAML on one line, for a cell of a table."""
    return f"{default}, {line}" if default and not default.endswith(":") else f"{default} {line}".strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
