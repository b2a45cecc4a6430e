"""Values that operators may choose, by name: each one alone, and what belongs together."""

from deploy.chart import Json

TWO_SECRETS = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU=\nb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2w=\n"
_ANYBODY = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
_PEERS = ["edge-1@192.0.2.7:11204", "hub.example:31204"]
_CONFIG = """\
[[peers]]
address = "192.0.2.7:11204"
name = "edge-1"
"""

VALUES: dict[str, Json] = {
    "default": {},
    "one": {"replicaCount": 1},
    "none": {"replicaCount": 0},
    "named": {"fullnameOverride": "documents"},
    "image": {"image": {"repository": "registry.example/peatd", "tag": "1.2.3", "pullPolicy": "Always"}},
    "digest": {"image": {"digest": "sha256:" + "0" * 64}, "imagePullSecrets": [{"name": "pull"}]},
    "existing secret": {"formation": {"existingSecret": "theirs", "existingSecretKey": "text"}},
    "two secrets": {"formation": {"secret": TWO_SECRETS, "name": "field"}},
    "windows' secret": {"formation": {"secret": TWO_SECRETS.replace("\n", "\r\n")}},
    "key file": {"keyFile": "/data/node.key"},
    "discovery": {"discovery": {"annotationPrefix": "field.", "pollInterval": 2.5}},
    "another namespace": {"discovery": {"namespace": "elsewhere"}},
    "own selector": {"discovery": {"labelSelector": "team=field"}},
    "kubernetes alone": {"discovery": {"mode": "kubernetes"}},
    "static": {"discovery": {"mode": "static"}, "peers": _PEERS},
    "no discovery": {"discovery": {"mode": "none"}},
    "both": {"discovery": {"mode": "kubernetes, static"}, "peers": _PEERS},
    "peers": {"peers": _PEERS},
    "config": {"config": _CONFIG},
    "no config": {"config": "\n# nothing\n"},
    "relays": {"relayUrls": ["https://relay.example", "https://relay.example:8443", "tcp://relay.example:70"]},
    "IPv6": {"listenAddress": "::"},
    "ports": {"mesh": {"port": 7201}, "api": {"port": 7301}},
    "service annotations": {"mesh": {"serviceAnnotations": {"a": "b"}}, "api": {"serviceAnnotations": {"c": "d"}}},
    "node port": {"mesh": {"external": {"enabled": True, "nodePort": 31204, "externalTrafficPolicy": "Local"}}},
    "load balancer": {
        "mesh": {
            "external": {
                "enabled": True,
                "type": "LoadBalancer",
                "port": 443,
                "annotations": {"load-balancer": "internal"},
                "loadBalancerClass": "example.com/internal",
                "loadBalancerSourceRanges": ["192.0.2.0/24"],
            }
        },
        "networkPolicy": {"meshFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
    },
    "no clients": {"clients": {"enabled": False}},
    "clients from somewhere": {
        "clients": {"port": 9000, "origins": ["https://app.example.org", "https://b.example:8443"], "demoPage": "on"},
        "networkPolicy": {"meshFrom": _ANYBODY, "apiFrom": _ANYBODY, "clientsFrom": _ANYBODY},
    },
    "engine": {"engine": {"name": "pycrdt", "workers": 4}},
    "log": {"log": {"level": "debug", "format": "text"}},
    "no drain": {"drainDelay": 0},
    "long drain": {"drainDelay": 90.5},
    "extras": {
        "extraEnv": [
            {"name": "KUBECONFIG", "value": "/etc/kube/config"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "text"}}},
        ],
        "extraVolumes": [{"name": "kube", "secret": {"secretName": "kube"}}, {"name": "tmp", "emptyDir": {}}],
        "extraVolumeMounts": [
            {"name": "kube", "mountPath": "/etc/kube", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    },
    "persistence": {
        "persistence": {
            "size": "20Gi",
            "storageClass": "fast",
            "accessModes": ["ReadWriteOncePod"],
            "annotations": {"backup": "yes"},
            "whenDeleted": "Delete",
            "whenScaled": "Delete",
        }
    },
    "no storage class": {"persistence": {"storageClass": "-"}},
    "an odd tag": {"image": {"tag": "_" + "0123456789" * 6 + "1_-2.." + "3" * 40}},
    "what YAML takes for something else": {
        "fullnameOverride": "true",
        "formation": {"existingSecret": "0x1f", "existingSecretKey": "1e3"},
        "persistence": {"size": "5", "storageClass": "1e3"},
        "serviceAccount": {"name": "007"},
        "priorityClassName": "null",
        "discovery": {"namespace": "12345"},
        "mesh": {"external": {"enabled": True, "type": "LoadBalancer", "loadBalancerClass": "no"}},
    },
    "own account": {"serviceAccount": {"name": "field", "annotations": {"a": "b"}}},
    "existing account": {"serviceAccount": {"create": False, "name": "theirs"}},
    "default account": {"serviceAccount": {"create": False}},
    "no rights": {"rbac": {"create": False}},
    "resources": {"resources": {"requests": {"cpu": 2}, "limits": {"memory": "4Gi", "cpu": "3"}}},
    "probes": {
        "probes": {
            name: {"initialDelaySeconds": 1, "periodSeconds": 7, "timeoutSeconds": 4, "failureThreshold": 50}
            for name in ("startup", "liveness", "readiness")
        }
    },
    "no budget": {"podDisruptionBudget": {"enabled": False}},
    "budget": {"podDisruptionBudget": {"maxUnavailable": "30%"}},
    "no policy": {"networkPolicy": {"enabled": False}},
    "monitor": {"serviceMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prometheus"}}},
    "labels": {"podLabels": {"team": "field"}, "podAnnotations": {"sidecar.example/inject": "false"}},
    "scheduling": {
        "topologySpreadConstraints": [
            {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}
        ],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "edge", "operator": "Exists"}]}]
                }
            }
        },
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "system-cluster-critical",
    },
    "no spread": {"topologySpreadConstraints": []},
    "part of another chart": {"global": {"anything": 1}},
}
