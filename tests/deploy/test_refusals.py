"""Values that would keep nodes from starting, or have no effect, are refused with a sentence that says what to do."""

import pytest
from deploy.chart import CHART, SECRET, Json, Refused, helm, render
from deploy.permutations import TWO_SECRETS

PEERS = {"peers": ["192.0.2.7:11204"]}

REFUSED: list[tuple[Json, str]] = [
    ({"formation": {"secret": ""}}, "there is no formation secret"),
    ({"formation": {"secret": "\n \n"}}, "`peat secret new`"),
    ({"formation": {"secret": "c2hvcnQ="}}, "line 1 of formation.secret has 5 bytes, at least 16 are needed"),
    ({"formation": {"secret": TWO_SECRETS + "c2hvcnQ="}}, "line 3 of formation.secret has 5 bytes"),
    ({"formation": {"secret": "not base64!"}}, "line 1 of formation.secret is not base64: make one with `peat secret"),
    ({"formation": {"secret": SECRET, "existingSecret": "theirs"}}, "are both set: keep one of the two"),
    ({"extraEnv": [{"name": "PEAT_BIND", "value": "1"}]}, "extraEnv sets PEAT_BIND, which is set already"),
    ({"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "extraEnv sets A"),
    ({"extraEnv": [{"name": "PEAT_FORMATION_SECRET", "value": SECRET}]}, "extraEnv sets PEAT_FORMATION_SECRET"),
    ({"extraEnv": [{"name": "PEAT_BROKER_PORT", "value": "1"}]}, "extraEnv sets PEAT_BROKER_PORT"),
    ({"extraEnv": [{"name": "A", "value": 1}]}, "/extraEnv/0/value"),
    ({"extraEnv": [{"name": "A", "vale": "1"}]}, "additional properties 'vale' not allowed"),
    ({"extraVolumes": [{"name": "data", "emptyDir": {}}]}, 'a volume "data", which is there already'),
    ({"extraVolumeMounts": [{"name": "no", "mountPath": "/no"}]}, '"no", which extraVolumes does not have'),
    ({"extraVolumeMounts": [{"name": "data", "mountPath": "/data/"}]}, "where something is mounted already"),
    ({"config": "bind = 1"}, "config sets bind, which a value of this chart sets already"),
    ({**PEERS, "config": "[[peers]]\naddress = 'a:1'"}, "config sets peers"),
    ({"clients": {"enabled": False}, "config": "clients = '0.0.0.0:8082'"}, "use clients.enabled"),
    ({"config": "node_id = 'alice'"}, "a node is called like its pod"),
    ({"config": "namespace = 'a'"}, "use discovery.namespace"),
    ({"config": "= 1"}, "config is not TOML"),
    ({**PEERS, "discovery": {"mode": "kubernetes"}}, "add static to it, or remove the peers"),
    ({"config": "[[peers]]\naddress = 'a:1'", "discovery": {"mode": "none"}}, "add static to it"),
    ({"api": {"port": 11204}}, "share a port"),
    ({"clients": {"port": 8081}}, "share a port"),
    ({"clients": {"enabled": False, "origins": ["*"]}}, "no effect without clients.enabled"),
    ({"clients": {"enabled": False, "demoPage": "on"}}, "no effect without clients.enabled"),
    ({"clients": {"origins": ["app.example.org"]}}, "/clients/origins/0"),
    ({"mesh": {"external": {"enabled": True, "loadBalancerSourceRanges": ["::/0"]}}}, "have no effect: remove them"),
    ({"replicas": 3}, "additional properties 'replicas' not allowed"),
    ({"mesh": {"external": {"tpye": "NodePort"}}}, "additional properties 'tpye' not allowed"),
    ({"discovery": {"mode": "mdns"}}, "/discovery/mode"),
    ({"replicaCount": "3"}, "/replicaCount"),
    ({"drainDelay": -1}, "/drainDelay"),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "/podLabels"),
    ({"podAnnotations": {"checksum/config": "x"}}, "/podAnnotations"),
    ({"fullnameOverride": "2x"}, "/fullnameOverride"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_it_is_refused_with_a_sentence(values: Json, words: str) -> None:
    with pytest.raises(Refused) as refused:
        render(values)
    assert words in str(refused.value)


def test_without_any_value_it_says_how_to_make_a_secret() -> None:
    with pytest.raises(Refused) as refused:
        helm("template", "peat-mesh", str(CHART))
    assert "make one with `peat secret new --out secret` and add --set-file formation.secret=secret" in str(
        refused.value
    )


def test_a_release_that_no_service_can_be_called_after() -> None:
    with pytest.raises(Refused, match="set fullnameOverride"):
        render(release="2peat")
