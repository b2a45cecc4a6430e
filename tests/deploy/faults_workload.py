"""The StatefulSet: what a node is started with, and how it is kept."""

import base64
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from deploy.chart import Json
from deploy.objects import Objects, port_of

from peatd.config import DEFAULT_FILE
from peatd.errors import ConfigError
from peatd.formation import parse_formation_secret

USER = 65532
STOP_WITHIN = 5.0
"""Seconds that an orderly stop takes at most, by contract, once the drain's delay is over."""

PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/api/v1/ready"}
SECRET_MODE = 0o440
"""The kubelet mounts it as root's and the group's: the node reads it as one of the group, and nobody writes it."""

SLOWEST_START = 60
"""Seconds that a large store may take to be read, at the least."""


def workload_faults(objects: Objects) -> Iterator[str]:
    spec, pod = objects.workload["spec"], objects.pod
    if spec["podManagementPolicy"] != "Parallel":
        yield "nodes wait for each other"
    if spec["updateStrategy"] != {"type": "RollingUpdate"}:
        yield "an update is not rolled out"
    if spec["serviceName"] != objects.headless["metadata"]["name"]:
        yield "serviceName is not the headless Service: pods have no names"
    if not objects.nodes.items() <= objects.template["metadata"]["labels"].items():
        yield "the selector does not select the pods"
    if objects.nodes.keys() != {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}:
        yield "the selector is not what tells the nodes of one release from all else"
    grace, delay = pod["terminationGracePeriodSeconds"], float(objects.environment["PEAT_DRAIN_DELAY"])
    if grace <= delay + STOP_WITHIN:
        yield f"killed after {grace} s, while it drains: that takes {delay + STOP_WITHIN:g}"
    if pod["enableServiceLinks"] is not False:
        yield "Services of the namespace could set settings"
    yield from _spread_faults(objects)
    yield from _security_faults(objects.pod, objects.container)
    yield from _probe_faults(objects)
    yield from _port_faults(objects)
    yield from _volume_faults(objects)
    yield from _test_faults(objects)


def _spread_faults(objects: Objects) -> Iterator[str]:
    for constraint in objects.pod.get("topologySpreadConstraints", []):
        if constraint["labelSelector"] != {"matchLabels": objects.nodes}:
            yield "the spread counts other pods than the nodes"
        if constraint["maxSkew"] < 1 or constraint["whenUnsatisfiable"] not in ("DoNotSchedule", "ScheduleAnyway"):
            yield "the spread is none"


def _security_faults(pod: Json, container: Json) -> Iterator[str]:
    """The restricted profile of the Pod Security Standards, a read-only root, and the image's user."""
    wanted = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER}
    context = pod["securityContext"]
    if {key: context.get(key) for key in wanted} != wanted or context["seccompProfile"] != {"type": "RuntimeDefault"}:
        yield f"the pod is not restricted: {context}"
    if context["fsGroupChangePolicy"] != "OnRootMismatch":
        yield "every start walks through the volume"
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    if container["securityContext"] != wanted:
        yield f"the container is not restricted: {container['securityContext']}"
    if {"hostNetwork", "hostPID", "hostIPC"} & pod.keys() or any("hostPath" in one for one in pod.get("volumes", [])):
        yield "the pod uses its host"


def _probe_faults(objects: Objects) -> Iterator[str]:
    for name, path in PROBES.items():
        probe = objects.container[name]
        if probe["httpGet"] != {"path": path, "port": "http"}:
            yield f"{name} asks {probe['httpGet']}"
        if not 1 <= probe["timeoutSeconds"] <= 10 or not 1 <= probe["periodSeconds"] <= 30:
            yield f"{name} does not look in time"
        if probe["failureThreshold"] < 2:
            yield f"{name} takes one slow answer for the end"
    start = objects.container["startupProbe"]
    if start["periodSeconds"] * start["failureThreshold"] < SLOWEST_START:
        yield "a large store would never be read to its end"


def _port_faults(objects: Objects) -> Iterator[str]:
    environment = objects.environment
    wanted = {"peat": port_of(environment["PEAT_BIND"]), "http": port_of(environment["PEAT_API_BIND"])}
    if "PEAT_CLIENTS_BIND" in environment:
        wanted["clients"] = port_of(environment["PEAT_CLIENTS_BIND"])
    if objects.ports != wanted:
        yield f"the ports are {objects.ports}, and the node listens on {wanted}"
    if any(port["protocol"] != "TCP" for port in objects.container["ports"]):
        yield "a port is not of TCP"


def _volume_faults(objects: Objects) -> Iterator[str]:
    pod, environment = objects.pod, objects.environment
    claims = {claim["metadata"]["name"] for claim in objects.workload["spec"]["volumeClaimTemplates"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount for mount in objects.container["volumeMounts"]}
    if mounts.keys() != volumes.keys() | claims or claims & volumes.keys():
        yield f"mounted: {sorted(mounts)}, there: {sorted([*volumes, *claims])}"
    if claims != {"data"} or mounts["data"] != {"name": "data", "mountPath": environment["PEAT_DATA_DIR"]}:
        yield "the data directory is not on the node's volume"
    for name in ("formation-secret", *({"config"} & volumes.keys())):
        if mounts[name].get("readOnly") is not True:
            yield f"{name} can be written"
    yield from _secret_faults(objects, volumes["formation-secret"]["secret"], mounts["formation-secret"])
    if "config" in volumes:
        yield from _config_faults(objects, volumes["config"], mounts["config"])


def _secret_faults(objects: Objects, volume: Json, mount: Json) -> Iterator[str]:
    """From the variable to the bytes: the file, the mount, the key, the Secret, the secret in it."""
    if volume["defaultMode"] != SECRET_MODE:
        yield f"the secret has the mode {volume['defaultMode']:o}"
    (item,) = volume["items"]
    file = PurePosixPath(mount["mountPath"]) / item["path"]
    if str(file) != objects.environment["PEAT_FORMATION_SECRET_FILE"]:
        yield f"the secret is mounted as {file}"
    for secret in objects.of("Secret"):
        if secret["metadata"]["name"] != volume["secretName"] or secret["type"] != "Opaque":
            yield "the Secret is not the one that is mounted"
        elif secret["data"].keys() != {item["key"]}:
            yield f"the Secret has {list(secret['data'])}, mounted is {item['key']}"
        else:
            yield from _text_faults(base64.b64decode(secret["data"][item["key"]], validate=True).decode())


def _text_faults(text: str) -> Iterator[str]:
    try:
        parse_formation_secret(text, "the Secret")
    except ConfigError as wrong:
        yield str(wrong)


def _config_faults(objects: Objects, volume: Json, mount: Json) -> Iterator[str]:
    map_ = objects.one("ConfigMap")
    if volume != {"name": "config", "configMap": {"name": map_["metadata"]["name"]}}:
        yield "the ConfigMap is not the one that is mounted"
    (key,) = map_["data"]
    if PurePosixPath(mount["mountPath"]) / key != PurePosixPath(DEFAULT_FILE):
        yield f"peatd does not look for {mount['mountPath']}/{key}"


def _test_faults(objects: Objects) -> Iterator[str]:
    """`helm test` asks the Service and each pod, by names that exist."""
    for test in objects.of("Pod"):
        annotations: dict[str, Any] = test["metadata"]["annotations"]
        if not objects.labels_of("test").items() <= test["metadata"]["labels"].items():
            yield "the network policy does not know the test's pod"
        if annotations.get("helm.sh/hook") != "test":
            yield "the test's pod would be a part of the release"
        if annotations.get("helm.sh/hook-delete-policy") != "before-hook-creation,hook-succeeded":
            yield "a second test would meet the first one's pod"
        (container,) = test["spec"]["containers"]
        yield from _security_faults(test["spec"], container)
        if container["image"] != objects.container["image"] or test["spec"]["restartPolicy"] != "Never":
            yield "the test runs something else, or for ever"
        if test["spec"]["automountServiceAccountToken"] is not False or test["spec"]["enableServiceLinks"] is not False:
            yield "the test is given what it does not need"
        if container["command"] != ["sh", "-euc"] or 'peat ready --api "http://$host"' not in container["args"][0]:
            yield "the test tests nothing"
        port = objects.ports["http"]
        api, headless = objects.api["metadata"]["name"], objects.headless["metadata"]["name"]
        name, replicas = objects.workload["metadata"]["name"], objects.workload["spec"]["replicas"]
        hosts = [api, *(f"{name}-{ordinal}.{headless}" for ordinal in range(replicas))]
        if container["args"][1:] != ["peat", *(f"{host}:{port}" for host in hosts)]:
            yield f"the test asks {container['args'][1:]}"
