"""Who watches the watchers: every field of every object is broken in turn, and the assertions have to notice.

Broken is a field that is gone, or has another value. What may be changed without harm is listed, each with its reason;
an entry that matches no field, or whose change is noticed after all, is an error too.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deploy.chart import CHART, Json, Refused, merged, render
from deploy.faults import faults
from deploy.faults_shape import API_VERSIONS, schema_faults

NEWEST = "1.37"
SOMEBODY = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]

RENDERS: dict[str, Json] = {
    "inside": {
        "serviceMonitor": {"enabled": True},
        "config": "[[peers]]\naddress = 'edge:11204'\n",
        "networkPolicy": {"meshFrom": SOMEBODY, "apiFrom": SOMEBODY},
    },
    "outside": {"mesh": {"external": {"enabled": True}}, "discovery": {"namespace": "elsewhere"}},
}
"""Values that together give every object."""

HARMLESS: dict[str, str] = {
    r".*\.metadata\.labels\.(app\.kubernetes\.io/(version|managed-by)|helm\.sh/chart)": "for people",
    r"(StatefulSet|ConfigMap|Role|RoleBinding|NetworkPolicy|PodDisruptionBudget)\.metadata\.labels\."
    r"app\.kubernetes\.io/component": "for people",
    r"(NetworkPolicy|Pod|PodDisruptionBudget|RoleBinding|ServiceMonitor)\.metadata\.name": "nobody refers to it",
    r"Service\.peat-mesh-external\.metadata\.name": "nobody in the cluster refers to it",
    r"StatefulSet\.spec\.template\.metadata\.annotations(\.checksum/.*)?": "it has to change: test_render.py",
    r"StatefulSet\.spec\.persistentVolumeClaimRetentionPolicy.*": "the operator's choice",
    r"StatefulSet\.spec\.template\.spec\.topologySpreadConstraints.*": "the operator's choice",
    r"StatefulSet\.spec\.template\.spec\.terminationGracePeriodSeconds": "longer is harmless",
    r"(StatefulSet\.spec\.template|Pod)\.spec\.containers\.0\.(name|imagePullPolicy)": "harmless",
    r"(StatefulSet\.spec\.template|Pod)\.spec\.containers\.0\.resources.*": "the operator's choice",
    r"StatefulSet\.spec\.template\.spec\.containers\.0\.\w+Probe\.\w+(Seconds|Threshold)": "bounds are checked",
    r"StatefulSet\.spec\.volumeClaimTemplates\.0\.(metadata\.labels.*|spec.*)": "the operator's choice",
    r"Service\.peat-mesh-external\.spec\.(ports\.0\.port|externalTrafficPolicy)": "the operator's choice",
    r"PodDisruptionBudget\.spec\.maxUnavailable": "the operator's choice",
    r"NetworkPolicy\.spec\.ingress\.\d\.from\.1.*": "the operator's choice",
    r"NetworkPolicy\.spec\.ingress\.1\.from": "all may reach the API: it has a token",
    r"Pod\.spec\.containers\.0\.args\.0": "the script is run by test_nodes.py",
    r"ServiceMonitor\.spec\.endpoints\.0\.interval": "the operator's choice",
    r"ConfigMap\.data\.config\.toml": "the operator's own",
}


def name(document: Json) -> str:
    kind = document["kind"]
    return f"{kind}.{document['metadata']['name']}" if kind == "Service" else kind


def mutations(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every way to break one field: where, and what stands there instead."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key} is gone", {other: value[other] for other in value if other != key}
            for where, broken in mutations(inner, f"{path}.{key}"):
                yield where, {**value, key: broken}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield f"{path}.{index} is gone", [*value[:index], *value[index + 1 :]]
            for where, broken in mutations(inner, f"{path}.{index}"):
                yield where, [*value[:index], broken, *value[index + 1 :]]
    elif isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        yield path, value + 1
    elif isinstance(value, str):
        yield path, f"{value}x"


def all_mutations(documents: list[Json]) -> Iterator[tuple[str, bool]]:
    """Each mutation of the render, and whether it is noticed."""
    for index, one in enumerate(documents):
        for where, broken in mutations(one, name(one)):
            mutated = [*documents[:index], broken, *documents[index + 1 :]]
            yield where, bool(faults(mutated)) or any(schema_faults([broken], NEWEST))


def why_harmless(where: str) -> str | None:
    path = where.removesuffix(" is gone")
    return next((pattern for pattern in HARMLESS if re.fullmatch(pattern, path)), None)


@pytest.mark.parametrize("values", RENDERS.values(), ids=RENDERS)
def test_whatever_is_broken_is_noticed(values: Json) -> None:
    documents = render(values)
    assert faults(documents) == []
    unnoticed = [where for where, noticed in all_mutations(documents) if not noticed and why_harmless(where) is None]
    assert not unnoticed, "\n".join(unnoticed)


def test_what_is_called_harmless_is_there_and_goes_unnoticed() -> None:
    found = [mutation for values in RENDERS.values() for mutation in all_mutations(render(values))]
    assert len(found) > 1000
    assert {why_harmless(where) for where, noticed in found if not noticed} == HARMLESS.keys()


def test_every_kind_of_object_is_broken() -> None:
    assert {one["kind"] for values in RENDERS.values() for one in render(values)} == API_VERSIONS.keys()


TEMPLATES: list[tuple[str, str, str]] = [
    ("service-headless.yaml", "- name: peat", "- name: mesh"),
    ("service-headless.yaml", "targetPort: peat", "targetPort: http"),
    ("service-headless.yaml", "clusterIP: None\n", "\n"),
    ("service-headless.yaml", "publishNotReadyAddresses: true", "publishNotReadyAddresses: false"),
    ("service-headless.yaml", "app: peat-mesh", "app: peat"),
    ("service-headless.yaml", "appProtocol: tls", "appProtocol: http"),
    ("service-headless.yaml", 'include "peat-mesh.nodes"', 'include "peat-mesh.labels"'),
    ("service.yaml", "targetPort: http", "targetPort: 8080"),
    ("service.yaml", "component: api", "component: api\n    app: peat-mesh"),
    ("service.yaml", 'include "peat-mesh.nodes"', 'include "peat-mesh.identity"'),
    ("service-external.yaml", "targetPort: peat", "targetPort: clients"),
    ("statefulset.yaml", "- name: peat\n", "- name: mesh\n"),
    ("statefulset.yaml", "containerPort: {{ .Values.mesh.port }}", "containerPort: 4001"),
    ("statefulset.yaml", "path: /api/v1/ready", "path: /ready"),
    ("statefulset.yaml", "path: /livez", "path: /healthz"),
    ("statefulset.yaml", "port: http", "port: peat"),
    ("statefulset.yaml", 'include "peat-mesh.headless"', 'include "peat-mesh.fullname"'),
    ("statefulset.yaml", "serviceAccountName:", "serviceAccount:"),
    ("statefulset.yaml", 'include "peat-mesh.serviceAccountName"', 'include "peat-mesh.headless"'),
    ("statefulset.yaml", "mountPath: /data", "mountPath: /var/lib/peat"),
    ("statefulset.yaml", "mountPath: /var/run/secrets/peat", "mountPath: /etc/secrets"),
    ("statefulset.yaml", 'include "peat-mesh.secretName"', 'include "peat-mesh.fullname"'),
    ("statefulset.yaml", "defaultMode: 0440", "defaultMode: 0400"),
    ("statefulset.yaml", "path: formation-secret", "path: secret"),
    ("statefulset.yaml", "podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady"),
    ("statefulset.yaml", "enableServiceLinks: false", "enableServiceLinks: true"),
    ("role.yaml", "[discovery.k8s.io]", '[""]'),
    ("role.yaml", "[endpointslices]", "[endpoints]"),
    ("role.yaml", "[list, watch]", "[list]"),
    ("role.yaml", "[list, watch]", "[get, list, watch]"),
    ("role.yaml", "kind: Role", "kind: ClusterRole"),
    ("rolebinding.yaml", "kind: Role\n", "kind: ClusterRole\n"),
    ("rolebinding.yaml", "  apiGroup: rbac.authorization.k8s.io", '  apiGroup: ""'),
    ("rolebinding.yaml", "-discovery\nsubjects", "\nsubjects"),
    ("rolebinding.yaml", "    namespace: {{ .Release.Namespace | quote }}\n", "    namespace: default\n"),
    ("rolebinding.yaml", 'name: {{ include "peat-mesh.serviceAccountName" . | quote }}', "name: default"),
    ("secret.yaml", "  formation-secret:", "  secret:"),
    ("secret.yaml", " | b64enc", ""),
    ("poddisruptionbudget.yaml", 'include "peat-mesh.nodes"', 'include "peat-mesh.labels"'),
    ("networkpolicy.yaml", 'include "peat-mesh.nodes"', 'include "peat-mesh.probe"'),
    ("networkpolicy.yaml", "port: {{ $.Values.mesh.port }}", "port: 4001"),
    ("networkpolicy.yaml", 'include "peat-mesh.probe"', 'include "peat-mesh.nodes"'),
    ("servicemonitor.yaml", "port: http", "port: metrics"),
    ("servicemonitor.yaml", "component: api", "component: mesh"),
    ("tests/ready.yaml", 'include "peat-mesh.headless"', 'include "peat-mesh.fullname"'),
    ("_helpers.tpl", "app.kubernetes.io/instance: {{ .Release.Name | quote }}\n", ""),
    ("_helpers.tpl", "add (ceil .Values.drainDelay) 25", "30"),
    ("_helpers.tpl", "runAsUser: 65532", "runAsUser: 0"),
    ("_settings.tpl", '"data_dir" "/data"', '"data_dir" "/var/lib/peat"'),
    ("_settings.tpl", '"port" $values.api.port', '"port" $values.mesh.port'),
]
"""A template, what stands in it, and a mistake that somebody could make there."""


@pytest.mark.parametrize(("template", "right", "wrong"), TEMPLATES)
def test_a_mistake_in_a_template_is_noticed(template: str, right: str, wrong: str, tmp_path: Path) -> None:
    broken = tmp_path / "peat-mesh"
    shutil.copytree(CHART, broken)
    file = broken / "templates" / template
    text = file.read_text(encoding="utf-8")
    assert right in text
    file.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    try:
        documents = render({**merged(*RENDERS.values()), "drainDelay": 60}, chart=broken)
    except Refused:
        return  # helm itself noticed
    assert faults(documents) or list(schema_faults(documents, NEWEST))
