"""The settings of this node, from flags, environment, file and defaults. The only reader of the environment.

The table of all settings is `peatd/settings/table.py`; here they are put together, and what contradicts itself or
asks for what this version does not do is refused: a setting is never silently without effect.
"""

import os
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from peatd import surroundings
from peatd.errors import ConfigError
from peatd.hosts import is_loopback_name
from peatd.names import Address, NodeId, StaticPeer
from peatd.settings import table, values
from peatd.settings.collections import Collections, collections_of
from peatd.settings.demo import Demo, demo_of
from peatd.settings.flags import Flags, parse_flags
from peatd.settings.relay_program import PEAT_RELAY, RelayProgram, relay_program
from peatd.settings.relays import RelaySettings, relay_settings
from peatd.settings.setting import Setting
from peatd.settings.show import as_toml
from peatd.settings.sources import BUILT_IN, COLLECTIONS, File, Sources, parse

T = TypeVar("T")

DEFAULT_FILE = Path("/etc/peat/config.toml")

_SECRET_VARIABLE = "PEAT_FORMATION_SECRET"
_SERVICE_MANAGERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What a service manager sets for this process alone: sd_notify(3), sd_watchdog_enabled(3)."""
_FIELDS = {table.PEER.name: "peers", table.CLIENT_ORIGIN.name: "client_origins"}
"""Fields of Config that are not called like their setting: they hold several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings, parsed. What each means is said in `settings/table.py`.

    Attributes:
        discovery: the sources to run; `auto` is resolved, `none` is empty.
        kubeconfig: the files that are there; empty where there is none.
        collections: what holds for the documents of single collections.
        formation_secret: the text of PEAT_FORMATION_SECRET, as it came. Where it is None, `formation_secret_file`
            names the file; where that is None too, the data directory holds one, or will.
        in_cluster: we run in a Kubernetes pod.
        notify_socket: where a service manager wants to hear how we are; None where there is none.
        watchdog: seconds within which it wants to hear that we live; None if it does not.
        origins: where each value comes from, by its name.
    """

    node_id: NodeId
    data_dir: Path
    formation: str
    formation_secret_file: Path | None
    formation_secret: str | None = field(repr=False)
    key_file: Path | None
    drain_delay: float
    bind: Address
    api: Address
    clients: Address | None
    client_origins: tuple[str, ...]
    demo_page: values.DemoPage
    discovery: tuple[str, ...]
    peers: tuple[StaticPeer, ...]
    relays: RelaySettings
    namespace: str
    label_selector: str
    annotation_prefix: str
    poll_interval: float
    service_account_dir: Path
    kubeconfig: tuple[Path, ...]
    max_links: int
    engine: str
    engine_workers: int
    memory: int
    tombstone_ttl: float
    collections: Collections
    log_level: str
    log_format: str
    in_cluster: bool
    notify_socket: str | None
    watchdog: float | None
    origins: Mapping[str, str] = field(repr=False)


def load(
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    default_file: Path = DEFAULT_FILE,
) -> Config:
    """Reads every setting.

    Args:
        arguments: without the program's name; those of this process by default.
        environ: that of this process by default.
        default_file: is read where no other is named, if it is there.

    Raises:
        ConfigError: one line that names the origin, what was found and what to do.
        SystemExit: with 0, after printing for `--help`, `--version` and `--print-config`.
    """
    environ = os.environ if environ is None else environ
    flags = parse_flags(sys.argv[1:] if arguments is None else arguments)
    sources = Sources(flags.texts, environ, _file(flags, environ, default_file))
    config = _resolve(sources, flags, environ)
    _refuse_what_has_no_effect(config)
    _refuse_a_page_without_nodes(config)
    if flags.print_config:
        shown = {setting.name: _shown(config, setting.name) for setting in table.SETTINGS}
        sys.stdout.write(as_toml(shown, config.origins, config.collections, sources.file.origin(COLLECTIONS)))
        raise SystemExit(0)
    return config


def _shown(config: Config, name: str) -> object:
    return getattr(config.relays, name) if hasattr(config.relays, name) else getattr(config, _FIELDS.get(name, name))


def forget_service_manager() -> None:
    """Takes out of this process's environment what its service manager meant for it alone; no child inherits it."""
    for name in _SERVICE_MANAGERS:
        os.environ.pop(name, None)


def load_demo(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> Demo | None:
    """What `--demo` is to run; None where it is not asked for.

    Raises:
        ConfigError: for a flag that has no part in it.
        SystemExit: with 0, after printing for `--help` and `--version`.
    """
    flags = parse_flags(sys.argv[1:] if arguments is None else arguments)
    return demo_of(flags, os.environ if environ is None else environ)


def load_relay(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> RelayProgram:
    """What `peat-relay` is to do.

    Raises:
        ConfigError: as `load`.
        SystemExit: with 0, after printing for `--help` and `--version`.
    """
    flags = parse_flags(sys.argv[1:] if arguments is None else arguments, PEAT_RELAY)
    return relay_program(flags, os.environ if environ is None else environ, surroundings.log_format)


def _file(flags: Flags, environ: Mapping[str, str], default_file: Path) -> File:
    named, origin = flags.config, "--config"
    if named is None:
        named, origin = environ.get("PEAT_CONFIG") or None, "PEAT_CONFIG (environment)"
    path = default_file if named is None else Path(named)
    try:
        return File(path, tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as exc:
        if named is None:
            return File(path, {})
        raise ConfigError(f"{origin}: {named!r} is not there: name a TOML file") from exc
    except (OSError, ValueError, RecursionError) as exc:
        # ValueError: not UTF-8, not TOML, or a path with a NUL in it.
        reason = exc.strerror if isinstance(exc, OSError) else exc
        where = str(path) if named is None else f"{origin}: {named!r}"
        raise ConfigError(f"{where} cannot be read as TOML: {reason}") from exc


def _resolve(sources: Sources, flags: Flags, environ: Mapping[str, str]) -> Config:
    # First what other settings depend on.
    service_account_dir = sources.take(table.SERVICE_ACCOUNT_DIR)
    in_cluster = surroundings.is_pod(environ, service_account_dir)
    kubeconfig = _kubeconfig(sources, environ)
    peers = sources.take_peers()
    bind = sources.take_address(table.BIND)
    secret_file, secret = _formation_secret(sources, flags, environ)
    return Config(
        node_id=sources.take(table.NODE_ID, surroundings.host_name),
        data_dir=sources.take(table.DATA_DIR, lambda: surroundings.data_dir(environ, in_cluster=in_cluster)).absolute(),
        formation=sources.take(table.FORMATION),
        formation_secret_file=secret_file,
        formation_secret=secret,
        key_file=_path(sources, table.KEY_FILE),
        drain_delay=sources.take(table.DRAIN_DELAY),
        bind=bind,
        api=sources.take_address(table.API, lambda: surroundings.api(in_cluster=in_cluster)),
        clients=sources.take_optional(table.CLIENTS),
        client_origins=sources.take_all(table.CLIENT_ORIGIN),
        demo_page=sources.take(table.DEMO_PAGE),
        discovery=_discovery(sources, peers, bind, has_kubernetes=in_cluster or bool(kubeconfig)),
        peers=peers,
        relays=relay_settings(sources, environ),
        namespace=sources.take(table.NAMESPACE, lambda: _namespace(service_account_dir)),
        label_selector=sources.take(table.LABEL_SELECTOR),
        annotation_prefix=sources.take(table.ANNOTATION_PREFIX),
        poll_interval=sources.take(table.POLL_INTERVAL),
        service_account_dir=service_account_dir,
        kubeconfig=kubeconfig,
        max_links=sources.take(table.MAX_LINKS),
        engine=_engine(sources),
        engine_workers=sources.take(table.ENGINE_WORKERS),
        memory=sources.take(table.MEMORY, surroundings.memory),
        tombstone_ttl=sources.take(table.TOMBSTONE_TTL),
        collections=collections_of(sources.file),
        log_level=sources.take(table.LOG_LEVEL),
        log_format=sources.take(table.LOG_FORMAT, surroundings.log_format),
        in_cluster=in_cluster,
        notify_socket=_variable(environ, "NOTIFY_SOCKET", values.parse_notify_socket),
        watchdog=_watchdog(environ),
        origins=sources.origins,
    )


def _variable(environ: Mapping[str, str], name: str, parser: Callable[[str], T]) -> T | None:
    """What is no setting of ours, but told by whoever starts us."""
    text = environ.get(name)
    return parse(parser, text, f"{name} (environment)") if text else None


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """None also where it is meant for another process: that of a wrapper which has started us."""
    pid = _variable(environ, "WATCHDOG_PID", values.parse_pid)
    return _variable(environ, "WATCHDOG_USEC", values.parse_microseconds) if pid in (None, os.getpid()) else None


def _path(sources: Sources, setting: Setting[Path]) -> Path | None:
    path = sources.take_optional(setting)
    return None if path is None else path.absolute()


def _namespace(service_account_dir: Path) -> tuple[str, str]:
    text, origin = surroundings.namespace(service_account_dir)
    return parse(values.parse_namespace, text, origin), origin


def _kubeconfig(sources: Sources, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The files that are there: of a list some may be missing, as for kubectl."""
    named = sources.take(table.KUBECONFIG, lambda: surroundings.kubeconfig(environ))
    there = tuple(path.absolute() for path in named if surroundings.is_there(path))
    origin = sources.origins[table.KUBECONFIG.name]
    is_wanted = not {values.AUTO, values.KUBERNETES}.isdisjoint(sources.take(table.DISCOVERY))
    if is_wanted and origin != BUILT_IN and not there:
        raise ConfigError(f"{origin}: {str(named[0])!r} is not there: name the file, or choose another --discovery")
    return there


def _formation_secret(sources: Sources, flags: Flags, environ: Mapping[str, str]) -> tuple[Path | None, str | None]:
    """The secret's file or its text. The text can only come from the environment: a flag would show it to `ps`."""
    text = environ.get(_SECRET_VARIABLE)
    if not text or table.FORMATION_SECRET_FILE.name in flags.texts:
        return _path(sources, table.FORMATION_SECRET_FILE), None
    origin = f"{_SECRET_VARIABLE} (environment)"
    for variable in table.FORMATION_SECRET_FILE.variables:
        if environ.get(variable):
            raise ConfigError(f"{origin} and {variable} are both set: keep one of the two")
    sources.origins[table.FORMATION_SECRET_FILE.name] = origin
    return None, text


def _discovery(
    sources: Sources, peers: Sequence[StaticPeer], bind: Address, *, has_kubernetes: bool
) -> tuple[str, ...]:
    """The sources to run. `auto` is Kubernetes where there is one, else mDNS, which is of no use to a node that no LAN
    reaches; and the list where there is one or nothing else."""
    modes = sources.take(table.DISCOVERY)
    origin = sources.origins[table.DISCOVERY.name]
    automatic = [values.KUBERNETES] if has_kubernetes else [] if is_loopback_name(str(bind)) else [values.MDNS]
    if peers or not automatic:
        automatic.append(values.STATIC)
    resolved: list[str] = []
    for mode in modes:
        resolved += automatic if mode == values.AUTO else [] if mode == values.NONE else [mode]
    if values.AUTO in modes:
        sources.origins[table.DISCOVERY.name] = f"{origin}, found by auto"
    if peers and values.STATIC not in resolved:
        listed = sources.origins[table.PEER.name]
        raise ConfigError(f"{listed} lists peers, but {origin} leaves out static: add it, or remove the peers")
    return tuple(dict.fromkeys(resolved))


def _engine(sources: Sources) -> str:
    engine = sources.take(table.ENGINE, surroundings.engine)
    if not surroundings.is_installed(engine):
        origin = sources.origins[table.ENGINE.name]
        raise ConfigError(f"{origin}: the engine {engine!r} is not installed: pip install {engine}, or name the other")
    return engine


def _refuse_what_has_no_effect(config: Config) -> None:
    if config.client_origins and config.clients is None:
        origin, flag = config.origins[table.CLIENT_ORIGIN.name], table.CLIENTS.flag
        raise ConfigError(f"{origin}: there is no listener for clients: add {flag}, or remove it")


def _refuse_a_page_without_nodes(config: Config) -> None:
    if config.demo_page.is_on and not config.demo_page.listed and config.clients is None:
        origin = config.origins[table.DEMO_PAGE.name]
        raise ConfigError(f"{origin}: the page would have nothing to connect to: set --clients, or list the listeners")
