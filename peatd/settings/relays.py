"""What is set of relays, together: those that are used, and of being one. Sans-IO."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from peatd.errors import ConfigError
from peatd.names import Address
from peatd.relay_url import RelayUrl
from peatd.settings import relay_table as table
from peatd.settings.setting import Setting
from peatd.settings.sources import BUILT_IN, Sources

_PROXY, _UNPROXIED = ("HTTPS_PROXY", "https_proxy"), ("NO_PROXY", "no_proxy")
"""What all programs that speak HTTPS are told by (curl(1)). No setting of ours, and not shown: it may hold a password.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Attributes are called like their settings; what each means is said in `relay_table.py`.

    Attributes:
        https_proxy: by which relays are reached whose URL begins with https; None for none.
        no_proxy: hosts and domains that are reached without it.
    """

    relay: tuple[RelayUrl, ...]
    relay_ca_file: Path | None
    relay_listen: Address | None
    relay_name: tuple[str, ...]
    relay_tls_cert: Path | None
    relay_tls_key: Path | None
    relay_allow: tuple[str, ...]
    relay_registrations: int
    relay_circuits: int
    relay_rate: int
    relay_total_rate: int
    https_proxy: str | None
    no_proxy: tuple[str, ...]


def relay_settings(sources: Sources, environ: Mapping[str, str]) -> RelaySettings:
    """
    Raises:
        ConfigError: if one is wrong, or has no effect without another.
    """
    unproxied = _first(environ, _UNPROXIED) or ""
    settings = RelaySettings(
        relay=sources.take_all(table.RELAY),
        relay_ca_file=_path(sources, table.RELAY_CA_FILE),
        relay_listen=sources.take_optional(table.RELAY_LISTEN),
        relay_name=sources.take_all(table.RELAY_NAME),
        relay_tls_cert=_path(sources, table.RELAY_TLS_CERT),
        relay_tls_key=_path(sources, table.RELAY_TLS_KEY),
        relay_allow=sources.take_all(table.RELAY_ALLOW),
        relay_registrations=sources.take(table.RELAY_REGISTRATIONS),
        relay_circuits=sources.take(table.RELAY_CIRCUITS),
        relay_rate=sources.take(table.RELAY_RATE),
        relay_total_rate=sources.take(table.RELAY_TOTAL_RATE),
        https_proxy=_first(environ, _PROXY),
        no_proxy=tuple(entry.strip() for entry in unproxied.split(",") if entry.strip()),
    )
    _check(settings, sources.origins)
    return settings


def _check(settings: RelaySettings, origins: Mapping[str, str]) -> None:
    if settings.relay_listen is None:
        for setting in table.BEING:
            default = None if setting.default is None else setting.parse(setting.default)
            if origins[setting.name] != BUILT_IN and getattr(settings, setting.name) != default:
                raise ConfigError(
                    f"{origins[setting.name]}: there is no relay here: add {table.RELAY_LISTEN.flag}, or remove it"
                )
    for one, other in ((table.RELAY_TLS_CERT, table.RELAY_TLS_KEY), (table.RELAY_TLS_KEY, table.RELAY_TLS_CERT)):
        if origins[one.name] != BUILT_IN and origins[other.name] == BUILT_IN:
            raise ConfigError(f"{origins[one.name]}: it takes {other.flag} as well: add it, or remove both")


def _path(sources: Sources, setting: Setting[Path]) -> Path | None:
    path = sources.take_optional(setting)
    return None if path is None else path.absolute()


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
