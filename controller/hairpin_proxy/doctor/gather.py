"""What the API server says, for the stations: each part by itself, so that one that cannot be read hides no other."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from hairpin_proxy import nodecache
from hairpin_proxy.configuration import Configuration, Key, NodeCorefile
from hairpin_proxy.doctor.live import Asked
from hairpin_proxy.doctor.nodes import Node
from hairpin_proxy.doctor.seen import Call, Install, Object, T, Unseen
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.locate import NodeCache
from hairpin_proxy.names import (
    CONTROLLER,
    FIELD_MANAGER,
    HAPROXY,
    NODE_CONTROLLER,
    SERVICE_ACCOUNT,
    ServiceName,
    service,
)
from hairpin_proxy.providers import configmap
from hairpin_proxy.settings import Settings

_REVIEWS = "/apis/authorization.k8s.io/v1"


def attempt(read: Callable[[], T]) -> T | Unseen:
    """What it returns, or why it could not be read."""
    try:
        return read()
    except OperatorError as error:
        answer = error if isinstance(error, KubeError) else error.__cause__
        if not isinstance(answer, KubeError):
            return Unseen(str(error))
        return Unseen(str(error), answer.status, away=answer.status not in (403, 404))


def known(seen: Object | Unseen) -> Object | None:
    """The object, if it was seen."""
    return None if isinstance(seen, Unseen) else seen


def install(kube: Kube, namespace: str, settings: Settings, refused: str | None) -> Install:
    """What there is of the install in this namespace."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    name, nodes = service(settings.destination), f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{NODE_CONTROLLER}"
    return Install(
        namespace,
        settings,
        kube.namespace == namespace,
        attempt(lambda: kube.get(f"{path}/{CONTROLLER}", "Deployment")),
        attempt(lambda: kube.get(f"{path}/{HAPROXY}", "Deployment")),
        attempt(lambda: kube.get(name.path, "Service")) if name else Unseen("no Service", 404),
        attempt(lambda: kube.get(nodes, "DaemonSet")),
        refused,
    )


def listed(kube: Kube, path: str, kind: str, **selectors: str) -> list[Object] | Unseen:
    """All objects of a list."""
    return attempt(lambda: list(kube.items(path, kind, **selectors)))


def slices(kube: Kube, name: ServiceName) -> list[Object] | Unseen:
    """The EndpointSlices of a Service."""
    return listed(kube, name.slices_path, "EndpointSliceList", labelSelector=name.slices_selector)


def node(kube: Kube, cache: NodeCache, asked: tuple[Asked, ...]) -> Node:
    """A node-local-dns with what may be read of its ConfigMaps."""
    maps = [
        attempt(partial(configmap.read, kube, name)) if name else None for name in (cache.configmap, cache.stub_domains)
    ]
    corefile, stubs = (None if isinstance(each, Unseen) else each for each in maps)
    zones = frozenset[str]()
    with suppress(ValueError):
        zones = frozenset(nodecache.stub_domains(stubs.data)) if stubs else zones
    key = NodeCorefile(Key(corefile, cache.key), zones) if corefile and cache.key in corefile.data else None
    return Node(cache.workload, key, (stubs.name, stubs.data) if stubs else None, asked)


class Reviews(NamedTuple):
    """Which calls may be made, and by whom."""

    account: str
    allowed: dict[Call, bool]


def reviews(kube: Kube, seen: Install, calls: Iterable[Call]) -> Reviews | Unseen:
    """By an access review for each: of the controller's ServiceAccount, or of ourselves in its pod."""
    user = f"system:serviceaccount:{seen.namespace}:{SERVICE_ACCOUNT}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{seen.namespace}", "system:authenticated"]
    kind, who = ("Self", {}) if seen.in_pod else ("", {"user": user, "groups": groups})

    def may(call: Call) -> bool:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": f"{kind}SubjectAccessReview",
            "spec": {**who, "resourceAttributes": call._asdict()},
        }
        answer = kube.review(f"{_REVIEWS}/{kind.lower()}subjectaccessreviews", body)
        return (answer.get("status") or {}).get("allowed") is True

    account = f"ServiceAccount {seen.namespace}/{SERVICE_ACCOUNT}"
    return attempt(lambda: Reviews(account, {call: may(call) for call in calls}))


def age(key: Key) -> float | None:
    """Seconds since we wrote it last, by its managedFields; None if that cannot be seen."""
    entries = (key.configmap.item.get("metadata") or {}).get("managedFields") or ()
    times = [str(entry.get("time")) for entry in entries if entry.get("manager") == FIELD_MANAGER]
    return _since(max(times)) if times else None


def written(state: Configuration, key: Key) -> float | None:
    """Seconds since anybody wrote either of the Corefile and this key."""
    maps = {each.configmap.name: each.configmap.item for each in (state.corefile, key)}
    times = [
        str(entry.get("time"))
        for item in maps.values()
        for entry in (item.get("metadata") or {}).get("managedFields") or ()
    ]
    return _since(max(times)) if times else None


def _since(when: str) -> float | None:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(when.replace("Z", "+00:00"))).total_seconds()
    except ValueError:
        return None
