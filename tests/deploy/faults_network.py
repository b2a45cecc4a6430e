"""Who gets through to the nodes, how many may be away, and who scrapes them."""

from collections.abc import Iterator

from deploy.chart import Json
from deploy.objects import Objects, matches


def network_faults(objects: Objects) -> Iterator[str]:
    for policy in objects.of("NetworkPolicy"):
        yield from _policy_faults(policy["spec"], objects)
    for budget in objects.of("PodDisruptionBudget"):
        yield from _budget_faults(budget["spec"], objects)
    for monitor in objects.of("ServiceMonitor"):
        yield from _monitor_faults(monitor, objects)


def _policy_faults(spec: Json, objects: Objects) -> Iterator[str]:
    if spec["podSelector"] != {"matchLabels": objects.nodes} or spec["policyTypes"] != ["Ingress"]:
        yield "the policy is not for what comes in to the nodes"
    rules: dict[int, Json] = {}
    for rule in spec["ingress"]:
        (port,) = rule["ports"]
        if port.keys() != {"port", "protocol"} or port["protocol"] != "TCP" or rule.keys() - {"ports", "from"}:
            yield f"the policy has the rule {rule}"
        rules[port["port"]] = rule
    if rules.keys() != set(objects.ports.values()):
        yield f"the policy is for the ports {sorted(rules)}, the nodes have {sorted(objects.ports.values())}"
    mesh, api = rules[objects.ports["peat"]], rules[objects.ports["http"]]
    if "from" not in mesh:
        if not objects.services("external"):
            yield "everybody reaches the mesh's port, and nobody asked for it"
    elif {"podSelector": {"matchLabels": objects.nodes}} not in mesh["from"]:
        yield "the nodes do not reach each other"
    if "from" in api and {"podSelector": {"matchLabels": objects.labels_of("test")}} not in api["from"]:
        yield "`helm test` does not reach the nodes"


def _budget_faults(spec: Json, objects: Objects) -> Iterator[str]:
    if spec["selector"] != {"matchLabels": objects.nodes}:
        yield "the budget counts other pods than the nodes"
    if spec.keys() != {"selector", "maxUnavailable", "unhealthyPodEvictionPolicy"}:
        yield f"the budget has {sorted(spec)}"
    if spec["unhealthyPodEvictionPolicy"] != "AlwaysAllow":
        yield "a node that is not ready keeps a machine from being drained"


def _monitor_faults(monitor: Json, objects: Objects) -> Iterator[str]:
    spec = monitor["spec"]
    selector = objects.labels_of("api")
    if spec.keys() != {"selector", "endpoints"} or spec["selector"] != {"matchLabels": selector}:
        yield f"the monitor selects {spec['selector']}"
    if [one for one in objects.of("Service") if matches(selector, one["metadata"]["labels"])] != [objects.api]:
        yield "the monitor's selector is not the API's Service"
    (endpoint,) = spec["endpoints"]
    if endpoint.keys() != {"port", "path", "interval"} or (endpoint["port"], endpoint["path"]) != ("http", "/metrics"):
        yield f"the monitor scrapes {endpoint}"
