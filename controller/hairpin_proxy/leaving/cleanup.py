"""The way out from outside: for when no controller is there to take its rules out, or to do it in gentle steps."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from hairpin_proxy.configuration import READ_SECONDS
from hairpin_proxy.corefile.blocks import parse
from hairpin_proxy.corefile.checks import reloads
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.leaving import holds
from hairpin_proxy.leaving.installation import CommandLine, Installation, Thing
from hairpin_proxy.leaving.restore import restore, withdraw
from hairpin_proxy.names import CONTROLLER
from hairpin_proxy.providers.configmap import MissingError
from hairpin_proxy.providers.corefile import Corefile
from hairpin_proxy.settings import ConfigMapName

_STOP_SECONDS = 120
"""Twice the termination grace period of deploy.yml."""


def command_line(kube: Kube, deployment: Thing) -> CommandLine:
    """Empty if there is no such Deployment. Raises OperatorError if it is none of ours."""
    found = _deployment(kube, deployment)
    if not found:
        return CommandLine()
    container = _main_container(found, deployment)
    variables = container.get("env") or []
    if container.get("envFrom"):
        raise OperatorError(
            f"{deployment} takes its environment from another object (envFrom), which is not read here: put CONFIGMAP, "
            "CONFIGMAP_KEY and DESTINATION under env, or delete the Deployment and give them as flags"
        )
    words = (*(container.get("command") or ()), *(container.get("args") or ()))
    return CommandLine(
        words[words.index("run") + 1 :] if "run" in words else (),
        {variable["name"]: variable["value"] for variable in variables if "value" in variable},
        frozenset(variable["name"] for variable in variables if "valueFrom" in variable),
        known=True,
    )


def check_the_guess(kube: Kube, installation: Installation, configmap: ConfigMapName) -> None:
    """Whether this ConfigMap is the one of an install whose Deployment is gone: its Role names it.

    Raises OperatorError if the Role names another, or none is there while something is held.
    """
    role, _ = installation.rights
    try:
        rules = kube.get(role.path, role.kind).get("rules") or []
    except KubeError as error:
        if error.status != 404:
            raise
        rules = []
        if not any(found.held for found in holds.look(kube, installation.held).values()):
            return
    names = {name for rule in rules if "configmaps" in rule["resources"] for name in rule.get("resourceNames", ())}
    if configmap.name not in names:
        raise OperatorError(
            f"the Deployment is gone, and {role} does not name ConfigMap {configmap} but "
            f"{', '.join(sorted(names)) or 'none'}; say by --configmap which one the controller wrote"
        )


def cleanup(kube: Kube, installation: Installation, provider: Corefile, *, wait: bool, dry_run: bool) -> Iterator[str]:
    """Stops the controller, restores the Corefile, and lets go of what the finalizer holds; says each step.

    Raises OperatorError, and can be called again then.
    """
    yield from _stop(kube, installation.deployment, dry_run=dry_run)
    changes = restore(provider, dry_run=dry_run)
    yield from changes or [f"{provider} has no rule of hairpin-proxy"]
    yield from withdraw(provider, dry_run=dry_run)
    yield from _release(kube, installation, dry_run=dry_run)
    if wait and not dry_run:
        yield from _wait(provider)
    if not dry_run:
        _check_that_it_stays(kube, installation.deployment, provider)


def _stop(kube: Kube, deployment: Thing, *, dry_run: bool) -> Iterator[str]:
    """Scales the controller down rather than to delete it, so that its settings can be read again."""
    found = _deployment(kube, deployment)
    if not found:
        yield f"there is no {deployment}"
    elif dry_run:
        yield f"{deployment} would be scaled to 0"
    else:
        kube.merge_patch(deployment.path, {"spec": {"replicas": 0}})
        yield f"{deployment} scaled to 0; its pod takes up to a minute to end"
    if not dry_run:
        _wait_for_the_pods(kube, deployment.name.partition("/")[0])


def _wait_for_the_pods(kube: Kube, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    deadline = time.monotonic() + _STOP_SECONDS
    while True:
        pods = list(kube.items(path, "PodList", labelSelector=f"app={CONTROLLER}"))
        left = [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]
        if not left:
            return
        if time.monotonic() > deadline:
            raise OperatorError(
                f"pod {namespace}/{left[0]} has not ended in {_STOP_SECONDS} seconds and would undo the cleanup; if "
                f"its node is lost: kubectl -n {namespace} delete pod {left[0]} --force --grace-period=0"
            )
        time.sleep(1)


def _check_that_it_stays(kube: Kube, deployment: Thing, provider: Corefile) -> None:
    if restore(provider, dry_run=True):
        raise OperatorError(f"{provider} has rules of hairpin-proxy again: a controller still runs somewhere")
    found = _deployment(kube, deployment)
    if found and found["spec"].get("replicas"):
        raise OperatorError(
            f"{deployment} was scaled up again meanwhile and will undo this cleanup; take it out of whatever applies "
            "it (a GitOps tool?), then run this again"
        )


def _deployment(kube: Kube, deployment: Thing) -> Mapping[str, Any] | None:
    try:
        return kube.get(deployment.path, deployment.kind)
    except KubeError as error:
        if error.status == 404:
            return None
        raise


def _wait(provider: Corefile) -> Iterator[str]:
    try:
        corefile = provider.reader.read_ours().corefile
    except MissingError:
        return
    if not reloads(parse(corefile.text)):
        raise OperatorError(
            f"{corefile} has no reload plugin, so CoreDNS goes on as before until it is restarted; restart it before "
            "you delete the rest"
        )
    yield f"waiting {READ_SECONDS} seconds, in which kubelet and CoreDNS read it at their default settings"
    time.sleep(READ_SECONDS)


def _release(kube: Kube, installation: Installation, *, dry_run: bool) -> Iterator[str]:
    held = [thing for thing, found in holds.look(kube, installation.held).items() if found.held]
    if not dry_run and (problems := holds.release(kube, installation.held)):
        raise OperatorError("; ".join(problems))
    for thing in held:
        yield f"{thing} {'would be released' if dry_run else 'released: it can be deleted now'}"


def _main_container(deployment: Mapping[str, Any], thing: Thing) -> Mapping[str, Any]:
    containers: list[Mapping[str, Any]] = deployment["spec"]["template"]["spec"]["containers"]
    for container in containers:
        if container["name"] == "main":
            return container
    raise OperatorError(f"{thing} has no container main, so it is not the one of deploy.yml")
