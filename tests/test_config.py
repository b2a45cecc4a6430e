"""Settings: flag before environment before file before default, and an error says whose fault it is."""

import contextlib
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peatd import surroundings
from peatd.config import Config, load
from peatd.errors import ConfigError
from peatd.interest import Copies
from peatd.names import Address, StaticPeer
from peatd.relay_url import RelayUrl
from peatd.settings.collections import Collections
from peatd.settings.flags import parse_flags
from peatd.settings.setting import Setting
from peatd.settings.table import SETTINGS
from peatd.settings.values import DemoPage, parse_demo_page

Load = Callable[..., Config]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    """As the kubelet mounts it, in the namespace `mesh`."""
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    (directory / "namespace").write_text("mesh\n")
    return directory


@pytest.fixture
def read(tmp_path: Path, home: Path) -> Load:
    """Loads settings of a host with nothing on it but what the test says."""
    file = tmp_path / "config.toml"

    def read(*arguments: str, toml: str | None = None, **environ: str) -> Config:
        if toml is not None:
            file.write_text(toml)
        nothing = {"HOME": str(home), "PEAT_SERVICE_ACCOUNT_DIR": str(tmp_path / "none")}
        return load(arguments, nothing | environ, default_file=file)

    return read


def test_a_lone_host_needs_no_settings(read: Load, home: Path) -> None:
    config = read(HOSTNAME="alice")
    assert config.node_id == "alice"
    assert (config.bind, config.api) == (Address("0.0.0.0", 11204), Address("127.0.0.1", 8081))
    assert config.data_dir == home / ".local/state/peat"
    assert (config.discovery, config.peers) == (("mdns",), ())
    assert (config.namespace, config.label_selector, config.annotation_prefix) == ("default", "app=peat-mesh", "peat.")
    assert (config.poll_interval, config.engine, config.engine_workers) == (30.0, "y-py", 1)
    assert config.drain_delay == 0
    assert (config.formation, config.formation_secret, config.formation_secret_file) == ("peat", None, None)
    assert not config.demo_page.is_on
    assert (config.clients, config.relays.relay, config.relays.relay_listen, config.key_file) == (None, (), None, None)
    assert (config.log_level, config.log_format, config.in_cluster) == ("info", "json", False)


def test_a_pod_needs_no_settings(read: Load, service_account: Path) -> None:
    config = read(
        HOSTNAME="peat-mesh-0", KUBERNETES_SERVICE_HOST="10.96.0.1", PEAT_SERVICE_ACCOUNT_DIR=str(service_account)
    )
    assert config.in_cluster
    assert (config.discovery, config.namespace) == (("kubernetes",), "mesh")
    assert (str(config.api), str(config.data_dir)) == ("0.0.0.0:8081", "/data")


@pytest.mark.parametrize("by", ["host", "directory"])
def test_a_pod_is_known_by_its_variable_or_its_service_account(read: Load, service_account: Path, by: str) -> None:
    environ = {"PEAT_SERVICE_ACCOUNT_DIR": str(service_account)}
    config = read(**({"KUBERNETES_SERVICE_HOST": "10.96.0.1"} if by == "host" else environ))
    assert (config.in_cluster, config.discovery) == (True, ("kubernetes",))


def test_flag_before_environment_before_file_before_default(read: Load, tmp_path: Path) -> None:
    toml = 'log_level = "error"'
    assert read().origins["log_level"] == "default"
    steps = [
        (read(toml=toml), "error", f"{tmp_path}/config.toml: log_level"),
        (read(toml=toml, PEAT_LOG_LEVEL="warning"), "warning", "PEAT_LOG_LEVEL (environment)"),
        (read("--log-level", "debug", toml=toml, PEAT_LOG_LEVEL="warning"), "debug", "--log-level"),
    ]
    for config, level, origin in steps:
        assert (config.log_level, config.origins["log_level"]) == (level, origin)


def test_an_empty_variable_is_as_good_as_none(read: Load) -> None:
    environ = {variable: "" for setting in SETTINGS for variable in setting.variables}
    ports = {"PEAT_IROH_BIND_PORT": "", "PEAT_BROKER_PORT": "", "PEAT_CONFIG": "", "PEAT_FORMATION_SECRET": ""}
    del environ["PEAT_SERVICE_ACCOUNT_DIR"]
    assert read(**environ, **ports, XDG_STATE_HOME="") == read()


def test_every_setting_can_be_set_in_every_way(read: Load, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    values = {
        "node_id": "alice", "data_dir": "/tmp/x", "formation": "f", "formation_secret_file": "/s", "key_file": "/k",
        "bind": "10.0.0.1:1", "api": "[::1]:2", "discovery": "static,kubernetes", "peer": "bob@h:3", "namespace": "ns",
        "label_selector": "a=b,c", "annotation_prefix": "x/", "poll_interval": "5.5", "service_account_dir": "/sa",
        "kubeconfig": str(kubeconfig), "engine": "y-py", "engine_workers": "2", "log_level": "debug",
        "log_format": "text", "clients": "h:4", "client_origin": "https://app.example.org", "drain_delay": "5.0",
        "demo_page": "bob@h:5,[::1]:6", "memory": "512Mi", "tombstone_ttl": "12h", "max_links": "8", "relay": "tcp://h:7",
        "relay_ca_file": "/ca", "relay_listen": "h:8", "relay_name": "r.example.org", "relay_tls_cert": "/c",
        "relay_tls_key": "/ck", "relay_allow": "AB" * 32, "relay_registrations": "3", "relay_circuits": "4",
        "relay_rate": "1Mi", "relay_total_rate": "2M",
    }  # fmt: skip
    assert values.keys() == {setting.name for setting in SETTINGS}
    by_flag = read(*(part for name, text in values.items() for part in (f"--{name.replace('_', '-')}", text)))
    by_variable = read(**{s.variables[0]: values[s.name] for s in SETTINGS if s.name in values})
    by_file = read(toml="\n".join(f'{name} = "{text}"' for name, text in values.items()), PEAT_SERVICE_ACCOUNT_DIR="")
    for config in (by_flag, by_variable, by_file):
        assert (config.node_id, config.data_dir, config.formation) == ("alice", Path("/tmp/x"), "f")
        assert (config.formation_secret_file, config.key_file) == (Path("/s"), Path("/k"))
        assert (config.bind, config.api) == (Address("10.0.0.1", 1), Address("::1", 2))
        assert config.discovery == ("static", "kubernetes")
        assert config.peers == (StaticPeer("bob", Address("h", 3)),)
        assert (config.namespace, config.label_selector, config.annotation_prefix) == ("ns", "a=b,c", "x/")
        relays = config.relays
        assert (relays.relay, relays.relay_ca_file) == ((RelayUrl.parse("tcp://h:7"),), Path("/ca"))
        assert (relays.relay_listen, relays.relay_name) == (Address("h", 8), ("r.example.org",))
        assert (relays.relay_tls_cert, relays.relay_tls_key) == (Path("/c"), Path("/ck"))
        assert relays.relay_allow == ("ab" * 32,)
        assert (relays.relay_registrations, relays.relay_circuits) == (3, 4)
        assert (relays.relay_rate, relays.relay_total_rate) == (2**20, 2**21)
        assert (config.poll_interval, config.service_account_dir) == (5.5, Path("/sa"))
        assert config.drain_delay == 5
        assert (config.kubeconfig, config.engine, config.engine_workers) == ((kubeconfig,), "y-py", 2)
        assert config.memory == 512 * 2**20
        assert (config.log_level, config.log_format) == ("debug", "text")
        assert (config.clients, config.client_origins) == (Address("h", 4), ("https://app.example.org",))
        assert str(config.demo_page) == "bob@h:5,[::1]:6"
        assert (config.tombstone_ttl, config.max_links) == (12 * 3600, 8)


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("off", DemoPage(is_on=False)),
        ("ON", DemoPage(is_on=True)),
        (
            "h:1, bob@[::1]:2,h:1",
            DemoPage(True, (StaticPeer(None, Address("h", 1)), StaticPeer("bob", Address("::1", 2)))),
        ),
    ],
)
def test_the_demo_page_is_off_on_or_a_list_of_listeners(text: str, page: DemoPage) -> None:
    assert parse_demo_page(text) == parse_demo_page(str(page)) == page


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("268435456", 256), ("256Mi", 256), ("256M", 256), ("256MiB", 256), ("1g", 1024), (" 262144k ", 256)],
)
def test_memory_is_counted_in_units_of_1024(read: Load, text: str, mebibytes: int) -> None:
    assert read("--memory", text).memory == mebibytes * 2**20


@pytest.mark.parametrize(
    ("machine", "group", "mebibytes"),
    [(16384, None, 4096), (1024, None, 512), (1024, 256, 256), (1024, 768, 512), (256, None, 192), (16384, 64, 192)],
)
def test_memory_is_what_the_machine_or_the_container_has(
    read: Load, monkeypatch: pytest.MonkeyPatch, machine: int, group: int | None, mebibytes: int
) -> None:
    """A small machine has no control group for us, and still has to hold what else runs on it."""
    pages = {"SC_PHYS_PAGES": machine * 256, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    monkeypatch.setattr(surroundings, "memory_limit", lambda: group and group * 2**20)
    assert read().memory == mebibytes * 2**20


def test_numbers_in_the_file_need_no_quotes(read: Load) -> None:
    config = read(toml="poll_interval = 5\nengine_workers = 2")
    assert (config.poll_interval, config.engine_workers) == (5.0, 2)


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("1.5", 1.5), ("90s", 90), ("15m", 900), ("0.5h", 1800), ("7d", 604_800)]
)
def test_a_time_is_in_seconds_or_names_its_unit(read: Load, text: str, expected: float) -> None:
    assert read("--tombstone-ttl", text).tombstone_ttl == expected


def test_collections_stand_in_the_file_and_in_what_is_printed(
    read: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = '[collections.notes]\nttl = "7d"\n[collections."a.b:c"]\nttl = 60\n[collections.kept]\n'
    assert read(toml=toml).collections.ttls == {"notes": 604_800, "a.b:c": 60}
    with pytest.raises(SystemExit):
        read("--print-config", toml=toml)
    assert read(toml=capsys.readouterr().out).collections.ttls == {"notes": 604_800, "a.b:c": 60}


def test_where_documents_are_stands_in_the_file_and_in_what_is_printed(
    read: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = (
        '[collections.notes]\nreplicate = 3\nlinger = "1m"\n[collections.sites]\nreplicate = "subscribed"\n'
        'subscribe = ["site-7-*", "a"]\n[collections.all]\nreplicate = "all"\nttl = 60\n'
    )
    expected = {"notes": Copies(3, linger=60.0), "sites": Copies(None, ("site-7-*", "a"))}
    assert read(toml=toml).collections == Collections({"all": 60}, expected)
    with pytest.raises(SystemExit):
        read("--print-config", toml=toml)
    assert read(toml=capsys.readouterr().out).collections == Collections({"all": 60}, expected)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("collections = 7", "collections is not a table: write [collections.NAME]"),
        ("[collections]\nttl = 7", "collections.ttl is not a table"),
        (
            '[collections.notes]\ntll = "7d"',
            "notes.tll is no setting: a collection has ttl, replicate, subscribe",
        ),
        ('[collections.notes]\nttl = "a week"', "collections.notes.ttl: 'a week' will not do"),
        ("[collections.notes]\nttl = 0", "collections.notes.ttl: '0' will not do"),
        ("[collections.notes]\nttl = true", "collections.notes.ttl is a TOML boolean"),
        ("[collections.notes]\nreplicate = 0", "collections.notes.replicate: 0 will not do"),
        ("[collections.notes]\nreplicate = true", "collections.notes.replicate: True will not do"),
        ('[collections.notes]\nreplicate = "some"', "collections.notes.replicate: 'some' will not do"),
        (
            '[collections.notes]\nreplicate = 3\nsubscribe = "a"',
            "notes.subscribe: write a list of patterns",
        ),
        ('[collections.notes]\nsubscribe = ["a"]', "collections.notes: all its documents are here"),
        ('[collections.notes]\nreplicate = 3\nlinger = "long"', "collections.notes.linger: 'long' will not do"),
        ('[collections."a/b"]\nttl = 7', "collections.a/b: collection 'a/b' is not a name"),
        ('[collections."a\\nb"]\nttl = 7', "is not a name"),
    ],
)
def test_a_collection_that_cannot_be_is_refused(read: Load, tmp_path: Path, toml: str, told: str) -> None:
    message = refused(read, toml=toml)
    assert message.startswith(f"{tmp_path}/config.toml: ")
    assert told in message


def refused(read: Load, *arguments: str, toml: str | None = None, **environ: str) -> str:
    """The message, which is one line."""
    with pytest.raises(ConfigError) as caught:
        read(*arguments, toml=toml, **environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("node_id", "a b", "letters, digits"),
        ("node_id", "x" * 254, "253"),
        ("data_dir", "~/peat", "whole path"),
        ("formation", "", "letters, digits"),
        ("bind", "11204", "write HOST:PORT"),
        ("bind", "0.0.0.0:65536", "0 to 65535"),
        ("api", ":8081", "write HOST:PORT"),
        ("discovery", "dns", "auto, kubernetes, mdns, static or none"),
        ("discovery", "", "auto, kubernetes"),
        ("discovery", "none,static", "leave 'none' out"),
        ("peer", "bob", "write HOST:PORT"),
        ("peer", "@h:1", "not a name"),
        ("peer", "h:0", "write the peer's port"),
        ("namespace", "Mesh", "lower-case"),
        ("label_selector", "a\nb", "app=peat-mesh"),
        ("annotation_prefix", "ü", "peat."),
        ("poll_interval", "0", "1 to 3600"),
        ("poll_interval", "nan", "1 to 3600"),
        ("poll_interval", "inf", "1 to 3600"),
        ("poll_interval", "30x", "1 to 3600"),
        ("drain_delay", "-1", "0 to 3600"),
        ("drain_delay", "soon", "0 to 3600"),
        ("kubeconfig", "/nowhere/config", "not there"),
        ("engine", "yjs", "y-py or pycrdt"),
        ("memory", "100Mi", "192Mi or more"),
        ("memory", "lots", "512Mi or 1Gi"),
        ("engine_workers", "0", "1 to 64"),
        ("engine_workers", "1_0", "1 to 64"),
        ("engine_workers", "9" * 5000, "1 to 64"),
        ("log_level", "loud", "debug, info, warning or error"),
        ("log_format", "xml", "text or json"),
        ("client_origin", "app.example.org", "https://app.example.org"),
        ("client_origin", "https://app.example.org/page", "https://app.example.org"),
        ("client_origin", "https://app.example.org", "add --clients"),
        ("demo_page", "on", "nothing to connect to: set --clients"),
        ("demo_page", "yes", "HOST:PORT"),
        ("demo_page", "h:1,h:0", "port 0"),
        ("demo_page", "h:1,", "HOST:PORT"),
        ("relay", "relay.example.org", "write https://"),
        ("relay", "ftp://relay.example.org", "write https://"),
        ("relay", "https://", "write https://"),
        ("relay", "https://h:0", "write https://"),
        ("relay", "https://h:99999", "write https://"),
        ("relay", "https://[::1", "write https://"),
        ("relay", "https://h/x?y", "leave them out"),
        ("relay", "tcp://h", "has a port and no path"),
        ("relay", "tcp://h:1/x", "has a port and no path"),
        ("relay", "https://a b", "write https://"),
        ("relay_allow", "ab", "peat secret relay-key"),
        ("relay_allow", "ab" * 32, "add --relay-listen"),
        ("relay_name", "h:1:x", "without a port"),
        ("relay_name", "h", "add --relay-listen"),
        ("relay_tls_cert", "/c", "add --relay-listen"),
        ("relay_circuits", "0", "1 to 1000000"),
        ("relay_circuits", "7", "add --relay-listen"),
        ("relay_rate", "fast", "write a size"),
    ],
)
def test_a_wrong_value_is_refused_with_its_origin_and_what_to_do(
    read: Load, tmp_path: Path, name: str, text: str, told: str
) -> None:
    setting = next(setting for setting in SETTINGS if setting.name == name)
    quoted = text.replace("\n", "\\n")
    messages = {setting.flag: refused(read, setting.flag, text, toml="")}
    messages[f"{tmp_path}/config.toml: {name}"] = refused(read, toml=f'{name} = "{quoted}"')
    if text:
        messages[f"{setting.variables[0]} (environment)"] = refused(read, toml="", **{setting.variables[0]: text})
    for origin, message in messages.items():
        assert message.startswith(origin)
        assert told in message
        assert len(message) < 400


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_says_what_it_means_its_default_and_why(setting: Setting[object]) -> None:
    assert setting.meaning
    assert setting.reason
    assert bool(setting.default) != bool(setting.otherwise)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--bnid", "x"], "--bnid"),
        (["--log", "x"], "--log"),  # no abbreviations
        (["--bind"], "--bind"),
        (["somewhere"], "somewhere"),
        (["--bind", "h:1", "--bind", "h:2"], "--bind is given 2 times"),
    ],
)
def test_a_wrong_command_line_is_one_line(read: Load, arguments: list[str], told: str) -> None:
    assert told in refused(read, *arguments)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("bnid = 'x'", "bnid is no setting"),
        ("[log]\nlevel = 'info'", "log is no setting"),
        ("formation_secret = 'abc'", "formation_secret is no setting"),
        ("bind = \n", "at line 1"),
        ('"a\\nb" = 1', "'a\\nb' is no setting"),
        ("bind = true", "bind is a TOML boolean"),
        ("bind = ['h:1']", "bind is a TOML array"),
        ("bind = {}", "bind is a TOML table"),
        ("bind = 2025-01-01", "bind is a TOML date"),
        ("peer = [1.5, {}]", "peer is a TOML table"),
        ("data_dir = 'peat'", "begin it with '/'"),
        ("peers = 'h:1'", "write [[peers]]"),
        ("peers = ['h:1']", "peers[0] is not a table"),
        ("[[peers]]\nname = 'bob'", "peers[0] has no address"),
        ("[[peers]]\naddress = 'h:1'\n[[peers]]\nadress = 'h:2'", "peers[1].'adress' is no setting"),
        ("[[peers]]\naddress = 'bob@h:1'", "write it as name"),
        ("[[peers]]\naddress = 'h:1'\nname = ''", "peers[0].name"),
        ("[[peers]]\naddress = 'h:1'\nrelay_url = 'https://user:hush@h'", "leave them out"),
        ("x = " + "[" * 5000, "cannot be read as TOML"),
    ],
)
def test_a_wrong_file_is_refused_where_it_is_wrong(read: Load, tmp_path: Path, toml: str, told: str) -> None:
    message = refused(read, toml=toml)
    assert message.startswith(f"{tmp_path}/config.toml")
    assert told in message
    assert "hush" not in message


def test_a_certificate_takes_its_key(read: Load) -> None:
    listens = ("--relay-listen", "h:1")
    assert "it takes --relay-tls-key" in refused(read, *listens, "--relay-tls-cert", "/c", toml="")
    assert "it takes --relay-tls-cert" in refused(read, *listens, "--relay-tls-key", "/k", toml="")


def test_a_password_in_a_relays_url_is_refused_and_not_repeated(read: Load) -> None:
    message = refused(read, "--relay", "https://user:hush@h", toml="")
    assert "leave them out" in message
    assert "hush" not in message


def test_relays_are_reached_by_the_proxy_that_the_environment_names(read: Load) -> None:
    relays = read(https_proxy="http://proxy:3128", NO_PROXY="localhost, .example.org").relays
    assert (relays.https_proxy, relays.no_proxy) == ("http://proxy:3128", ("localhost", ".example.org"))


def test_a_file_that_is_named_must_be_there(read: Load, tmp_path: Path) -> None:
    assert refused(read, "--config", "/nowhere.toml").startswith("--config: '/nowhere.toml' is not there")
    assert refused(read, PEAT_CONFIG="/nowhere.toml").startswith("PEAT_CONFIG (environment): '/nowhere.toml'")
    assert "cannot be read as TOML: Is a directory" in refused(read, "--config", str(tmp_path))
    other = tmp_path / "other.toml"
    other.write_bytes(b"\xff")
    assert "cannot be read as TOML" in refused(read, "--config", str(other))
    other.write_text('formation = "other"')
    assert read("--config", str(other), PEAT_CONFIG="/nowhere.toml").formation == "other"


def test_peers_come_from_flags_or_the_environment_or_the_file(read: Load) -> None:
    toml = """
        peer = ["carol@10.0.0.3:11204"]
        [[peers]]
        address = "dave.example.org:11204"
        [[peers]]
        address = "[fd00::5]:11204"
        name = "erin"
        relay_url = "https://relay.example.org"
    """
    carol = StaticPeer("carol", Address("10.0.0.3", 11204))
    dave = StaticPeer(None, Address("dave.example.org", 11204))
    erin = StaticPeer("erin", Address("fd00::5", 11204), "https://relay.example.org")
    assert read(toml=toml).peers == (carol, dave, erin)
    assert read(toml=toml, PEAT_STATIC_PEERS="bob@h:1, h:2 ,").peers == (
        StaticPeer("bob", Address("h", 1)),
        StaticPeer(None, Address("h", 2)),
    )
    given = read("--peer", "h:3", "--peer", "h:4", "--peer", "h:3", toml=toml, PEAT_STATIC_PEERS="bob@h:1")
    assert [str(peer.address) for peer in given.peers] == ["h:3", "h:4"]


def test_auto_finds_kubernetes_by_a_kubeconfig(read: Load, home: Path, tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.touch()
    config = read(KUBECONFIG=f"/nowhere:{named}")
    assert (config.discovery, config.kubeconfig, config.in_cluster) == (("kubernetes",), (named,), False)
    usual = home / ".kube" / "config"
    usual.parent.mkdir(parents=True)
    usual.touch()
    assert (read().discovery, read().kubeconfig) == (("kubernetes",), (usual,))


def test_a_kubeconfig_that_is_missing_matters_only_where_it_is_used(read: Load) -> None:
    assert refused(read, KUBECONFIG="/nowhere").startswith("KUBECONFIG (environment): '/nowhere' is not there")
    assert read("--discovery", "static", KUBECONFIG="/nowhere").discovery == ("static",)


def test_listed_peers_are_never_left_out_silently(read: Load) -> None:
    assert read("--peer", "h:1", KUBERNETES_SERVICE_HOST="10.96.0.1").discovery == ("kubernetes", "static")
    message = refused(read, "--discovery", "kubernetes", PEAT_STATIC_PEERS="h:1")
    assert message.startswith("PEAT_STATIC_PEERS (environment) lists peers, but --discovery leaves out static")


def test_discovery_none_is_no_source_at_all(read: Load) -> None:
    assert read("--discovery", "none").discovery == ()


def test_auto_without_a_cluster_looks_on_the_lan(read: Load) -> None:
    assert read("--peer", "h:1").discovery == ("mdns", "static")
    assert read("--discovery", "mdns,kubernetes,static").discovery == ("mdns", "kubernetes", "static")


@pytest.mark.parametrize("bind", ["127.0.0.1:11204", "[::1]:0", "localhost:11204"])
def test_a_node_that_no_lan_reaches_looks_there_only_if_it_is_told_to(read: Load, bind: str) -> None:
    assert read("--bind", bind).discovery == ("static",)
    assert read("--bind", bind, "--discovery", "mdns").discovery == ("mdns",)


def test_auto_can_be_joined_with_others(read: Load) -> None:
    assert read("--discovery", "static, auto", KUBERNETES_SERVICE_HOST="10.96.0.1").discovery == (
        "static",
        "kubernetes",
    )


def test_a_port_alone_keeps_the_host(read: Load) -> None:
    assert str(read(PEAT_IROH_BIND_PORT="5").bind) == "0.0.0.0:5"
    assert str(read(PEAT_BROKER_PORT="6", KUBERNETES_SERVICE_HOST="10.96.0.1").api) == "0.0.0.0:6"
    config = read(PEAT_BROKER_PORT="6", toml='api = "[::1]:7"')
    assert (str(config.api), config.origins["api"]) == ("[::1]:6", "PEAT_BROKER_PORT (environment)")
    assert str(read("--bind", "h:8", PEAT_IROH_BIND_PORT="5").bind) == "h:8"


def test_a_port_alone_does_not_contradict_the_whole_address(read: Load) -> None:
    assert str(read(PEAT_BIND="h:5", PEAT_IROH_BIND_PORT="5").bind) == "h:5"
    message = refused(read, PEAT_BIND="h:5", PEAT_IROH_BIND_PORT="6")
    assert "PEAT_BIND (environment) says port 5 and PEAT_IROH_BIND_PORT (environment) 6" in message
    assert refused(read, PEAT_IROH_BIND_PORT="x").startswith("PEAT_IROH_BIND_PORT (environment): 'x' is not a port")


def test_a_variable_that_kubernetes_made_is_recognised(read: Load) -> None:
    message = refused(read, PEAT_BROKER_PORT="tcp://10.96.3.4:8081")
    assert message.endswith("set enableServiceLinks: false")


def test_the_formation_secret_is_a_file_or_a_text(read: Load) -> None:
    text = read(PEAT_FORMATION_SECRET="aGVsbG8=")
    assert (text.formation_secret, text.formation_secret_file) == ("aGVsbG8=", None)
    assert text.origins["formation_secret_file"] == "PEAT_FORMATION_SECRET (environment)"
    assert read(PEAT_FORMATION_SECRET="aGVsbG8=", toml='formation_secret_file = "/s"').formation_secret == "aGVsbG8="
    flag = read("--formation-secret-file", "/s", PEAT_FORMATION_SECRET="aGVsbG8=")
    assert (flag.formation_secret, flag.formation_secret_file) == (None, Path("/s"))
    message = refused(read, PEAT_FORMATION_SECRET="aGVsbG8=", PEAT_FORMATION_SECRET_FILE="/s")
    assert "both set" in message
    assert "aGVsbG8=" not in message


def test_the_secret_is_shown_nowhere(read: Load, capsys: pytest.CaptureFixture[str]) -> None:
    assert "aGVsbG8=" not in repr(read(PEAT_FORMATION_SECRET="aGVsbG8="))
    with pytest.raises(SystemExit):
        read("--print-config", PEAT_FORMATION_SECRET="aGVsbG8=")
    out = capsys.readouterr().out
    assert "aGVsbG8=" not in out
    assert "# formation_secret is set, not shown  # PEAT_FORMATION_SECRET (environment)" in out


def test_data_dir_without_cluster_follows_xdg(read: Load) -> None:
    assert read(XDG_STATE_HOME="/var/state").data_dir == Path("/var/state/peat")
    assert refused(read, XDG_STATE_HOME="state").startswith("XDG_STATE_HOME (environment): 'state'")


def test_a_relative_path_on_the_command_line_is_made_whole(read: Load) -> None:
    assert read("--data-dir", "x").data_dir == Path.cwd() / "x"


def test_a_user_without_a_home_has_to_say_where(read: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert "--data-dir is not set" in refused(read, HOME="")
    assert read("--data-dir", "/x", HOME="").data_dir == Path("/x")


def test_the_node_is_called_like_its_host(read: Load) -> None:
    assert read().node_id == os.uname().nodename
    assert read().origins["node_id"] == "the host's name"
    assert read(HOSTNAME="peat-mesh-0", PEAT_NODE_ID="alice").node_id == "alice"


def test_a_service_account_without_a_namespace_file(read: Load, service_account: Path) -> None:
    (service_account / "namespace").unlink()
    assert read(PEAT_SERVICE_ACCOUNT_DIR=str(service_account)).namespace == "default"
    (service_account / "namespace").write_text("No Namespace")
    message = refused(read, PEAT_SERVICE_ACCOUNT_DIR=str(service_account))
    assert message.startswith(f"{service_account}/namespace: 'No Namespace'")
    (service_account / "namespace").write_bytes(b"\xff")
    assert "set --namespace" in refused(read, PEAT_SERVICE_ACCOUNT_DIR=str(service_account))
    assert read("--namespace", "mesh", PEAT_SERVICE_ACCOUNT_DIR=str(service_account)).namespace == "mesh"


@pytest.mark.parametrize(("installed", "engine"), [({"y-py", "pycrdt"}, "y-py"), ({"pycrdt"}, "pycrdt")])
def test_the_engine_is_one_that_is_installed(
    read: Load, monkeypatch: pytest.MonkeyPatch, installed: set[str], engine: str
) -> None:
    monkeypatch.setattr(surroundings, "is_installed", installed.__contains__)
    assert read().engine == engine
    for missing in {"y-py", "pycrdt"} - installed:
        assert refused(read, PEAT_ENGINE=missing).startswith("PEAT_ENGINE (environment): the engine")


def test_print_config_is_a_file_that_says_the_same(read: Load, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*arguments: str, toml: str | None = None) -> str:
        with pytest.raises(SystemExit) as exit_:
            read("--print-config", *arguments, toml=toml, HOSTNAME="alice")
        assert exit_.value.code == 0
        return capsys.readouterr().out

    arguments = ["--relay", "https://r", "--relay", "tcp://s:1"]
    arguments += ["--peer", "bob@h:1", "--peer", "[::1]:2", "--data-dir", '/tmp/"odd"\t\x7fdir', "--api", "h:1"]
    first = printed(*arguments)
    assert 'api = "h:1"  # --api' in first
    assert 'node_id = "alice"  # HOSTNAME (environment)' in first
    assert "# key_file is not set" in first
    config = read(toml=first)
    given = read(*arguments, toml="", HOSTNAME="alice")
    fields = [name for name in Config.__dataclass_fields__ if name not in ("origins", "service_account_dir")]
    assert [getattr(config, name) for name in fields] == [getattr(given, name) for name in fields]


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_go_to_stdout(read: Load, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        read(flag)
    assert exit_.value.code == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[0] in ("usage: peatd [options]", "peatd 0.1.0"), err) == (True, "")


def test_help_names_every_flag_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_flags(["--help"])
    words = capsys.readouterr().out.replace("[", " ").replace(",", " ").replace(";", " ").split()
    for setting in SETTINGS:
        assert setting.flag in words
        for variable in (*setting.variables, setting.port_variable):
            assert variable is None or variable in words


@given(st.sampled_from(SETTINGS), st.text(max_size=40))
def test_whatever_a_setting_is_given_it_takes_or_refuses(setting: Setting[object], text: str) -> None:
    with contextlib.suppress(ValueError):
        setting.parse(text)


@given(st.binary(max_size=60))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    with contextlib.suppress(ConfigError):
        load([], {"HOME": "/root"}, default_file=file)
