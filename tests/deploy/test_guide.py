"""The guide does what it says: what begins with `$` is run as it stands, and its output compared.

`kubectl exec` becomes the pod's environment; the pods are real nodes, started with what the chart renders. Commands
for a cluster are tried as far as helm and kubectl go without one.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.chart import CHART, ROOT, Json, helm, merged, parse, render, tool, with_secret
from deploy.faults import faults
from deploy.faults_shape import schema_faults
from deploy.kubelet import Cluster, Pod
from deploy.objects import Objects
from deploy.test_nodes import up_again
from fakes.shell import Shell

GUIDE = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")

_VARYING = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "FINGERPRINT"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+:\d+\b"), "ADDRESS"),
    (re.compile(r"\b(now|\d+(\.\d+)? ?(us|ms|s|min)( ago)?)(?=\s)"), "T"),
    (re.compile(r" +"), " "),
)

_KUBECTL = """\
#!{python}
# Stands for kubectl: `exec POD -- COMMAND` runs the command in that pod's environment.
import json, os, sys
words = sys.argv[1:]
command = words[words.index("--") + 1 :]
(pod,) = (word for word in words[words.index("exec") + 1 : words.index("--")] if not word.startswith("-"))
os.execvpe(command[0], command, json.load(open({pods!r}))[pod])
"""


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(text: str) -> list[tuple[str, str]]:
    """Each command that is run, continued lines and all, with the output below it."""
    found: list[tuple[str, str]] = []
    for line in "".join(blocks(text, "console")).splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("> "):
            found[-1] = (found[-1][0] + line[2:], "")
        else:
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def masked(text: str) -> str:
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return text.strip()


def run(given: list[tuple[str, str]], directory: Path, forwarded: str) -> None:
    """Runs commands one after another in one shell, and compares what they print."""
    path = f"{directory / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    with Shell(directory, {"PATH": path, "HOME": str(directory), "KUBECONFIG": os.devnull}) as shell:
        for command, output in given:
            stderr = " 2>&1" if command.startswith("helm ") else ""
            real = command.rstrip("\n").replace("127.0.0.1:11204", forwarded)
            shell.shows(f"{real}{stderr}\n", masked(output), masked, is_look=" peat peers" in command)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The root of the repository, as far as the guide goes."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / "bin").mkdir()
    return tmp_path


def shim(place: Path, pods: list[Pod]) -> None:
    environments = place / "pods.json"
    environments.write_text(json.dumps({one.name: dict(one.environ) for one in pods}))
    kubectl = place / "bin" / "kubectl"
    kubectl.write_text(_KUBECTL.format(python=sys.executable, pods=str(environments)))
    kubectl.chmod(0o755)


def test_what_is_shown_is_what_happens(cluster: Cluster, ports: Json, place: Path) -> None:
    before, after = GUIDE.split("\n## Verify\n")
    run(steps(before), place, forwarded="")
    secret = {"formation": {"secret": (place / "secret").read_text()}, "drainDelay": 5}
    objects = Objects(render(merged(ports, secret)))
    cluster.allow(objects)
    pods = cluster.pods(objects, 0)
    for one in pods:
        one.start()
    up_again(pods)
    shim(place, pods)
    run(steps(after), place, forwarded=pods[0].mesh)


def cluster_commands() -> Iterator[list[str]]:
    for block in blocks(GUIDE, "sh"):
        for line in block.splitlines():
            yield from (shlex.split(part) for part in re.split(r" \| | && ", line))


def test_every_helm_command_gives_a_release_that_works(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(with_secret({})["formation"]["secret"])
    seen = 0
    for words in cluster_commands():
        if words[0] != "helm" or "test" in words:
            continue
        seen += 1
        assert words[1] in ("install", "upgrade")
        kept = [
            word for word in words[2:] if word not in ("--install", "--reuse-values", "--create-namespace", "--wait")
        ]
        if not any("formation." in word for word in kept):
            assert "--reuse-values" in words
            kept += ["--set", "formation.existingSecret=peat-mesh-formation"]
        kept = [re.sub(r"(formation\.secret=).*", rf"\g<1>{tmp_path}/secret", word) for word in kept]
        kept = [str(CHART) if word == "deploy/helm/peat-mesh" else word for word in kept]
        documents = parse(helm("template", *kept))
        assert faults(documents) == [], words
        assert not list(schema_faults(documents, "1.37"))
    assert seen >= 7


def test_every_secret_is_made_as_the_pods_want_it(tmp_path: Path) -> None:
    """Also the one that the README shows."""
    (mounted,) = (
        volume["secret"]
        for volume in Objects(render({"formation": {"existingSecret": "peat-mesh-formation"}})).pod["volumes"]
        if volume["name"] == "formation-secret"
    )
    seen = 0
    for words in cluster_commands():
        if words[0] == "kubectl" and "create" in words:
            seen += 1
            command = [word for word in words[1:] if word not in ("--output", "yaml", "--dry-run=client")]
            for file in ("secret", "both"):
                (tmp_path / file).write_text("text")
            done = subprocess.run(
                [tool("kubectl"), *command, "--dry-run=client", "--output=yaml"],
                cwd=tmp_path,
                env={"PATH": os.environ["PATH"], "KUBECONFIG": os.devnull},
                capture_output=True,
                text=True,
                check=True,
            )
            (made,) = parse(done.stdout)
            if made["kind"] == "Secret":
                (item,) = mounted["items"]
                assert (made["metadata"]["name"], list(made["data"])) == (mounted["secretName"], [item["key"]])
            else:
                assert (made["kind"], made["metadata"]["name"]) == ("Namespace", "peat")
    assert seen >= 6


def test_what_the_commands_name_is_there() -> None:
    """Pods, Services, selectors and the account, as the chart calls them."""
    objects = Objects(render({"mesh": {"external": {"enabled": True}}}))
    name = objects.workload["metadata"]["name"]
    known = {f"{name}-{n}" for n in range(3)} | {one["metadata"]["name"] for one in objects.documents}
    known |= {f"data-{name}-{n}" for n in range(3)} | {"peat-mesh-formation"}
    named = set(re.findall(r"(?<![\w./-])(?:data-)?peat-mesh(?:-[a-z0-9]+)*(?![\w/*])", GUIDE))
    assert named <= known | {"peat-mesh"}, named - known
    assert f"system:serviceaccount:peat:{objects.pod['serviceAccountName']}" in GUIDE
    labels = objects.headless["metadata"]["name"]
    assert f"kubernetes.io/service-name={labels}" in GUIDE
    for words in cluster_commands():
        if words[0] == "docker":
            assert objects.container["image"] in words


def test_every_other_command_is_known() -> None:
    programs = {words[0] for words in cluster_commands()}
    assert programs == {"docker", "helm", "k3d", "kubectl", "peat", "peat-relay", "peatd"}
    for words in cluster_commands():
        if words[0] == "peatd":
            file = str(ROOT / "LICENSE")
            command = [file if word == "secret" else word for word in words] + ["--print-config"]
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert 'node_id = "edge-1"' in shown
        if words[0] == "peat-relay":
            known = subprocess.run(["peat-relay", "--help"], capture_output=True, text=True, check=True).stdout
            assert all(word in known for word in words if word.startswith("--"))


def test_the_readme_installs_it_in_the_same_way() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = (line for line in readme.splitlines() if line.startswith("helm "))
    assert command in "".join(blocks(GUIDE, "sh")).splitlines()
