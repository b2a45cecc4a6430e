"""From the text of a setting to its value. Sans-IO.

Every parser raises ValueError with what was found and what to write instead; who set it is added by `sources.py`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from peatd.names import Address, NodeId, StaticPeer
from peatd.relay_url import RelayUrl

AUTO = "auto"
KUBERNETES = "kubernetes"
MDNS = "mdns"
STATIC = "static"
NONE = "none"
DISCOVERY_MODES = (AUTO, KUBERNETES, MDNS, STATIC, NONE)

ON = "on"
OFF = "off"

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ANNOTATION_PREFIX = re.compile(r"[A-Za-z0-9._/-]{1,253}")
_RELAY_KEY = re.compile(r"[0-9a-fA-F]{64}")
_LINE = re.compile(r"[^\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class DemoPage:
    """Whether `/demo` is served, and what it connects to.

    Attributes:
        listed: listeners for Yjs clients; with none, the page connects to this node's own.
    """

    is_on: bool
    listed: tuple[StaticPeer, ...] = ()

    def __str__(self) -> str:
        listed = ",".join(f"{peer.name}@{peer.address}" if peer.name else str(peer.address) for peer in self.listed)
        return listed or (ON if self.is_on else OFF)


def parse_name(text: str) -> str:
    """A node's or a formation's name: 253 characters is what HELLO carries, and a DNS name's bound."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{_shown(text)} is not a name: use 1 to 253 letters, digits, '.', '_', '-' or ':'")
    return text


def parse_node_id(text: str) -> NodeId:
    return NodeId(parse_name(text))


def parse_namespace(text: str) -> str:
    """A Kubernetes namespace: an RFC 1123 label."""
    if not _NAMESPACE.fullmatch(text):
        raise ValueError(f"{_shown(text)} is not a Kubernetes namespace: use 1 to 63 lower-case letters, digits or '-'")
    return text


def parse_label_selector(text: str) -> str:
    """Passed on as it is: the API server knows the grammar better than we do."""
    if not _LINE.fullmatch(text):
        raise ValueError(f"{_shown(text)} is not a label selector: write one as app=peat-mesh")
    return text


def parse_annotation_prefix(text: str) -> str:
    if not _ANNOTATION_PREFIX.fullmatch(text):
        raise ValueError(f"{_shown(text)} is not the beginning of an annotation's key: write one as peat.")
    return text


def parse_address(text: str) -> Address:
    return Address.parse(text)


def parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError(f"{_shown(text)} is not a port: it is a number from 0 to 65535")
    return int(text)


def parse_origin(text: str) -> str:
    """The origin of a page (RFC 6454), as a browser sends it; or `*`."""
    parts = urlsplit(text)
    if text != "*" and (parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != text.lower()):
        raise ValueError(f"{_shown(text)} is not an origin: write it as https://app.example.org, or * for all")
    return text


def parse_path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError(f"{_shown(text)} is not a path: name a file or a directory")
    if text.startswith("~"):
        # No shell stands between a service and its settings: it would become a directory called `~`.
        raise ValueError(f"{_shown(text)} begins with '~', which only a shell understands: write the whole path")
    return Path(text)


def parse_notify_socket(text: str) -> str:
    """sd_notify(3): a path, or the name of an abstract socket behind `@`."""
    if not text.startswith(("/", "@")) or len(text) < 2 or "\0" in text:
        raise ValueError(f"{_shown(text)} is no unix socket: it is a whole path, or '@' and a name")
    return text


def parse_pid(text: str) -> int:
    return whole_number(1, 999_999_999)(text)


def parse_microseconds(text: str) -> float:
    """A whole number of microseconds, as seconds."""
    return whole_number(1, 999_999_999)(text) / 1e6


def parse_paths(text: str) -> tuple[Path, ...]:
    """Several files joined by `:`, as KUBECONFIG has them."""
    paths = tuple(parse_path(part) for part in text.split(":") if part)
    if not paths:
        raise ValueError(f"{_shown(text)} names no file: name one")
    return paths


def parse_peer(text: str) -> StaticPeer:
    """`[NAME@]HOST:PORT`."""
    name, at, address = text.rpartition("@")
    parsed = Address.parse(address)
    if parsed.port == 0:
        raise ValueError(f"{_shown(text)} has port 0, where nobody listens: write the peer's port")
    return StaticPeer(parse_node_id(name) if at else None, parsed)


def parse_relay_url(text: str) -> RelayUrl:
    try:
        return RelayUrl.parse(text)
    except ValueError as exc:
        # It may hold a password, and then is not repeated.
        what = "the URL" if "@" in text else _shown(text)
        raise ValueError(f"{what} {exc}") from exc


def parse_host(text: str) -> str:
    """A DNS name or an IP address, without a port."""
    try:
        return Address.parse(f"[{text}]:0" if ":" in text else f"{text}:0").host
    except ValueError:
        raise ValueError(f"{_shown(text)} is not a host: write a DNS name or an address, without a port") from None


def parse_relay_key(text: str) -> str:
    """32 bytes in hex, as lower-case."""
    if not _RELAY_KEY.fullmatch(text):
        raise ValueError(f"{_shown(text)} is not a relay key: `peat secret relay-key` prints the formation's")
    return text.lower()


def parse_discovery(text: str) -> tuple[str, ...]:
    """One mode or several joined by commas, each once, in their order."""
    modes = tuple(dict.fromkeys(mode.strip() for mode in text.split(",")))
    for mode in modes:
        if mode not in DISCOVERY_MODES:
            raise ValueError(f"{_shown(mode)} is not a way to find peers: use {_alternatives(DISCOVERY_MODES)}")
    if NONE in modes and len(modes) > 1:
        raise ValueError(f"{_shown(text)} joins 'none' with others: leave 'none' out, or the others")
    return modes


def parse_demo_page(text: str) -> DemoPage:
    """`on`, `off`, or several `[NAME@]HOST:PORT` joined by commas."""
    if text.lower() in (ON, OFF):
        return DemoPage(is_on=text.lower() == ON)
    return DemoPage(is_on=True, listed=tuple(dict.fromkeys(parse_peer(part.strip()) for part in text.split(","))))


def choice(*options: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in options:
            raise ValueError(f"{_shown(text)} is not known here: use {_alternatives(options)}")
        return text.lower()

    return parse


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # Digits only, and few: `int` would also take "1_0" and "٣", and a million digits slowly.
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and lowest <= int(text) <= highest):
            raise ValueError(f"{_shown(text)} will not do: it is a whole number from {lowest} to {highest}")
        return int(text)

    return parse


_SIZE = re.compile(r"([0-9]{1,12})(?:([KMGT])I?)?B?", re.ASCII)
_SIZE_UNITS = {None: 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def size(lowest_mib: int) -> Callable[[str], int]:
    """Bytes. K, M and G are of 1024, with and without the i, as memory is counted in."""

    def parse(text: str) -> int:
        found = _SIZE.fullmatch(text.strip().upper())
        size_bytes = int(found[1]) * _SIZE_UNITS[found[2]] if found else 0
        if found is None or size_bytes < lowest_mib * 2**20:
            raise ValueError(f"{_shown(text)} will not do: write a size of {lowest_mib}Mi or more, as 512Mi or 1Gi")
        return size_bytes

    return parse


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(lowest: float, highest: float) -> Callable[[str], float]:
    """Seconds, or a number with its unit: `90`, `90s`, `15m`, `12h`, `7d`."""

    def parse(text: str) -> float:
        unit = _UNITS.get(text[-1:])
        try:
            number = float(text) if unit is None else float(text[:-1]) * unit
        except ValueError:
            number = math.nan
        if not lowest <= number <= highest:  # not a number is in no range
            raise ValueError(
                f"{_shown(text)} will not do: it is a number of seconds from {lowest:g} to {highest:g}, "
                "or one of minutes, hours or days as in 15m, 12h, 7d"
            )
        return number

    return parse


def _alternatives(options: tuple[str, ...]) -> str:
    return f"{', '.join(options[:-1])} or {options[-1]}"


def _shown(text: str) -> str:
    """Quoted, on one line, and no longer than a reader needs to recognise it."""
    return repr(text if len(text) <= 80 else text[:80] + "…")
