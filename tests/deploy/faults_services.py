"""The Services: which pods they select, on which ports, and which of them discovery finds."""

from collections.abc import Iterator

from deploy.chart import Json
from deploy.objects import Objects, matches
from fakes.endpointslices import selects


def service_faults(objects: Objects) -> Iterator[str]:
    for service in objects.of("Service"):
        name = service["metadata"]["name"]
        if service["spec"]["selector"] != objects.nodes:
            yield f"Service {name} does not select exactly the nodes"
        for port in service["spec"]["ports"]:
            if port["name"] != port["targetPort"] or port["targetPort"] not in objects.ports:
                yield f"Service {name} hands {port['name']} on to {port['targetPort']}"
            if port["protocol"] != "TCP":
                yield f"Service {name}: {port['name']} is not of TCP"
        labels = service["metadata"]["labels"]
        if labels.get("app.kubernetes.io/component") not in ("mesh", "api", "external"):
            yield f"Service {name} is for nothing"
    yield from _headless_faults(objects)
    yield from _api_faults(objects)
    for service in objects.services("external"):
        yield from _external_faults(service)
    yield from _discovery_faults(objects)


def _headless_faults(objects: Objects) -> Iterator[str]:
    spec = objects.headless["spec"]
    if spec["clusterIP"] != "None" or spec["type"] != "ClusterIP":
        yield "the mesh's Service is not headless"
    if spec["publishNotReadyAddresses"] is not True:
        yield "unready nodes are not listed: a cold start waits for itself"
    if [(port["name"], port["port"], port["appProtocol"]) for port in spec["ports"]] != [
        ("peat", objects.ports["peat"], "tls")
    ]:
        yield f"the mesh's Service has the ports {spec['ports']}"


def _api_faults(objects: Objects) -> Iterator[str]:
    spec = objects.api["spec"]
    if spec["type"] != "ClusterIP" or spec.keys() & {"clusterIP", "publishNotReadyAddresses"}:
        yield "the API's Service is not an ordinary one"
    wanted = {"http": "http", "clients": "kubernetes.io/ws"}
    ports = {port["name"]: (port["port"], port["appProtocol"]) for port in spec["ports"]}
    if ports != {name: (objects.ports[name], wanted[name]) for name in objects.ports.keys() - {"peat"}}:
        yield f"the API's Service has the ports {spec['ports']}"


def _external_faults(service: Json) -> Iterator[str]:
    spec = service["spec"]
    if spec["type"] not in ("NodePort", "LoadBalancer") or "clusterIP" in spec:
        yield "the external Service does not lead outside"
    if spec["externalTrafficPolicy"] not in ("Cluster", "Local"):
        yield "the external Service's traffic goes nowhere"
    if [(port["name"], port["appProtocol"]) for port in spec["ports"]] != [("peat", "tls")]:
        yield f"the external Service has the ports {spec['ports']}"


def _discovery_faults(objects: Objects) -> Iterator[str]:
    """A Service hands its labels on to its slices: whose do the nodes find?"""
    if objects.asks_kubernetes and not is_operators_own(objects):
        found = [one["metadata"]["name"] for one in objects.of("Service") if is_discovered(objects, one)]
        if found != [objects.headless["metadata"]["name"]]:
            yield f"discovery finds the slices of {found}, not of the headless Service alone"
    if any(matches(objects.nodes, pod["metadata"]["labels"]) for pod in objects.of("Pod")):
        yield "the test's pod is taken for a node"


def is_discovered(objects: Objects, service: Json) -> bool:
    """Whether these nodes would take the pods of that Service for peers, were its slices where they look."""
    slice_ = {"metadata": {"namespace": objects.namespace, "labels": service["metadata"]["labels"]}}
    return selects(slice_, objects.namespace, objects.environment["PEAT_LABEL_SELECTOR"])


def is_operators_own(objects: Objects) -> bool:
    """Whether the operator chose another selector, which is not this release's affair."""
    return "app.kubernetes.io/instance=" not in objects.environment["PEAT_LABEL_SELECTOR"]
