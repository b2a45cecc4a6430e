"""Every setting of peatd: what it means, in which unit, what it is by default and why. Sans-IO.

A setting is called alike everywhere: `poll_interval` in the file and in `Config` is `--poll-interval`. The order is
that of `--help` and `--print-config`.
"""

from pathlib import Path

from peatd.memory import LEAST_BYTES, MIB
from peatd.names import Address, NodeId, StaticPeer
from peatd.settings import relay_table
from peatd.settings.mesh import MAX_LINKS as MAX_LINKS
from peatd.settings.setting import Setting
from peatd.settings.values import (
    DemoPage,
    choice,
    parse_address,
    parse_annotation_prefix,
    parse_demo_page,
    parse_discovery,
    parse_label_selector,
    parse_name,
    parse_namespace,
    parse_node_id,
    parse_origin,
    parse_path,
    parse_paths,
    parse_peer,
    seconds,
    size,
    whole_number,
)

MESH_PORT = 11204
API_PORT = 8081
TEN_YEARS = 10 * 366 * 86_400.0
"""Longer is for ever, and more likely a slip of a unit."""

NODE_ID: Setting[NodeId] = Setting(
    name="node_id",
    metavar="NAME",
    variables=("PEAT_NODE_ID", "HOSTNAME"),
    parse=parse_node_id,
    meaning="what this node is called; its key is derived for this name",
    otherwise="the host's name",
    reason="in a pod that is the pod's name, which a StatefulSet keeps",
)
DATA_DIR: Setting[Path] = Setting(
    name="data_dir",
    metavar="DIR",
    variables=("PEAT_DATA_DIR",),
    parse=parse_path,
    meaning="directory of the store, the API's socket and its token",
    otherwise="/data in a cluster, else $XDG_STATE_HOME/peat or ~/.local/state/peat",
    reason="a volume's usual place, or where a user's programs keep their state (XDG)",
)
FORMATION: Setting[str] = Setting(
    name="formation",
    metavar="NAME",
    variables=("PEAT_FORMATION",),
    parse=parse_name,
    meaning="name of the formation; nodes of another name are refused",
    default="peat",
    reason="most have one formation only, the secret keeps strangers out",
)
FORMATION_SECRET_FILE: Setting[Path] = Setting(
    name="formation_secret_file",
    metavar="FILE",
    variables=("PEAT_FORMATION_SECRET_FILE",),
    parse=parse_path,
    meaning="the formation secret: base64 of 32 bytes; of several lines all are accepted and the first is used. "
    "Read again when it changes. PEAT_FORMATION_SECRET may hold the text instead",
    otherwise="made in the data directory at first start; required in a cluster",
    reason="alone on a machine it must just work; pods that each made one would never meet",
)
KEY_FILE: Setting[Path] = Setting(
    name="key_file",
    metavar="FILE",
    variables=("PEAT_KEY_FILE",),
    parse=parse_path,
    meaning="a key of this node's own, made by `peat keygen --out FILE`",
    otherwise="derived from the formation secret and the node's name",
    reason="a pod that is moved keeps its identity without a file",
)
DRAIN_DELAY: Setting[float] = Setting(
    name="drain_delay",
    metavar="SECONDS",
    variables=("PEAT_DRAIN_DELAY",),
    parse=seconds(0, 3600),
    meaning="how long it keeps serving, not ready, once it is asked to stop: until load balancers send nobody any more",
    default="0",
    reason="without a load balancer there is nothing to wait for; behind a Kubernetes Service a few seconds will do",
)
DISCOVERY: Setting[tuple[str, ...]] = Setting(
    name="discovery",
    metavar="MODE",
    variables=("PEAT_DISCOVERY",),
    parse=parse_discovery,
    meaning="how peers are found: auto, kubernetes, mdns, static, none, or several joined by commas",
    default="auto",
    reason="kubernetes where a service account or a kubeconfig is, else mdns; and static where peers are listed",
)
PEER: Setting[StaticPeer] = Setting(
    name="peer",
    metavar="[NAME@]HOST:PORT",
    variables=("PEAT_STATIC_PEERS",),
    parse=parse_peer,
    meaning="a peer to keep a link with (static discovery); HOST may be a DNS name; also [[peers]] tables in the "
    "file, with address, name and relay_url",
    otherwise="none",
    reason="nobody is contacted whom nobody named",
    repeatable=True,
)
NAMESPACE: Setting[str] = Setting(
    name="namespace",
    metavar="NS",
    variables=("PEAT_NAMESPACE",),
    parse=parse_namespace,
    meaning="Kubernetes namespace to watch",
    otherwise="the service account's, else default",
    reason="the Role of the chart covers its own namespace",
)
LABEL_SELECTOR: Setting[str] = Setting(
    name="label_selector",
    metavar="S",
    variables=("PEAT_LABEL_SELECTOR",),
    parse=parse_label_selector,
    meaning="which EndpointSlices list our peers",
    default="app=peat-mesh",
    reason="what the chart and upstream call the Service",
)
ANNOTATION_PREFIX: Setting[str] = Setting(
    name="annotation_prefix",
    metavar="P",
    variables=("PEAT_ANNOTATION_PREFIX",),
    parse=parse_annotation_prefix,
    meaning="annotations of an EndpointSlice under this prefix are its peers' metadata",
    default="peat.",
    reason="upstream's",
)
POLL_INTERVAL: Setting[float] = Setting(
    name="poll_interval",
    metavar="SECONDS",
    variables=("PEAT_POLL_INTERVAL",),
    parse=seconds(1, 3600),
    meaning="longest life of one watch, in seconds; then everything is listed again",
    default="30",
    reason="bounds how long a watch that went silent can hide a peer, at two requests a minute",
)
SERVICE_ACCOUNT_DIR: Setting[Path] = Setting(
    name="service_account_dir",
    metavar="DIR",
    variables=("PEAT_SERVICE_ACCOUNT_DIR",),
    parse=parse_path,
    meaning="where the service account's token, ca.crt and namespace lie",
    default="/var/run/secrets/kubernetes.io/serviceaccount",
    reason="where the kubelet mounts them",
)
KUBECONFIG: Setting[tuple[Path, ...]] = Setting(
    name="kubeconfig",
    metavar="FILE",
    variables=("KUBECONFIG",),
    parse=parse_paths,
    meaning="how to reach the API server from outside its cluster; several joined by ':'",
    otherwise="~/.kube/config if there",
    reason="kubectl's",
)
BIND: Setting[Address] = Setting(
    name="bind",
    metavar="ADDR:PORT",
    variables=("PEAT_BIND",),
    parse=parse_address,
    meaning="where the mesh listens; port 0 takes a free one",
    default=f"0.0.0.0:{MESH_PORT}",
    reason="peers come from other hosts, and only those with the formation secret get past the handshake",
    port_variable="PEAT_IROH_BIND_PORT",
)
API: Setting[Address] = Setting(
    name="api",
    metavar="ADDR:PORT",
    variables=("PEAT_API_BIND",),
    parse=parse_address,
    meaning="where the HTTP API and the probes listen; port 0 takes a free one",
    otherwise=f"127.0.0.1:{API_PORT}, in a cluster 0.0.0.0:{API_PORT}",
    reason="the kubelet probes from outside the pod; elsewhere the API is for this host",
    port_variable="PEAT_BROKER_PORT",
)
CLIENTS: Setting[Address] = Setting(
    name="clients",
    metavar="ADDR:PORT",
    variables=("PEAT_CLIENTS_BIND",),
    parse=parse_address,
    meaning="where Yjs clients connect; port 0 takes a free one. They need a token unless this is a loopback address",
    otherwise="off",
    reason="a port that nobody asked for stays closed",
)
CLIENT_ORIGIN: Setting[str] = Setting(
    name="client_origin",
    metavar="ORIGIN",
    variables=("PEAT_CLIENT_ORIGINS",),
    parse=parse_origin,
    meaning="pages that may connect, as https://app.example.org, or * for all; those of others are refused then, even "
    "with a token",
    otherwise="with a token any page, without one (on loopback) only pages of this host",
    reason="a page cannot guess a token, but any page can try 127.0.0.1",
    repeatable=True,
)
DEMO_PAGE: Setting[DemoPage] = Setting(
    name="demo_page",
    metavar="WHAT",
    variables=("PEAT_DEMO_PAGE",),
    parse=parse_demo_page,
    meaning="serve a small editor at /demo of the API: off; on, connected to this node's own --clients; or the "
    "listeners that it may connect to, as [NAME@]HOST:PORT joined by commas",
    default="off",
    reason="it is there to try things out, and everyone who reaches the API may load it",
)
ENGINE: Setting[str] = Setting(
    name="engine",
    metavar="NAME",
    variables=("PEAT_ENGINE",),
    parse=choice("y-py", "pycrdt"),
    meaning="CRDT engine: y-py or pycrdt",
    otherwise="y-py, or pycrdt where only that is installed",
    reason="y-py has no wheel for every platform",
)
TOMBSTONE_TTL: Setting[float] = Setting(
    name="tombstone_ttl",
    metavar="TIME",
    variables=("PEAT_TOMBSTONE_TTL",),
    parse=seconds(1, TEN_YEARS),
    meaning="how long a deleted document is remembered as such, by itself: as 7d, 12h, 30m, or in seconds. A node that "
    "was away for longer is told by its peers what was deleted meanwhile",
    default="7d",
    reason="nodes are rarely away for a week, and a deleted document takes a kilobyte until then",
)
ENGINE_WORKERS: Setting[int] = Setting(
    name="engine_workers",
    metavar="N",
    variables=("PEAT_ENGINE_WORKERS",),
    parse=whole_number(1, 64),
    meaning="engine processes; documents are spread over them",
    default="1",
    reason="one keeps up with a mesh of a few hundred edits a second; each costs memory",
)
MEMORY: Setting[int] = Setting(
    name="memory",
    metavar="SIZE",
    variables=("PEAT_MEMORY",),
    parse=size(LEAST_BYTES // MIB),
    meaning="how much memory the node and its engine may take together, as 512Mi or 1Gi: with less, more has to wait, "
    "or is refused",
    otherwise="what the container or the service may take, else half of the machine's; 4Gi at most",
    reason="it is better refused than killed for it",
)
LOG_LEVEL: Setting[str] = Setting(
    name="log_level",
    metavar="LEVEL",
    variables=("PEAT_LOG_LEVEL",),
    parse=choice("debug", "info", "warning", "error"),
    meaning="the least that is logged: debug, info, warning or error",
    default="info",
    reason="info is what an operator would act on",
)
LOG_FORMAT: Setting[str] = Setting(
    name="log_format",
    metavar="FORMAT",
    variables=("PEAT_LOG_FORMAT",),
    parse=choice("text", "json"),
    meaning="text or json, on stderr",
    otherwise="text on a terminal, else json",
    reason="people read terminals, programs read pipes",
)

GROUPS: tuple[tuple[str, tuple[Setting[object], ...]], ...] = (
    ("this node", (NODE_ID, DATA_DIR, FORMATION, FORMATION_SECRET_FILE, KEY_FILE, DRAIN_DELAY)),
    ("listeners", (BIND, API, CLIENTS, CLIENT_ORIGIN, DEMO_PAGE)),
    ("peers", (DISCOVERY, PEER, *relay_table.USING, MAX_LINKS)),
    (
        "Kubernetes",
        (NAMESPACE, LABEL_SELECTOR, ANNOTATION_PREFIX, POLL_INTERVAL, SERVICE_ACCOUNT_DIR, KUBECONFIG),
    ),
    ("being a relay", relay_table.BEING),
    ("documents", (ENGINE, ENGINE_WORKERS, MEMORY, TOMBSTONE_TTL)),
    ("logs", (LOG_LEVEL, LOG_FORMAT)),
)
SETTINGS: tuple[Setting[object], ...] = tuple(setting for _, group in GROUPS for setting in group)
