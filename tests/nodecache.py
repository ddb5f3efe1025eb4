"""node-local-dns for tests: the Corefile of the standard manifest, and its objects."""

from typing import Any

TAG = "# Added by hairpin-proxy"
FOR = "# for hairpin-proxy.hairpin-proxy.svc.cluster.local"

_BLOCK = """\
{zone}:53 {{
    errors
    cache 30
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__CLUSTER__DNS__ {{
            force_tcp
    }}
    prometheus :9253
    }}
"""

STANDARD = (
    """\
cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__CLUSTER__DNS__ {
            force_tcp
    }
    prometheus :9253
    health __PILLAR__LOCAL__DNS__:8080
    }
"""
    + _BLOCK.format(zone="in-addr.arpa")
    + _BLOCK.format(zone="ip6.arpa")
    + """\
.:53 {
    errors
    cache 30
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__UPSTREAM__SERVERS__
    prometheus :9253
    }
"""
)
"""As the documentation has its placeholders replaced; the others are replaced by node-cache as it starts
(https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/)."""


def block(zone: str) -> str:
    """The block that is promised for a zone, written out once more so that a change of it is seen."""
    return f"""\
{zone}:53 {{ {FOR} {TAG}
    errors {TAG}
    cache 30 {TAG}
    reload {TAG}
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__ {TAG}
    prometheus :9253 {TAG}
    forward . __PILLAR__CLUSTER__DNS__ {{ {TAG}
        force_tcp {TAG}
    }} {TAG}
}} {TAG}
"""


def configmap(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def daemonset(**container: Any) -> dict[str, Any]:
    """As the standard manifest has it."""
    labels = {"k8s-app": "node-local-dns"}
    main = {
        "name": "node-cache",
        "image": "k8s-dns-node-cache:1.26.4",
        "args": [
            *("-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile"),
            *("-upstreamsvc", "kube-dns-upstream", "-pidfile", "/tmp/node-cache.pid"),
        ],
        "volumeMounts": [
            {"name": "config-volume", "mountPath": "/etc/coredns"},
            {"name": "kube-dns-config", "mountPath": "/etc/kube-dns"},
        ],
    }
    base = {"key": "Corefile", "path": "Corefile.base"}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "node-local-dns", "namespace": "kube-system", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [main | container],
                    "volumes": [
                        {"name": "kube-dns-config", "configMap": {"name": "kube-dns", "optional": True}},
                        {"name": "config-volume", "configMap": {"name": "node-local-dns", "items": [base]}},
                    ],
                },
            },
        },
    }


def replaced(text: str, *, cluster: str, local: str, upstream: str) -> str:
    """A template with its placeholders replaced as node-cache does it (cmd/node-cache/app/configmap.go)."""
    values = {
        "__PILLAR__UPSTREAM__SERVERS__": upstream,
        "__PILLAR__CLUSTER__DNS__": cluster,
        "__PILLAR__LOCAL__DNS__": local,
        "__PILLAR__DNS__SERVER__": "",
    }
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def stub_block(zone: str, port: int, local: str, servers: list[str]) -> str:
    """What node-cache puts behind the text for a stub domain."""
    lines = ["errors", "cache 30", f"bind {local}", f"forward . {' '.join(servers)}"]
    return "\n" + f"{zone}:{port} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"
