"""The values: each is in the schema, in the table and in effect; and what helm says once they are installed."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.chart import CHART, NAMESPACE, RELEASE, Json, Refused, render, tool, with_secret
from deploy.objects import Objects
from deploy.permutations import VALUES

DEFAULTS: Json = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: Json = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

WITHOUT_DEFAULT = {"global", "resources.claims"} | {
    f"probes.{probe}.initialDelaySeconds" for probe in ("startup", "liveness", "readiness")
}


def known(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every value that the schema knows by name, down to those that are whatever Kubernetes has there."""
    for name, inner in schema.get("properties", {}).items():
        where = f"{path}.{name}".removeprefix(".")
        yield where, inner
        yield from known(inner, where)


def at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[name]
    return values


def test_the_schema_knows_exactly_the_values_that_there_are() -> None:
    """The other direction is helm's: an unknown value is refused."""
    missing = set()
    for path, _ in known(SCHEMA):
        try:
            at(DEFAULTS, path)
        except KeyError:
            missing.add(path)
    assert missing == WITHOUT_DEFAULT


def test_no_object_of_the_schema_takes_what_it_does_not_know() -> None:
    loose = {path for path, inner in known(SCHEMA) if "properties" in inner and inner["additionalProperties"]}
    assert SCHEMA["additionalProperties"] is False
    assert loose == set()


@pytest.mark.parametrize("path", [path for path, inner in known(SCHEMA) if "properties" not in inner])
def test_no_value_is_without_effect(path: str) -> None:
    """Some permutation chooses it, and what is rendered is not what its default gives."""
    if path in ("global", "resources.claims"):
        return  # nothing here reads the one, and Kubernetes alone the other
    for values in VALUES.values():
        try:
            at(values, path)
        except (KeyError, TypeError):
            continue
        try:
            rest = render(without(values, path.split(".")))
        except Refused:
            return  # what is chosen beside it would have no effect
        if rest != render(values):
            return
    pytest.fail(f"no permutation shows what {path} does")


def without(values: Json, names: list[str]) -> Json:
    first, *rest = names
    if not rest:
        return {name: value for name, value in values.items() if name != first}
    return {**values, first: without(values[first], rest)}


@pytest.mark.parametrize(
    "name", ["default", "existing secret", "no clients", "clients from somewhere", "load balancer", "named"]
)
def test_the_notes_name_what_is_there(name: str, tmp_path: Path) -> None:
    values = with_secret(VALUES[name])
    command = [tool("helm"), "install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--dry-run=client"]
    notes = subprocess.run(
        [*command, "--values", "-"],
        input=json.dumps(values),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\nNOTES:\n")[1]
    objects = Objects(render(VALUES[name]))
    workload = objects.workload["metadata"]["name"]
    assert set(re.findall(r"statefulset/(\S+)", notes)) == {workload}
    assert set(re.findall(r"exec (\S+)", notes)) == {f"{workload}-0"}
    services = {one["metadata"]["name"] for one in objects.of("Service")}
    assert set(re.findall(r"get service (\S+)", notes)) <= services
    urls = set(re.findall(r"(?:http|ws)://(\S+)\.peat:(\d+)", notes))
    assert urls == {(objects.api["metadata"]["name"], str(port["port"])) for port in objects.api["spec"]["ports"]}
    assert f"test {RELEASE}" in notes
