"""A ConfigMap: read whole, written by the key, and only if nobody else has written it meanwhile."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from hairpin_proxy.configuration import ConfigMap
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.names import COREDNS_NAMESPACE, NAMESPACE, SERVICE_ACCOUNT, role, role_binding
from hairpin_proxy.settings import ConfigMapName


class MissingError(OperatorError):
    """There is no such ConfigMap."""


class ForbiddenError(OperatorError):
    """We have no right to it; the text has the command that gives it."""


def read(kube: Kube, name: ConfigMapName, *, optional: bool = False) -> ConfigMap:
    """Raises KubeError, MissingError or ForbiddenError, which counts as no failure if it is `optional`."""
    path = _path(name)
    try:
        item = kube.get(path, "ConfigMap", optional=optional)
    except KubeError as error:
        if error.status == 404:
            raise MissingError(f"{error} (--configmap names the ConfigMap that CoreDNS reads)") from error
        raise _forbidden(kube, error, name) from error
    try:
        return _configmap(name, item)
    except (AttributeError, TypeError, ValueError) as error:
        raise KubeError(f"GET {path}", f"the answer is no ConfigMap: {error}") from error


def write(kube: Kube, configmap: ConfigMap, key: str, text: str | None) -> None:
    """Replaces this key and nothing else, or takes it away; not if the object has changed since it was read.

    Raises KubeError, with status 409 in that case, or ForbiddenError.
    """
    patch = {"metadata": {"resourceVersion": configmap.resource_version}, "data": {key: text}}
    try:
        kube.merge_patch(_path(configmap.name), patch)
    except KubeError as error:
        if error.status is None or error.status >= 500:
            said = f"{error} (the next poll shows whether this was written)"
            raise OperatorError(said, error.retry_after) from error
        raise _forbidden(kube, error, configmap.name) from error


def _path(name: ConfigMapName) -> str:
    return f"/api/v1/namespaces/{name.namespace}/configmaps/{name.name}"


def _configmap(name: ConfigMapName, item: Mapping[str, Any]) -> ConfigMap:
    data = item.get("data") or {}
    version = item["metadata"].get("resourceVersion")
    if not version:
        # A patch without it would overwrite whatever is there.
        raise ValueError("it has no metadata.resourceVersion")
    texts = {key: text for key, text in data.items() if isinstance(text, str)}
    values = [text.encode() for text in texts.values()]
    values += [base64.b64decode(value, validate=True) for value in (item.get("binaryData") or {}).values()]
    return ConfigMap(name, texts, version, sum(map(len, values)), item)


def _forbidden(kube: Kube, error: KubeError, name: ConfigMapName) -> OperatorError:
    """The error itself or, for a missing right, one with the command that gives it."""
    if error.status != 403:
        return error
    verbs, resource, namespace = ["get", "patch"], "configmaps", kube.namespace or NAMESPACE
    ours, binding = role(namespace), role_binding(namespace)
    if name.namespace == COREDNS_NAMESPACE:
        rule = {"apiGroups": [""], "resources": [resource], "resourceNames": [name.name], "verbs": verbs}
        patch = json.dumps([{"op": "add", "path": "/rules/-", "value": rule}], separators=(",", ":"))
        command = f"kubectl -n {name.namespace} patch role {ours} --type json -p '{patch}'"
    else:
        command = (
            f"kubectl -n {name.namespace} create role {ours} --verb={','.join(verbs)} --resource={resource} "
            f"--resource-name={name.name} && kubectl -n {name.namespace} create rolebinding {binding} "
            f"--role={ours} --serviceaccount={namespace}:{SERVICE_ACCOUNT}"
        )
    return ForbiddenError(f"{error}: {command}")
