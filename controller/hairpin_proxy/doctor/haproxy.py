"""HAProxy: the Service that the rules lead to, and who answers there. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hairpin_proxy.corefile.checks import counted
from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.doctor.seen import Object, Server
from hairpin_proxy.names import HAPROXY, ServiceName

_OF_THE_TARGET = ("TARGET_SERVER", "TARGET_HTTP_PORT", "TARGET_HTTPS_PORT", "PROXY_PROTOCOL")

_MANY = 3
"""Restarts from which on they are a sign of something."""


def endpoints(slices: Sequence[Object], fits: Callable[[Object], bool]) -> list[Server]:
    """The ready endpoints of a Service, on those of its ports that fit."""
    found_all = {
        Server(address, number)
        for item in slices
        for number in [each.get("port") for each in item.get("ports") or () if fits(each)]
        for one in item.get("endpoints") or ()
        if number and (one.get("conditions") or {}).get("ready") is not False
        for address in one["addresses"]
    }
    return sorted(found_all)


def is_http(port: Object) -> bool:
    """Whether it is the Service's port for HTTP, as deploy.yml names it."""
    return port.get("name") == "http"


def is_https(port: Object) -> bool:
    """Whether it is the one for TLS."""
    return port.get("name") == "https"


def is_dns(port: Object) -> bool:
    """Whether a DNS server is asked there, whatever its name is."""
    return port.get("protocol") == "UDP"


def pods(slices: Sequence[Object]) -> int:
    """How many are ready, on whatever port. In a dual-stack cluster each is in two EndpointSlices."""
    ready = {
        (one.get("targetRef") or {}).get("uid") or one["addresses"][0]
        for each in slices
        for one in each.get("endpoints") or ()
        if (one.get("conditions") or {}).get("ready") is not False
    }
    return len(ready)


def findings(service: ServiceName, ready: int, deployment: Object | None) -> Iterator[Finding]:
    """Of the Service and its endpoints."""
    if ready:
        yield found(texts.HAPROXY, ready=counted(range(ready), "ready pod"), service=service)
        yield from _rollout(service.namespace, deployment)
    elif deployment and deployment["spec"].get("replicas") == 0:
        command = f"kubectl -n {service.namespace} scale deployment/{HAPROXY} --replicas=2"
        yield found(texts.NO_ENDPOINT, service=service, why=f": Deployment {HAPROXY} is scaled to 0", command=command)
    else:
        command = f"look at the logs of those named {HAPROXY}, and at: kubectl -n {service.namespace} get pods"
        yield found(texts.NO_ENDPOINT, service=service, why="", command=command)


def restarts(namespace: str, pods: Sequence[Object]) -> Iterator[Finding]:
    """Of pods that were restarted often."""
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            if status.get("restartCount", 0) >= _MANY:
                reason = ((status.get("lastState") or {}).get("terminated") or {}).get("reason", "an unknown reason")
                name = pod["metadata"]["name"]
                yield found(texts.RESTARTS, pod=name, count=status["restartCount"], reason=reason, namespace=namespace)


def skew(haproxy: Object, controller: Object) -> Iterator[Finding]:
    """Whether the tags of both images differ, where both have one."""
    tags = [_tag(_image(each)) for each in (haproxy, controller)]
    if all(tags) and tags[0] != tags[1]:
        yield found(texts.SKEW, haproxy=_image(haproxy), controller=_image(controller))


def environment(deployment: Object) -> dict[str, str | None]:
    """What its container `main` is given; None for a value that stands in another object."""
    main = _main(deployment)
    variables = main.get("env") or ()
    if not main or main.get("envFrom"):
        return dict.fromkeys(_OF_THE_TARGET)
    return {each["name"]: each.get("value", "") if "valueFrom" not in each else None for each in variables}


def _rollout(namespace: str, deployment: Object | None) -> Iterator[Finding]:
    status = (deployment or {}).get("status") or {}
    conditions = {each.get("type"): each for each in status.get("conditions") or ()}
    progress = conditions.get("Progressing") or {}
    if deployment and progress.get("status") == "False":
        ready, wanted = status.get("updatedReplicas", 0), deployment["spec"].get("replicas", 1)
        name = f"{namespace}/{HAPROXY}"
        yield found(texts.ROLLOUT_STUCK, name=name, ready=ready, wanted=wanted, namespace=namespace)


def _main(deployment: Object) -> dict[str, Any]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next((each for each in containers if each["name"] == "main"), {})


def _image(deployment: Object) -> str:
    return str(_main(deployment).get("image", ""))


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]
