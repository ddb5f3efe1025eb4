"""Others who write the Corefile or its ConfigMap, and who write Ingresses."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import ApiError
from tests.corefiles import TAG, rule
from tests.integration.conftest import CONFIGMAPS, INGRESSES, World, eventually, ingress
from tests.integration.faults.proxy import Fault, FaultProxy
from tests.integration.faults.trial import (
    COMES,
    COREDNS,
    GOES,
    KEPT,
    Seen,
    Trial,
    controlled,
    foreign,
    history,
    repeatedly,
    rules_in,
)

QUIET = "nothing, for no harm is done"


# ---- what others do, again and again


def change(trial: Trial, edit: Callable[[str], str]) -> None:
    """Somebody else's edit, which is tried again when it meets another."""
    while True:
        found = trial.world.configmap()
        patch = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}}
        try:
            trial.world.patch_configmap({**patch, "data": {"Corefile": edit(found["data"]["Corefile"])}})
        except ApiError as error:
            if error.status != 409:
                raise
            continue
        return


def comment(number: int, text: str) -> str:
    return f"{text}# somebody's line {number}\n"


def ends_well(trial: Trial, said: str = "", seconds: float = 30) -> None:
    """It is as it should be after two polls, and the log has one line of it, or none."""
    begun = polls = trial.polls()

    def is_right() -> bool:
        nonlocal polls
        polls = trial.polls() - begun  # before what they have led to is looked at
        return trial.standing() == trial.wanted

    eventually(is_right, seconds)
    assert polls <= 2, polls
    trial.check()
    if said:
        trial.is_named_once(said)
    else:
        assert unexpected(trial) == []
    how = f"right again after {max(polls, 1)} {'polls' if polls > 1 else 'poll'}"
    trial.seen(trial.named(said)[0] if said else QUIET, how)


def unexpected(trial: Trial) -> list[str]:
    """Warnings and errors, without the one that each controller here has: CoreDNS has no Deployment."""
    return [line for line in trial.warned() if "is assumed" not in line]


def test_somebody_adds_a_line_twenty_times_a_second(trial: Trial) -> None:
    def add(number: int) -> None:
        change(trial, partial(comment, number))

    with repeatedly(0.05, add) as done:
        eventually(lambda: len(done) > 10)
        trial.change()
        eventually(lambda: trial.standing() == {KEPT, COMES})
        eventually(lambda: len(done) > 60)
    text = trial.world.cluster.corefile()
    assert [line for line in text.splitlines() if "somebody's" in line] == [f"# somebody's line {n}" for n in done]
    trial.check()
    met = trial.named("409 Conflict")
    trial.seen(met[0] if met else QUIET, "right while it goes on")


def test_somebody_edits_between_each_read_and_write(trial: Trial) -> None:
    numbers = iter(range(1_000_000))
    fault = Fault("PATCH", COREDNS, then=lambda: change(trial, partial(comment, next(numbers))))
    trial.meets(fault, "409 Conflict")
    assert all(write.status == 409 for write in trial.proxy.writes[1:-1]), trial.proxy.writes
    text = trial.world.cluster.corefile()
    assert [line for line in text.splitlines() if "somebody's" in line] == [
        f"# somebody's line {n}" for n in range(next(numbers))
    ]


@pytest.mark.parametrize("seconds", [0.0, 1.5], ids=["at once", "after some polls"])
def test_a_manager_reverts_it(trial: Trial, seconds: float) -> None:
    said = "has been undone 2 times or more"

    def revert(_: int) -> None:
        if trial.world.cluster.corefile() != trial.world.original:
            time.sleep(seconds)
            trial.world.write_corefile(trial.world.original)

    with repeatedly(0.05, revert):
        eventually(lambda: bool(trial.named(said)), 30)
        trial.change()
        eventually(lambda: bool(trial.named("has been undone 4 times or more")), 60)
    begun = time.monotonic()
    eventually(lambda: trial.standing() == trial.wanted, 30)
    waited = time.monotonic() - begun
    trial.always = set()  # what was reverted has lost all of them
    trial.check()
    first = [line for line in trial.named(said) if "still" not in line and "no longer" not in line]
    assert len(first) == 1, trial.log
    assert waited < 0.3 * 2**5
    trial.seen(first[0], f"right again when the pause was over, {waited:.1f} s after the last revert")


# ---- the ConfigMap is not what it was


def replaced(world: World, data: dict[str, str] | None, **more: Any) -> None:
    """Deletes the ConfigMap, and makes one anew."""
    with world.cluster.api() as api:
        api.delete(f"{CONFIGMAPS}/coredns")
        made(world, data, **more)


def made(world: World, data: dict[str, str] | None, **more: Any) -> None:
    item = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "coredns", "namespace": "kube-system"},
        **more,
    }
    with world.cluster.api() as api:
        api.create(CONFIGMAPS, item | ({"data": data} if data is not None else {}))


@pytest.fixture
def configmap(world: World) -> Iterator[None]:
    """Is there again in the end, as it was."""
    before = world.configmap()
    yield
    world.cluster.kubectl(
        "-n", "kube-system", "patch", "configmap", "coredns", "-p", '{"metadata":{"finalizers":null}}'
    )
    world.cluster.kubectl("-n", "kube-system", "delete", "configmap", "coredns", "--ignore-not-found")
    made(world, before["data"])


OTHER = ".:5353 {\n    # another\n    kubernetes cluster.local\n    forward . 192.0.2.1\n}\n"


@pytest.mark.usefixtures("configmap")
class TestTheConfigMap:
    def test_is_deleted_and_made_anew_with_another_corefile(self, trial: Trial) -> None:
        with trial.world.cluster.api() as api:
            api.delete(f"{CONFIGMAPS}/coredns")
        trial.change()
        said = 'configmaps "coredns" not found.*--configmap names'
        eventually(lambda: bool(trial.named(said)))
        made(trial.world, {"Corefile": OTHER, "another": "key"})
        trial.begun = trial.world.version()
        ends_well(trial, said)
        assert foreign(trial.world.cluster.corefile()) == OTHER
        assert trial.world.configmap()["data"]["another"] == "key"

    def test_is_made_anew_between_a_read_and_the_write(self, trial: Trial) -> None:
        is_made = threading.Event()

        def anew() -> None:
            replaced(trial.world, {"Corefile": OTHER})
            is_made.set()

        trial.proxy.faults.append(Fault("PATCH", COREDNS, then=anew, times=1))
        trial.change()
        assert is_made.wait(15)
        trial.begun = trial.world.version()
        ends_well(trial, "409 Conflict")
        assert foreign(trial.world.cluster.corefile()) == OTHER

    @pytest.mark.parametrize(
        ("data", "more", "said"),
        [
            pytest.param(None, {}, r"has no key Corefile with text \(its keys: none\)", id="has no data at all"),
            pytest.param({}, {}, r"has no key Corefile with text \(its keys: none\)", id="has no key"),
            pytest.param({"corefile": OTHER}, {}, r"has no key Corefile .*its keys: corefile", id="has another key"),
            pytest.param(
                None,
                {"binaryData": {"Corefile": "LjpoAAo="}},
                "has no key Corefile with text",
                id="has the Corefile as binary data",
            ),
            pytest.param({"Corefile": ""}, {}, "Corefile", id="has an empty Corefile"),
            pytest.param({"Corefile": "\n# }{\n"}, {}, "Corefile", id="has a Corefile of comments only"),
        ],
    )
    def test_for_a_while(self, trial: Trial, data: dict[str, str] | None, more: Any, said: str) -> None:
        replaced(trial.world, data, **more)
        version = trial.world.version()
        trial.change()
        said = f"ERROR poll failed: .*{said}"
        eventually(lambda: bool(trial.named(said)))
        time.sleep(1)
        assert trial.world.version() == version
        trial.world.patch_configmap({"data": {"Corefile": trial.world.original}, "binaryData": None})
        trial.begun = trial.world.version()
        ends_well(trial, said)
        assert foreign(trial.world.cluster.corefile()) == trial.world.original

    def test_is_immutable_for_a_while(self, trial: Trial) -> None:
        before = trial.world.configmap()["data"]
        trial.world.patch_configmap({"immutable": True})
        trial.change()
        said = "422 .*field is immutable when `immutable` is set"
        eventually(lambda: bool(trial.named(said)))
        replaced(trial.world, before)
        trial.begun = trial.world.version()
        ends_well(trial, said)
        assert foreign(trial.world.cluster.corefile()) == trial.world.original

    def test_is_being_deleted_for_a_while(self, trial: Trial) -> None:
        """It can be written until the last finalizer goes, and CoreDNS goes on to read it."""
        trial.world.patch_configmap({"metadata": {"finalizers": ["example.com/slow"]}})
        with trial.world.cluster.api() as api:
            api.delete(f"{CONFIGMAPS}/coredns")
        assert "deletionTimestamp" in trial.world.configmap()["metadata"]
        trial.change()
        ends_well(trial)
        trial.world.patch_configmap({"metadata": {"finalizers": None}})
        said = 'configmaps "coredns" not found'
        eventually(lambda: bool(trial.named(said)))
        made(trial.world, {"Corefile": trial.world.original})
        trial.begun = trial.world.version()
        ends_well(trial, said)

    def test_has_binary_data_beside_the_corefile(self, trial: Trial) -> None:
        trial.world.patch_configmap({"binaryData": {"picture": "/9j/4AAQ"}})
        trial.change()
        ends_well(trial)
        assert trial.world.configmap()["binaryData"] == {"picture": "/9j/4AAQ"}


LIMIT = 1024 * 1024


@pytest.mark.parametrize("where", ["another key", "lines of the Corefile", "binary data"])
def test_nothing_fits_into_the_configmap_for_a_while_which_is_filled_by(trial: Trial, where: str) -> None:
    used = len(trial.world.cluster.corefile())
    if where == "another key":
        trial.world.patch_configmap({"data": {"filler": "#" * (LIMIT - used)}})
    elif where == "binary data":
        trial.world.patch_configmap({"binaryData": {"filler": "IyMj" * ((LIMIT - used) // 3)}})
    else:
        line = "# " + "x" * 97 + "\n"
        room = LIMIT - used
        change(trial, lambda text: line * (room // 100) + "#" * (room % 100 - 1) + "\n" + text)
    trial.world.apply(ingress("comes", COMES))
    said = f"WARNING .*{COMES}.* left out: 2 of 3 hosts fit into the 1048576 bytes"
    eventually(lambda: bool(trial.named(said)))
    assert trial.standing() == {KEPT, GOES}
    trial.world.delete("goes")
    # A line less, and what comes next fits.
    if where == "another key":
        trial.world.patch_configmap({"data": {"filler": None}})
    elif where == "binary data":
        trial.world.patch_configmap({"binaryData": None})
    else:
        change(trial, lambda text: text.replace("# " + "x" * 97 + "\n", ""))
    eventually(lambda: trial.standing() == trial.wanted)
    trial.check()
    trial.seen(trial.named(said)[0], "right again with the next poll")


# ---- what others do to our lines


def ours(text: str) -> list[str]:
    return [line for line in text.splitlines(keepends=True) if line.endswith(f"{TAG}\n")]


EDITS: dict[str, Callable[[str], str]] = {
    "takes our lines out": lambda text: "".join(line for line in text.splitlines(True) if TAG not in line),
    "doubles our lines": lambda text: re.sub(rf"(.*{TAG}\n)", r"\1\1", text),
    "takes our comments away, as kubeadm upgrade does": lambda text: text.replace(f" {TAG}", ""),
    "takes all comments away": lambda text: re.sub(r" *#.*", "", text),
    "changes all line breaks to those of Windows": lambda text: text.replace("\n", "\r\n"),
    "changes all spaces to tabs": lambda text: text.replace("    ", "\t"),
    "changes the order of our lines": lambda text: text.replace(f"{rule(GOES)}\n", "").replace(
        f"{rule(KEPT)}\n", f"{rule(KEPT)}\n{rule(GOES)}\n"
    ),
    "takes the last line break away": lambda text: text.removesuffix("\n"),
    "puts it all on one host": lambda text: text.replace(GOES, "stolen.example.com"),
    "adds a server block": lambda text: text + "example.net:53 {\n    forward . 192.0.2.1\n}\n",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_somebody(trial: Trial, edit: Callable[[str], str]) -> None:
    trial.allowed |= {"stolen.example.com"}
    trial.always = set()
    with_comment = trial.world.original.replace("{\n", "{ # somebody's\n", 1)
    change(trial, lambda text: text.replace("{\n", "{ # somebody's\n", 1))
    trial.world.apply(ingress("comes", COMES))
    trial.world.delete("goes")
    change(trial, edit)
    eventually(lambda: standing(trial) == {KEPT, COMES} and is_mended(trial, edit(with_comment)))
    time.sleep(0.7)
    assert standing(trial) == {KEPT, COMES}
    assert is_mended(trial, edit(with_comment))
    assert "Traceback" not in trial.log
    assert trial.controller.running
    # Either edit may come while it writes what `comes` and `goes` ask for.
    said = unexpected(trial)
    assert [line for line in said if "409 Conflict" not in line] == []
    assert len(said) <= 2
    trial.seen(QUIET, "right again at once")


def is_mended(trial: Trial, others: str) -> bool:
    """Whether each host has one line, beside the lines of others."""
    text = trial.world.cluster.corefile()
    left = "".join(line for line in text.splitlines(keepends=True) if COMES not in line and KEPT not in line)
    return text.count(KEPT) == text.count(COMES) == 1 and left == others


def standing(trial: Trial) -> set[str]:
    """With any white space around it."""
    return rules_in(re.sub(r"\s*\n\s*rewrite", "\n    rewrite", trial.world.cluster.corefile()))


# ---- who may not be written to


POLICY = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/frozen"
BINDING = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/frozen"


@pytest.fixture
def frozen(world: World) -> Iterator[Callable[[], None]]:
    """An admission policy refuses each write of the Corefile by a controller; yields what ends that."""
    group = {"apiVersion": "admissionregistration.k8s.io/v1"}
    match = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}
    theirs = "request.userInfo.username.startsWith('system:serviceaccount:')"
    policy = {
        **group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "frozen"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [match]},
            "validations": [{"expression": f"!{theirs}", "message": "the Corefile is frozen until Monday"}],
        },
    }
    spec = {"policyName": "frozen", "validationActions": ["Deny"]}
    binding = {**group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "frozen"}, "spec": spec}
    with world.cluster.api() as api:
        api.apply(POLICY, policy)
        api.apply(BINDING, binding)

    def thaw() -> None:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            world.cluster.kubectl("delete", kind, "frozen", "--ignore-not-found")

    yield thaw
    thaw()


def test_an_admission_policy_refuses_each_write(trial: Trial, frozen: Callable[[], None]) -> None:
    said = "the Corefile is frozen until Monday"
    # It takes the API server a moment to know the policy.
    numbers = iter(range(1000))
    while not trial.named(said):
        trial.world.apply(ingress("comes", f"try-{next(numbers)}.example.com"))
        time.sleep(0.3)
    trial.allowed |= {f"try-{number}.example.com" for number in range(next(numbers))}
    version = trial.world.version()
    trial.change()
    time.sleep(1.5)
    assert trial.world.version() == version
    frozen()
    # So it does to forget it.
    eventually(lambda: trial.standing() == trial.wanted, 30)
    trial.check()
    trial.is_named_once(f"ERROR .*{said}")
    trial.seen(trial.named(said)[0], "right again with the first poll once the API server has forgotten the policy")


# ---- another controller


def test_two_of_us_with_the_same_settings_write_once_for_both(trial: Trial, tmp_path: Path) -> None:
    other = trial.world.controller(kubeconfig=trial.world.kubeconfig)
    try:
        eventually(lambda: "is assumed" in other.log.read_text() or "watch" in other.log.read_text())
        for number in range(5):
            trial.world.apply(ingress("comes", f"n{number}.example.com"))
            trial.allowed |= {f"n{number}.example.com"}
            time.sleep(0.7)
        trial.change()
        eventually(lambda: trial.standing() == trial.wanted)
        version = trial.world.version()
        time.sleep(2)
        assert trial.world.version() == version
        texts = list(history(trial.world, trial.begun).values())
        assert len(texts) <= 1 + 1 + 7, len(texts)  # the beginning, the first rules, and what was changed since
        assert len(set(texts)) == len(texts)
        both = trial.log + other.log.read_text()
        assert "Traceback" not in both
        assert "undone" not in both
    finally:
        other.stop()
    trial.check()
    met = [line for line in both.splitlines() if "409 Conflict" in line]
    trial.seen(met[0] if met else QUIET, f"they write no more often than one would: {len(texts) - 1} times")


def test_two_of_us_with_different_settings_write_ever_more_seldom(
    world: World, faulty: FaultProxy, through: Path, seen: Seen
) -> None:
    """Both lead to the same Service, so that each takes the other's rules for its own."""

    def start(metrics: str) -> Any:
        flags = ("--ingress-class", "nginx", "--metrics-address", metrics)
        return world.controller(*flags, kubeconfig=through)

    with controlled(world, faulty, seen, start, ingressClassName="nginx") as trial:
        world.apply(ingress("theirs", "theirs.example.com", ingressClassName="internal"))
        trial.allowed |= {"theirs.example.com"}
        trial.always = set()
        other = world.controller("--ingress-class", "internal")
        said = "what was written has been undone 2 times or more"
        try:
            eventually(lambda: bool(trial.named(said)), 20)
            eventually(lambda: bool(trial.named("undone 4 times or more")), 40)
            times = [time.monotonic()]
            version = world.version()
            while len(times) < 4:
                eventually(lambda version=version: world.version() != version, 60)
                version = world.version()
                times.append(time.monotonic())
            assert foreign(world.cluster.corefile()) == world.original
        finally:
            other.stop()
        world.apply(ingress("comes", COMES, ingressClassName="nginx"))
        world.delete("goes")
        begun = time.monotonic()
        eventually(lambda: trial.standing() == trial.wanted, 60)
        waited = time.monotonic() - begun
        trial.check()
        assert foreign(world.cluster.corefile()) == world.original
        first = [line for line in trial.named(said) if "still" not in line and "no longer" not in line]
        assert len(first) == 1
        writes = len(history(world, trial.begun))
        assert writes < 30, writes
        trial.seen(first[0], f"right again when the pause was over, {waited:.1f} s after the other was stopped")


# ---- Ingresses


def test_an_ingress_is_made_and_deleted_twenty_times_a_second(
    world: World, faulty: FaultProxy, through: Path, seen: Seen
) -> None:
    gap = 2.0

    def start(metrics: str) -> Any:
        flags = ("--min-write-interval", str(gap), "--metrics-address", metrics)
        return world.controller(*flags, kubeconfig=through)

    with controlled(world, faulty, seen, start) as trial:
        trial.allowed |= {"blinks.example.com"}
        before = len(history(world, trial.begun))
        begun = time.monotonic()

        def blink(number: int) -> None:
            if number % 2:
                world.delete("blinks")
            else:
                world.apply(ingress("blinks", "blinks.example.com"))

        with repeatedly(0.025, blink) as done:
            eventually(lambda: len(done) > 10)
            trial.change()
            eventually(lambda: len(done) >= 240, 180)
        took = time.monotonic() - begun
        writes = len(history(world, trial.begun)) - before
        assert 1 <= writes <= 1 + took / gap
        with_blinks = {*trial.wanted, *({"blinks.example.com"} if len(done) % 2 else set())}
        eventually(lambda: trial.standing() == with_blinks, gap + 5)
        trial.check()
        trial.seen(QUIET, f"{writes} writes for {len(done)} changes in {took:.0f} seconds, at most one in {gap:.0f}")


def test_five_thousand_ingresses_at_once(world: World, faulty: FaultProxy, through: Path, seen: Seen) -> None:
    names = [f"many-{number}.example.com" for number in range(5000)]

    def start(metrics: str) -> Any:
        flags = ("--min-write-interval", "30", "--rules", "lines", "--metrics-address", metrics)
        return world.controller(*flags, kubeconfig=through)

    with controlled(world, faulty, seen, start) as trial:
        trial.allowed |= set(names)
        before = len(history(world, trial.begun))
        begun = time.monotonic()
        with world.cluster.api() as api:
            for number, host in enumerate(names):
                api.create(INGRESSES, ingress(f"many-{number}", host))
        made_in = time.monotonic() - begun
        eventually(lambda: trial.standing() == {KEPT, GOES, *names}, 90)
        writes = len(history(world, trial.begun)) - before
        assert writes <= 2 + made_in / 30
        trial.check()
        assert unexpected(trial) == []
        with world.cluster.api() as api:
            # All at once takes longer than a call may.
            while api.get(f"{INGRESSES}?limit=1")["items"]:
                api.delete(f"{INGRESSES}?limit=500")
        trial.seen(QUIET, f"{writes} writes for 5,000 Ingresses that were made within {made_in:.0f} seconds")


def test_an_ingress_with_a_thousand_hosts(trial: Trial) -> None:
    names = [f"n{number}.example.com" for number in range(1000)]
    trial.allowed |= set(names)
    before = len(history(trial.world, trial.begun))
    trial.world.apply(ingress("large", *names))
    trial.change()
    eventually(lambda: trial.standing() == {*trial.wanted, *names})
    time.sleep(1)
    assert len(history(trial.world, trial.begun)) - before <= 3
    trial.check()
    trial.is_named_once("more than 50 hosts are not packed")
    trial.seen(trial.named("hosts are not packed")[0], "written at once, with the next poll")


def stored(world: World, name: str, hosts: list[str]) -> None:
    """An Ingress which the API server would refuse."""
    with world.cluster.api() as api:
        item = api.get(f"{INGRESSES}/kept")
    item["metadata"] = {**item["metadata"], "name": name, "uid": f"00000000-0000-0000-0000-{len(hosts):012}"}
    for unwanted in ("managedFields", "resourceVersion"):
        item["metadata"].pop(unwanted, None)
    item["spec"]["tls"] = [{"hosts": hosts}]
    world.cluster.etcd_put(f"/registry/ingress/default/{name}", json.dumps(item).encode())


def test_hosts_that_differ_only_in_case_have_one_rule(trial: Trial) -> None:
    stored(trial.world, "case", [COMES.upper(), COMES.title(), COMES, KEPT.upper()])
    trial.world.delete("goes")
    ends_well(trial)
