"""How we come by a client of the API server: from the pod's service account, else from a kubeconfig.

Everything here blocks and runs in a worker thread. Importing this module imports the Kubernetes client, which costs
0.2 to 0.4 s and 20 MiB, so only the start of Kubernetes discovery does.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_kube_config
from yaml import YAMLError  # type: ignore[import-untyped]

from peatd.errors import DiscoveryError

_TOKEN_LIFE = 60.0
"""Seconds for which a token that was read is used; the kubelet renews the file long before a token expires."""

_KUBECONFIG_ERRORS = (ConfigException, YAMLError, OSError, LookupError, TypeError, ValueError, AttributeError)
"""Its loader reads the file without checking its shape first."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def open_client(service_account: Path, kubeconfig: Sequence[Path]) -> ApiClient:
    """A client of the cluster that this pod runs in, else of the kubeconfig's current context.

    The variables read here are Kubernetes' own protocol with its pods and clients, not settings of ours.

    Args:
        service_account: the directory that Kubernetes mounts in a pod.
        kubeconfig: files to read together; without any, those that `KUBECONFIG` names, else `~/.kube/config`.

    Raises:
        DiscoveryError: if there is neither, or what is there cannot be used.
    """
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    token = service_account / "token"
    if host and port and token.exists():
        return ApiClient(_in_cluster(service_account, host, port))
    path = os.pathsep.join(map(str, kubeconfig)) or os.environ.get("KUBECONFIG") or "~/.kube/config"
    # As for kubectl, some of several files may be missing.
    if any(Path(part).expanduser().exists() for part in path.split(os.pathsep) if part):
        return ApiClient(_from_kubeconfig(path))
    missing = "KUBERNETES_SERVICE_HOST is not set" if token.exists() else f"{token} does not exist"
    raise DiscoveryError(
        f"there is no Kubernetes cluster to ask: no service account ({missing}) and no kubeconfig ({path} does not"
        " exist). Run in a pod with a service account, set KUBECONFIG, or choose another --discovery"
    )


def _in_cluster(service_account: Path, host: str, port: str) -> Configuration:
    ca, token = service_account / "ca.crt", _Token(service_account / "token")
    if not ca.exists():
        raise DiscoveryError(f"the service account has no CA certificate: {ca} does not exist")
    configuration = Configuration()
    configuration.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    # The client would send requests to the in-cluster address through HTTPS_PROXY.
    configuration.proxy = None
    configuration.ssl_ca_cert = str(ca)
    try:
        configuration.api_key["authorization"] = token.read()
    except (OSError, ValueError) as exc:
        raise DiscoveryError(f"the service account's token cannot be used: {exc}") from exc
    configuration.refresh_api_key_hook = token.refresh  # type: ignore[assignment]  # declared by its default, None
    return configuration


class _Token:
    """A token file, read anew once a minute: the kubelet replaces it while we run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = 0.0

    def read(self) -> str:
        # A line break at its end, which an editor or a Secret brings, would make an invalid header.
        text = self._path.read_text(encoding="ascii").strip()
        if not text:
            raise ValueError(f"{self._path} is empty")
        self._read_at = time.monotonic()
        return f"Bearer {text}"

    def refresh(self, configuration: Configuration) -> None:
        """The client asks for this before each request. A file that is being replaced is read the next time."""
        if time.monotonic() - self._read_at < _TOKEN_LIFE:
            return
        try:
            configuration.api_key["authorization"] = self.read()
        except (OSError, ValueError) as exc:
            _log.warning("kubernetes_token_unreadable", path=str(self._path), error=str(exc))


def _from_kubeconfig(path: str) -> Configuration:
    configuration = Configuration()
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=path, client_configuration=configuration, persist_config=False
        )
    except _KUBECONFIG_ERRORS as exc:
        words = " ".join(str(exc).split())  # a parser's complaint has several lines
        raise DiscoveryError(f"the kubeconfig {path} cannot be used: {words}") from exc
    return configuration
