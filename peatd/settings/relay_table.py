"""The settings of relays: those that a node uses, and of being one. Rows as in `table.py`. Sans-IO."""

from pathlib import Path

from peatd.names import Address
from peatd.relay_url import RelayUrl
from peatd.settings.setting import Setting
from peatd.settings.values import (
    parse_address,
    parse_host,
    parse_path,
    parse_relay_key,
    parse_relay_url,
    size,
    whole_number,
)

RELAY: Setting[RelayUrl] = Setting(
    name="relay",
    metavar="URL",
    variables=("PEAT_RELAY_URLS", "PEAT_IROH_RELAY_URLS"),
    parse=parse_relay_url,
    meaning="a relay for peers that cannot reach each other: https://HOST[:PORT] or tcp://HOST:PORT. This node stays "
    "registered there, and asks there for peers that it cannot dial",
    otherwise="none",
    reason="no outside host is contacted unless it is configured",
    repeatable=True,
)
RELAY_CA_FILE: Setting[Path] = Setting(
    name="relay_ca_file",
    metavar="FILE",
    variables=("PEAT_RELAY_CA_FILE",),
    parse=parse_path,
    meaning="certificates (PEM) of the authorities that relays' certificates are verified by",
    otherwise="those of the system",
    reason="a relay has an ordinary certificate",
)
RELAY_LISTEN: Setting[Address] = Setting(
    name="relay_listen",
    metavar="ADDR:PORT",
    variables=("PEAT_RELAY_LISTEN",),
    parse=parse_address,
    meaning="be a relay, there; plain TCP and WebSocket on one port, and HTTPS with a certificate. Port 0 takes a free "
    "one",
    otherwise="off",
    reason="a port that nobody asked for stays closed",
)
RELAY_NAME: Setting[str] = Setting(
    name="relay_name",
    metavar="HOST",
    variables=("PEAT_RELAY_NAMES",),
    parse=parse_host,
    meaning="a host by which URLs name this relay, beside the addresses that it is reached at",
    otherwise="none",
    reason="what was signed for another relay is refused; it cannot know its own names in DNS",
    repeatable=True,
)
RELAY_TLS_CERT: Setting[Path] = Setting(
    name="relay_tls_cert",
    metavar="FILE",
    variables=("PEAT_RELAY_TLS_CERT",),
    parse=parse_path,
    meaning="the relay's certificate and those that lead to its authority (PEM); read again when it changes",
    otherwise="none: no HTTPS",
    reason="behind a proxy that ends TLS there is none, and plain TCP needs none",
)
RELAY_TLS_KEY: Setting[Path] = Setting(
    name="relay_tls_key",
    metavar="FILE",
    variables=("PEAT_RELAY_TLS_KEY",),
    parse=parse_path,
    meaning="the private key of that certificate (PEM)",
    otherwise="none",
    reason="belongs to --relay-tls-cert",
)
RELAY_ALLOW: Setting[str] = Setting(
    name="relay_allow",
    metavar="KEY",
    variables=("PEAT_RELAY_ALLOW",),
    parse=parse_relay_key,
    meaning="a formation that the relay serves, by its relay key: `peat secret relay-key` prints it",
    otherwise="the node's own formation; for `peat-relay` it is required",
    reason="a relay for everybody would be everybody's",
    repeatable=True,
)
RELAY_REGISTRATIONS: Setting[int] = Setting(
    name="relay_registrations",
    metavar="N",
    variables=("PEAT_RELAY_REGISTRATIONS",),
    parse=whole_number(1, 1_000_000),
    meaning="how many nodes may be registered at the relay at once",
    default="1024",
    reason="each takes a connection and 50 KB",
)
RELAY_CIRCUITS: Setting[int] = Setting(
    name="relay_circuits",
    metavar="N",
    variables=("PEAT_RELAY_CIRCUITS",),
    parse=whole_number(1, 1_000_000),
    meaning="how many links may go by the relay at once; of one node at most 64",
    default="1024",
    reason="each takes two connections, and half a megabyte where somebody reads slowly",
)
RELAY_RATE: Setting[int] = Setting(
    name="relay_rate",
    metavar="SIZE",
    variables=("PEAT_RELAY_RATE",),
    parse=size(0),
    meaning="how much one node may send by the relay in a second, as 10Mi; more has to wait. 0 is without limit",
    default="0",
    reason="on one's own relay there is nothing to share out",
)
RELAY_TOTAL_RATE: Setting[int] = Setting(
    name="relay_total_rate",
    metavar="SIZE",
    variables=("PEAT_RELAY_TOTAL_RATE",),
    parse=size(0),
    meaning="how much all may send by it together in a second; likewise",
    default="0",
    reason="the machine's line is the limit, unless it is shared",
)

STATUS: Setting[Address] = Setting(
    name="status",
    metavar="ADDR:PORT",
    variables=("PEAT_RELAY_STATUS",),
    parse=parse_address,
    meaning="where /livez, /readyz and /metrics are answered, by HTTP; port 0 takes a free one",
    otherwise="off",
    reason="a port that nobody asked for stays closed",
)

USING: tuple[Setting[object], ...] = (RELAY, RELAY_CA_FILE)
BEING: tuple[Setting[object], ...] = (
    RELAY_LISTEN,
    RELAY_NAME,
    RELAY_TLS_CERT,
    RELAY_TLS_KEY,
    RELAY_ALLOW,
    RELAY_REGISTRATIONS,
    RELAY_CIRCUITS,
    RELAY_RATE,
    RELAY_TOTAL_RATE,
)
