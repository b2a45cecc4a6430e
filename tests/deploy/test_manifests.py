"""What lies rendered in the repository is what the chart gives, and stands on its own."""

import subprocess
import sys

from deploy.chart import ROOT, parse, render
from deploy.faults import faults
from deploy.objects import Objects

MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))


def test_manifests_and_table_are_what_the_chart_gives() -> None:
    done = subprocess.run([sys.executable, ROOT / "deploy/render.py", "--check"], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_the_manifests_are_the_objects_of_the_chart() -> None:
    documents = [document for path in MANIFESTS for document in parse(path.read_text(encoding="utf-8"))]
    assert faults(documents) == []
    charted = render({"formation": {"existingSecret": "peat-mesh-formation"}})
    for one in charted:
        labels = one["metadata"]["labels"]
        del labels["app.kubernetes.io/managed-by"], labels["helm.sh/chart"]
    names = [(one["kind"], one["metadata"]["name"]) for one in documents]
    assert len(names) == len(set(names))
    expected = {(one["kind"], one["metadata"]["name"]): one for one in charted if one["kind"] != "Pod"}
    assert {(one["kind"], one["metadata"]["name"]): one for one in documents} == expected


def test_they_contain_no_secret_and_name_the_one_to_make() -> None:
    documents = [document for path in MANIFESTS for document in parse(path.read_text(encoding="utf-8"))]
    objects = Objects(documents)
    assert objects.of("Secret") == []
    (secret,) = (one["secret"] for one in objects.pod["volumes"] if one["name"] == "formation-secret")
    guide = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    assert (
        f"kubectl --namespace peat create secret generic {secret['secretName']} --from-file=formation-secret=" in guide
    )
