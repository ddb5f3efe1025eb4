"""The way out from outside: for when no controller is there to take its rules out, or to do it in gentle steps."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hairpin_proxy import corefile
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.leaving import holds
from hairpin_proxy.leaving.installation import CONTROLLER, Installation, Thing
from hairpin_proxy.leaving.restore import restore
from hairpin_proxy.leaving.turning import USUAL_SECONDS, Turning
from hairpin_proxy.providers.corefile_key import CorefileKey

_STOP_SECONDS = 120
"""Twice the termination grace period of deploy.yml."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """How the installed controller is started."""

    flags: tuple[str, ...] = ()
    """What follows the command `run`."""

    environment: Mapping[str, str] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    """Variables whose value stands in another object."""


def command_line(kube: Kube, deployment: Thing) -> CommandLine:
    """Empty if there is no such Deployment. Raises OperatorError if it is none of ours."""
    found = _deployment(kube, deployment)
    if not found:
        return CommandLine()
    container = _main_container(found, deployment)
    variables = container.get("env") or []
    words = (*(container.get("command") or ()), *(container.get("args") or ()))
    return CommandLine(
        words[words.index("run") + 1 :] if "run" in words else (),
        {variable["name"]: variable["value"] for variable in variables if "value" in variable},
        frozenset(variable["name"] for variable in variables if "valueFrom" in variable),
    )


def cleanup(
    kube: Kube, installation: Installation, provider: CorefileKey, *, wait: bool, dry_run: bool
) -> Iterator[str]:
    """Stops the controller, restores the Corefile, and lets go of what the finalizer holds; says each step.

    Raises OperatorError, and can be called again then.
    """
    yield from _stop(kube, installation.deployment, dry_run=dry_run)
    turning = Turning(kube, provider.configmap.namespace) if wait and not dry_run else None
    changes = restore(provider, dry_run=dry_run)
    if changes:
        yield f"{provider} {'would be updated' if dry_run else 'updated'}:\n{changes}"
    else:
        yield f"{provider} has no rule of hairpin-proxy"
    yield from _release(kube, installation, dry_run=dry_run)
    if turning:
        yield from _wait(turning, provider)
    if not dry_run:
        _check_that_it_stays_stopped(kube, installation.deployment)


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


def _check_that_it_stays_stopped(kube: Kube, deployment: Thing) -> None:
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


def _wait(turning: Turning, provider: CorefileKey) -> Iterator[str]:
    if not corefile.reloads(provider.read().text):
        yield f"{provider} has no reload plugin: restart CoreDNS now, or it will not read it"
    if turning.problem:
        yield f"CoreDNS cannot be asked which Corefile it runs: {turning.problem}"
    yield f"waiting until each pod of CoreDNS has read the Corefile, for at most {USUAL_SECONDS} seconds"
    turning.wait()
    yield "DNS has turned: no host leads to hairpin-proxy any more"


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
