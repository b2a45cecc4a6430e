"""What a probe costs, and what the rest of `peat` does not load."""

import subprocess
import sys

import pytest
from fakes.node_api import FakeNode

HEAVY = {"trio", "quart", "kubernetes", "pydantic", "cryptography", "nacl", "hypercorn", "structlog"}
FOR_VERBS = {"typer", "http.client", "json", "ssl", "msgspec", "typing", "pathlib", "rich"}

REPORT = """
import sys
from cli.main import main
sys.argv = ["peat", *sys.argv[1:]]
code = main()
print(" ".join(sys.modules), file=sys.stderr)
sys.exit(code)
"""


def modules_of(environ: dict[str, str], *arguments: str) -> set[str]:
    # Isolated (-I would drop the package's own path): nothing but what the program itself imports, and site.
    done = subprocess.run(
        (sys.executable, "-c", REPORT, *arguments), env=environ, capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("docs", "put", "--help"), ("version",), ("peers",)])
def test_heavy_libraries_stay_out(node: FakeNode, environ: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert node.socket
    assert modules_of(environ, *arguments) & HEAVY == set()


def test_a_yes_to_a_probe_loads_next_to_nothing(node: FakeNode, environ: dict[str, str]) -> None:
    at_start = set(
        subprocess.run(
            (sys.executable, "-c", "import sys; print(*sys.modules)"),
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    )
    for where in ((), ("--api", node.url)):
        loaded = modules_of(environ, "ready", *where) - at_start
        assert loaded & (HEAVY | FOR_VERBS) == set()
        assert {name for name in loaded if name.startswith("cli")} == {
            "cli",
            "cli.locate",
            "cli.main",
            "cli.outcome",
            "cli.probe",
            "cli.unix",
        }
