"""The chart, as helm renders it. `nox -s deploy` puts helm and kubectl on the path."""

import functools
import json
import shutil
import subprocess
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest
import yaml

from peatd.formation import new_formation_secret

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "peat-mesh"
NAMESPACE = "peat"
RELEASE = "peat-mesh"
SECRET = new_formation_secret()


class StrictLoader(yaml.CSafeLoader):
    """Refuses a key that stands twice, as an API server that validates strictly does; PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"keys that stand twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


class Refused(Exception):
    """Helm's error, in its words."""


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not on the path: these tests are run by `nox -s deploy`")
    return found


def helm(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run([tool("helm"), *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def render(
    values: Json | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE, chart: Path = CHART
) -> list[Json]:
    """The objects of a release.

    Args:
        values: beside the chart's own; without a word about the secret there is one.

    Raises:
        Refused: if the chart refuses them.
    """
    values = {"formation": {"secret": SECRET}} if values is None else with_secret(values)
    return parse(_template(release, str(chart), namespace, json.dumps(values)))  # JSON is YAML, too


@functools.cache
def _template(release: str, chart: str, namespace: str, values: str) -> str:
    return helm("template", release, chart, "--namespace", namespace, "--values", "-", stdin=values)


def parse(text: str) -> list[Json]:
    return [document for document in yaml.load_all(text, Loader=StrictLoader) if document]


def with_secret(values: Json) -> Json:
    formation = values.get("formation", {})
    if not {"secret", "existingSecret"} & formation.keys():
        formation = {**formation, "secret": SECRET}
    return {**values, "formation": formation}


def merged(one: Json, other: Json) -> Json:
    """Values that are chosen together; of two choices of the same the second counts."""
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            both[key] = merged(one[key], other[key])
    return both
