"""What holds of every object, whatever it is for."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import kubernetes_validate
from deploy.chart import Json
from deploy.objects import Objects

API_VERSIONS = {
    "ConfigMap": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Pod": "v1",
    "PodDisruptionBudget": "policy/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "Secret": "v1",
    "Service": "v1",
    "ServiceAccount": "v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "StatefulSet": "apps/v1",
}
"""All that may be made. No schema minds another version: it is not found, and that is a warning."""

IDENTITY = ("app.kubernetes.io/name", "app.kubernetes.io/instance")

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")
_LONGEST = 63
_KEYS = {"env": "name", "volumes": "name", "volumeMounts": "mountPath", "containers": "name", "ports": "name"}
"""Lists that the API server keeps as maps: by which key. A key that stands twice is an error there."""


def shape_faults(objects: Objects) -> Iterator[str]:
    seen = set()
    for one in objects.documents:
        name = f"{one['kind']} {one['metadata']['name']}"
        if API_VERSIONS.get(one["kind"]) != one["apiVersion"]:
            yield f"{name} is of {one['apiVersion']}"
        if name in seen:
            yield f"{name} is there twice"
        seen.add(name)
        yield from _metadata_faults(name, one, objects)
        yield from _repetitions(name, one)
        unknown = {"apiVersion", "kind", "metadata", *_body(one["kind"])}
        if not one.keys() <= unknown:
            yield f"{name} has fields that are unknown: {one.keys() - unknown}"


def schema_faults(documents: Sequence[Json], version: str) -> Iterator[str]:
    """What the API server's schemas say, unknown fields included."""
    for one in documents:
        if one["kind"] == "ServiceMonitor":
            continue  # of the Prometheus operator: its fields are checked where they mean something
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            yield f"{one['kind']} {one['metadata'].get('name')}: {'.'.join(map(str, wrong.path))}: {wrong.message}"
        except kubernetes_validate.SchemaNotFoundError as wrong:
            yield wrong.message


def _metadata_faults(name: str, one: Json, objects: Objects) -> Iterator[str]:
    metadata = one["metadata"]
    pattern = _SERVICE_NAME if one["kind"] in ("Service", "StatefulSet") else _NAME
    if not pattern.fullmatch(metadata["name"]) or len(metadata["name"]) > _LONGEST:
        yield f"{name} cannot be called so"
    if not metadata["namespace"]:
        yield f"{name} is in no namespace"
    elif metadata["namespace"] != objects.namespace and one["kind"] not in ("Role", "RoleBinding"):
        yield f"{name} is in another namespace than the nodes"
    labels = metadata["labels"]
    for key in IDENTITY:
        if labels[key] != objects.nodes[key]:
            yield f"{name} does not say whose it is"
    for key, value in labels.items():
        if not isinstance(value, str) or not _LABEL.fullmatch(value) or len(value) > _LONGEST:
            yield f"{name} has the label {key}={value!r}, which is none"
    if metadata.keys() - {"name", "namespace", "labels", "annotations"}:
        yield f"{name} has metadata that are unknown"


def _repetitions(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            by = _KEYS.get(key)
            if by is not None and isinstance(inner, list):
                keys = [item[by] for item in inner if isinstance(item, dict) and by in item]
                if len(keys) != len(set(keys)):
                    yield f"{name} has {key} twice: {keys}"
            yield from _repetitions(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _repetitions(name, inner)


def _body(kind: str) -> set[str]:
    """The fields of an object beside its metadata that this chart uses."""
    return {
        "ConfigMap": {"data"},
        "Secret": {"data", "type"},
        "ServiceAccount": {"automountServiceAccountToken"},
        "Role": {"rules"},
        "RoleBinding": {"roleRef", "subjects"},
    }.get(kind, {"spec"})
