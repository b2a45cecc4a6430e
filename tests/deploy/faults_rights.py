"""What the nodes may do, and that it is they who may."""

from collections.abc import Iterator

from deploy.chart import Json
from deploy.objects import Objects

RULES = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}]


def rights_faults(objects: Objects) -> Iterator[str]:
    pod = objects.pod
    if pod["automountServiceAccountToken"] is not objects.asks_kubernetes:
        yield "the token is mounted where it is not needed, or not where it is"
    for account in objects.of("ServiceAccount"):
        if pod["serviceAccountName"] != account["metadata"]["name"]:
            yield f"the pods run as {pod['serviceAccountName']}, the account is {account['metadata']['name']}"
        if account["automountServiceAccountToken"] is not False:
            yield "other pods of the account get a token unasked"
    roles, bindings = objects.of("Role"), objects.of("RoleBinding")
    if len(roles) != len(bindings) or (roles and not objects.asks_kubernetes):
        yield f"{len(roles)} Roles and {len(bindings)} bindings"
    watched = objects.environment.get("PEAT_NAMESPACE", objects.namespace)
    for role, binding in zip(roles, bindings, strict=False):
        yield from _role_faults(role, watched)
        yield from _binding_faults(binding, role, objects)


def _role_faults(role: Json, watched: str) -> Iterator[str]:
    if role["rules"] != RULES:
        yield f"the Role allows {role['rules']}, and must allow exactly {RULES}"
    if role["metadata"]["namespace"] != watched:
        yield f"the Role is for {role['metadata']['namespace']}, and {watched} is watched"


def _binding_faults(binding: Json, role: Json, objects: Objects) -> Iterator[str]:
    if binding["metadata"]["namespace"] != role["metadata"]["namespace"]:
        yield "the binding is in another namespace than its Role"
    name = role["metadata"]["name"]
    if binding["roleRef"] != {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}:
        yield f"the binding binds {binding['roleRef']}"
    who = {"kind": "ServiceAccount", "name": objects.pod["serviceAccountName"], "namespace": objects.namespace}
    if binding["subjects"] != [who]:
        yield f"the binding is for {binding['subjects']}, the pods run as {who}"
