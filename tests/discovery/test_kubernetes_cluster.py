"""How Kubernetes discovery finds its cluster: service account, kubeconfig, namespace, token and CA."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from fakes.apiserver import FakeApiServer
from fakes.certificates import Authority
from fakes.endpointslices import endpoint_slice, pod
from fakes.running import running

from peatd.discovery import kubernetes_client
from peatd.discovery.events import PeerFound
from peatd.discovery.kubernetes import KubernetesDiscovery, KubernetesDiscoveryConfig
from peatd.errors import DiscoveryError

# CPython leaves an SSLSocket to the garbage collector, with a warning, whose connection is reset between its connect
# and its handshake (ssl.SSLSocket._create, 3.11.7). Cutting a connection does just that now and then.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[FakeApiServer]:
    with FakeApiServer(authority.server_context()) as server:
        server.tokens = {"the-token"}
        server.put(endpoint_slice("mesh", pod("alice", "10.0.0.1")))
        server.put(endpoint_slice("mesh", pod("other", "10.0.0.2"), namespace="default"))
        yield server


@pytest.fixture
def mounted(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> KubernetesDiscoveryConfig:
    """A pod's service account, as the kubelet mounts it, and a home without a kubeconfig."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "token").write_text("the-token\n")
    (tmp_path / "namespace").write_text("peat\n")
    assert authority.ca_file == tmp_path / "ca.crt"
    return KubernetesDiscoveryConfig(service_account_dir=tmp_path)


@pytest.fixture
def in_cluster(
    mounted: KubernetesDiscoveryConfig, tls_server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> KubernetesDiscoveryConfig:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(tls_server.port))
    return mounted


async def first_found(discovery: KubernetesDiscovery) -> str:
    async with running(discovery) as events:
        event = await events.receive()
    assert isinstance(event, PeerFound)
    return event.peer.node_id


async def test_a_pod_uses_its_service_account(in_cluster: KubernetesDiscoveryConfig) -> None:
    assert await first_found(KubernetesDiscovery(in_cluster)) == "alice"


async def test_in_a_cluster_no_proxy_is_asked(
    in_cluster: KubernetesDiscoveryConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert await first_found(KubernetesDiscovery(in_cluster)) == "alice"


async def test_without_a_namespace_anywhere_it_is_default(in_cluster: KubernetesDiscoveryConfig) -> None:
    (in_cluster.service_account_dir / "namespace").unlink()
    assert await first_found(KubernetesDiscovery(in_cluster)) == "other"


async def test_the_configured_namespace_comes_first(in_cluster: KubernetesDiscoveryConfig) -> None:
    config = KubernetesDiscoveryConfig(namespace="default", service_account_dir=in_cluster.service_account_dir)
    assert await first_found(KubernetesDiscovery(config)) == "other"


async def test_a_token_that_was_replaced_is_read_when_the_old_one_is_refused(
    in_cluster: KubernetesDiscoveryConfig, tls_server: FakeApiServer
) -> None:
    discovery = KubernetesDiscovery(in_cluster)
    async with running(discovery) as events:
        await events.receive()
        await tls_server.until(tls_server.is_watched)
        tls_server.tokens = {"the-next-token"}
        tls_server.cut_watches("fin")
        await tls_server.until(lambda: tls_server.count("watch") >= 3)
        assert "(401)" in (discovery.status().message or "")
        (in_cluster.service_account_dir / "token").write_text("the-next-token\n")
        await tls_server.until(tls_server.is_watched)
    assert tls_server.requests[-1].authorization == "Bearer the-next-token"


async def test_a_token_is_read_again_before_it_is_refused(
    in_cluster: KubernetesDiscoveryConfig, tls_server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_client, "_TOKEN_LIFE", 0.0)
    async with running(KubernetesDiscovery(in_cluster)) as events:
        await events.receive()
        await tls_server.until(tls_server.is_watched)
        tls_server.tokens = {"the-next-token"}
        (in_cluster.service_account_dir / "token").write_text("the-next-token\n")
        tls_server.cut_watches("fin")
        await tls_server.until(lambda: tls_server.count("watch") >= 2 and tls_server.is_watched())


async def test_a_token_file_that_is_gone_for_a_moment_does_no_harm(
    in_cluster: KubernetesDiscoveryConfig, tls_server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_client, "_TOKEN_LIFE", 0.0)
    async with running(KubernetesDiscovery(in_cluster)) as events:
        await events.receive()
        await tls_server.until(tls_server.is_watched)
        (in_cluster.service_account_dir / "token").write_text("")
        tls_server.cut_watches("fin")
        await tls_server.until(lambda: tls_server.count("watch") >= 2 and tls_server.is_watched())


async def test_an_api_server_of_another_ca_is_not_believed(
    in_cluster: KubernetesDiscoveryConfig, tls_server: FakeApiServer, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (in_cluster.service_account_dir / "ca.crt").write_bytes(Authority(tmp_path / "other").ca_file.read_bytes())
    discovery = KubernetesDiscovery(in_cluster)
    async with running(discovery):
        await tls_server.until(lambda: tls_server.connected >= 2)
        status = discovery.status()
    assert not status.ready
    assert "certificate verify failed" in (status.message or "")
    assert tls_server.requests == []


def write_kubeconfig(path: Path, server: FakeApiServer, authority: Authority) -> None:
    cluster = {"server": server.url, "certificate-authority": str(authority.ca_file)}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "the-token"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kubeconfig))


@pytest.mark.parametrize("where", ["KUBECONFIG", "home"])
async def test_outside_a_cluster_a_kubeconfig_is_used(
    where: str,
    mounted: KubernetesDiscoveryConfig,
    tls_server: FakeApiServer,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / ".kube" / "config"
    if where == "KUBECONFIG":
        path = tmp_path / "elsewhere.yaml"
        monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{path}")
    write_kubeconfig(path, tls_server, authority)
    assert await first_found(KubernetesDiscovery(mounted)) == "alice"


async def refused(config: KubernetesDiscoveryConfig) -> str:
    discovery = KubernetesDiscovery(config)
    with trio.fail_after(10), pytest.raises(DiscoveryError) as caught:
        await discovery.start()
    return str(caught.value)


async def test_without_a_service_account_and_a_kubeconfig_both_are_named(mounted: KubernetesDiscoveryConfig) -> None:
    (mounted.service_account_dir / "token").unlink()
    message = await refused(mounted)
    assert str(mounted.service_account_dir / "token") in message
    assert "~/.kube/config" in message
    assert "KUBECONFIG" in message


async def test_a_token_without_an_api_server_is_no_cluster(mounted: KubernetesDiscoveryConfig) -> None:
    assert "KUBERNETES_SERVICE_HOST is not set" in await refused(mounted)


async def test_an_unusable_service_account_is_named(in_cluster: KubernetesDiscoveryConfig) -> None:
    (in_cluster.service_account_dir / "token").write_text("\n")
    assert f"{in_cluster.service_account_dir / 'token'} is empty" in await refused(in_cluster)
    (in_cluster.service_account_dir / "ca.crt").unlink()
    assert str(in_cluster.service_account_dir / "ca.crt") in await refused(in_cluster)


@pytest.mark.parametrize("text", ["", "{}", "[", "[]", "a: b", "clusters: 3", "current-context: x"])
async def test_an_unusable_kubeconfig_is_named(text: str, mounted: KubernetesDiscoveryConfig, tmp_path: Path) -> None:
    (mounted.service_account_dir / "token").unlink()
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(text)
    message = await refused(mounted)
    assert "kubeconfig ~/.kube/config cannot be used" in message
    assert "\n" not in message
