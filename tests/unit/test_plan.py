"""The next edit of CoreDNS's configuration: the Corefile, the key that it imports, and from one to the other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import pytest

from hairpin_proxy import nodecache
from hairpin_proxy.configuration import LIMIT, MARK, ConfigMap, Configuration, Key, NodeCorefile, Rules, canary
from hairpin_proxy.corefile import Writing, read, render, render_file
from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.plan import Plan
from hairpin_proxy.settings import ConfigMapName
from tests import distributions
from tests.corefiles import DESTINATION, KUBEADM, TAG, TO_US, rule, written
from tests.nodecache import STANDARD, block

A, B, C = "a.example.com", "b.example.com", "c.example.com"
OLD = "hairpin-proxy.old.svc.cluster.local"
PLAN = Plan(Rules(DESTINATION))
OTHER_INSTALL = Writing(OLD)
ADOPTING = Plan(Rules(DESTINATION, (OLD,)))
COREFILE, IMPORTED = "key Corefile of ConfigMap kube-system/coredns", "key ours of ConfigMap kube-system/coredns-custom"
K3S: str = distributions.configmap("k3s", "kube-system/coredns")["data"]["Corefile"]
IMPORT = "/etc/coredns/custom/*.override"


def configmap(name: str, data: Mapping[str, str], room: int = LIMIT) -> ConfigMap:
    """One that has so many bytes left."""
    return ConfigMap(ConfigMapName("kube-system", name), data, "7", LIMIT - room, {})


def corefile(text: str, room: int = LIMIT) -> Key:
    return Key(configmap("coredns", {"Corefile": text}, room), "Corefile")


def imported(text: str, room: int = LIMIT) -> Key:
    data = {"theirs": "log\n", **({"ours": text} if text else {})}
    return Key(configmap("coredns-custom", data, room), "ours")


def with_rules(text: str, *hosts: str, destination: str = DESTINATION) -> str:
    return render(text, hosts, Writing(destination))


def lines(*hosts: str, destination: str = DESTINATION) -> str:
    """An imported key with these rules."""
    return "".join(rule(host, destination).strip() + "\n" for host in hosts)


@dataclass
class World:
    """Both documents, and polls that edit them."""

    corefile: str = K3S
    imported: str | None = ""
    uses_import: bool = True
    live: bool = False
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    installs: frozenset[str] = frozenset()
    plan: Plan = PLAN
    touched: list[str] = field(default_factory=list)

    @property
    def state(self) -> Configuration:
        ours = None if self.imported is None else imported(self.imported)
        return Configuration(
            corefile(self.corefile),
            ours,
            uses_import=self.uses_import,
            live=self.live,
            files=self.files,
            installs=self.installs,
        )

    def poll(self, *hosts: str) -> Edit:
        edit = self.plan.edit(self.state, set(hosts))
        if edit.current != edit.desired:
            self.touched.append(edit.document)
            if edit.document == COREFILE:
                assert edit.current == self.corefile
                self.corefile = edit.desired
            else:
                assert (edit.document, edit.current) == (IMPORTED, self.imported)
                self.imported = edit.desired
        assert self.plan.owned(self.state) == edit.hosts
        return edit

    def settle(self, *hosts: str) -> list[str]:
        """Polls until nothing is left to do; returns which documents were written, in order."""
        self.touched.clear()
        before = self.plan.owned(self.state) & set(hosts)
        while True:
            edit = self.poll(*hosts)
            assert before <= edit.hosts, "a host that had a rule lost it for a while"
            if edit.current == edit.desired:
                return list(self.touched)
            assert len(self.touched) < 10, "it never ends"


# ---- rules in the Corefile


def test_rules_go_into_the_corefile() -> None:
    state = Configuration(corefile(KUBEADM))
    text = with_rules(KUBEADM, A, B)
    assert PLAN.edit(state, [B, A]) == Edit(COREFILE, KUBEADM, text, frozenset({A, B}))
    assert PLAN.owned(state) == set()


def test_what_is_as_it_should_be_is_no_change() -> None:
    text = with_rules(KUBEADM, A, B)
    state = Configuration(corefile(text))
    assert PLAN.edit(state, {A, B}) == Edit(COREFILE, text, text, frozenset({A, B}))
    assert PLAN.owned(state) == {A, B}


def test_without_hosts_the_corefile_is_as_it_was() -> None:
    assert PLAN.edit(Configuration(corefile(with_rules(KUBEADM, A))), ()) == Edit(
        COREFILE, with_rules(KUBEADM, A), KUBEADM, frozenset()
    )


def test_where_an_import_is_not_used_rules_leave_it_after_the_corefile_has_them() -> None:
    world = World(K3S, "log\n" + lines(A, B), uses_import=False)
    assert world.settle(A, B, C) == [COREFILE, IMPORTED]
    assert (world.corefile, world.imported) == (with_rules(K3S, A, B, C), "log\n")


def test_an_administrators_rule_in_the_corefile_is_no_reason_to_write_none_there() -> None:
    text = KUBEADM.replace("    cache 30\n", f"    rewrite name {A} x.example.org\n    cache 30\n")
    assert PLAN.edit(Configuration(corefile(text)), {A}).hosts == {A}


# ---- rules in the imported key


def test_rules_go_into_the_import_and_nothing_into_the_corefile() -> None:
    world = World()
    assert world.poll(B, A) == Edit(IMPORTED, "", lines(A, B), frozenset({A, B}))
    assert world.settle(A, B) == []
    assert world.settle(B) == [IMPORTED]
    assert (world.corefile, world.imported) == (K3S, lines(B))
    assert world.settle() == [IMPORTED]
    assert (world.corefile, world.imported) == (K3S, "")


def test_lines_of_others_in_the_imported_key_stay() -> None:
    world = World(imported="log")
    world.settle(A)
    assert world.imported == "log\n" + lines(A).rstrip("\n")
    world.settle()
    assert world.imported == "log"


@pytest.mark.parametrize("uses_import", [True, False])
def test_nothing_to_do_where_nothing_is(uses_import: bool) -> None:
    assert World(uses_import=uses_import).settle() == []
    assert World("example.org {\n}\n", uses_import=uses_import).settle() == []


# ---- from the Corefile to the imported key


def test_rules_leave_the_corefile_once_the_import_is_seen_to_be_at_work() -> None:
    world = World(with_rules(K3S, A, B))
    assert world.settle(A, B) == [IMPORTED]
    assert world.imported == render_file("", {A, B, canary({A, B})}, TO_US)
    assert world.corefile == with_rules(K3S, A, B)

    world.live = True
    edit = world.poll(A, B)
    assert edit[::3] == (COREFILE, frozenset({A, B}))
    assert world.corefile == K3S
    assert world.settle(A, B) == [IMPORTED]
    assert world.imported == lines(A, B)
    world.live = False
    assert world.settle(A, B) == []


def test_a_new_host_meanwhile_goes_only_into_the_import() -> None:
    world = World(with_rules(K3S, A))
    world.settle(A)
    assert world.settle(A, B) == [IMPORTED]
    assert world.corefile == with_rules(K3S, A)
    world.live = True
    assert world.settle(A, B) == [COREFILE, IMPORTED]
    assert (world.corefile, world.imported) == (K3S, lines(A, B))


def test_a_host_that_is_no_longer_wanted_meanwhile_leaves_both() -> None:
    world = World(with_rules(K3S, A, B))
    world.settle(A, B)
    assert world.settle(B) == [IMPORTED, COREFILE]
    assert (world.corefile, PLAN.owned(world.state)) == (with_rules(K3S, B), frozenset({B}))


def test_all_of_them_no_longer_wanted_meanwhile() -> None:
    world = World(with_rules(K3S, A, B))
    world.settle(A, B)
    assert sorted(world.settle()) == [COREFILE, IMPORTED]
    assert (world.corefile, world.imported) == (K3S, "")


def test_rules_in_the_corefile_for_what_nobody_wants_need_no_canary() -> None:
    world = World(with_rules(K3S, A))
    assert sorted(world.settle(B)) == [COREFILE, IMPORTED]
    assert (world.corefile, world.imported) == (K3S, lines(B))


def test_what_is_live_but_lacks_a_host_is_not_enough_for_it() -> None:
    world = World(with_rules(K3S, A, B), render_file("", {A, canary({A})}, TO_US), live=True)
    edit = world.poll(A, B)
    assert edit.document == IMPORTED
    assert world.corefile == with_rules(K3S, A, B)


def test_the_canary_of_other_hosts_says_nothing_of_these() -> None:
    """A key of before may be at work, and this one not be mounted yet."""
    world = World(with_rules(K3S, A, B))
    world.settle(A)  # a list lacks B for once
    before = world.imported
    assert world.settle(A, B) == [IMPORTED]
    assert before == render_file("", {A, canary({A})}, TO_US)
    assert world.imported == render_file("", {A, B, canary({A, B})}, TO_US)


def test_the_canary_is_nobodys_host() -> None:
    world = World(with_rules(K3S, A), render_file("", {canary({A})}, TO_US))
    assert PLAN.owned(world.state) == {A}
    assert world.poll(A).hosts == {A}
    assert canary({A}).endswith(".invalid")


# ---- keys that others write


BY_HAND = f"# by bob\nrewrite name {C} {DESTINATION}\nlog\n"


def test_a_rule_by_hand_in_a_key_of_theirs_stays_theirs() -> None:
    """No tag is ever taken away there, as `kubeadm upgrade` does in the Corefile."""
    theirs = Key(configmap("coredns-custom", {"bobs": BY_HAND}), "bobs")
    assert Rules(DESTINATION).read_others(theirs).hosts == set()
    state = replace(World(imported=lines(A)).state, leftovers=(theirs,))
    assert PLAN.owned(state) == {A}
    assert [edit.document for edit in PLAN.removals(state)] == [IMPORTED]
    edit = PLAN.edit(state, {A})
    assert edit.current == edit.desired
    tagged = BY_HAND.replace(DESTINATION, f"{DESTINATION} {TAG}")
    assert Rules(DESTINATION).read_others(Key(configmap("c", {"bobs": tagged}), "bobs")).hosts == {C}


# ---- what others lead elsewhere


def others(line: str) -> str:
    return K3S.replace("    cache 30\n", f"    {line}\n    cache 30\n")


WILD = "*.example.com"
BELOW = {
    "an exact name": f"rewrite name {A} x.example.org",
    "a suffix": "rewrite name suffix .example.com .x.example.org",
    "another install": f"rewrite name {A} {OLD} {TAG}",
    "another install's wildcard": "\n".join(written({WILD}, OTHER_INSTALL)),
}


def keys(**texts: str) -> dict[str, dict[str, str]]:
    """What is imported, our key among it."""
    return {IMPORT: dict(sorted({f"{name}.override": text for name, text in texts.items()}.items()))}


OTHERS = {
    "an exact name": f"rewrite name {A} x.example.org",
    "a regular expression": r"rewrite name regex ^a\.example\.com\.$ x.example.org",
    "another install": f"rewrite name {A} {OLD} {TAG}",
}


@pytest.mark.parametrize("line", OTHERS.values(), ids=OTHERS)
def test_a_host_that_the_corefile_leads_elsewhere_is_left_to_it(line: str) -> None:
    world = World(others(line))
    world.settle(A, B)
    assert (world.corefile, world.imported) == (others(line), lines(B))


@pytest.mark.parametrize(
    ("before", "standing", "has"),
    [
        (True, False, False),
        (True, True, False),  # whose rule never runs
        (False, False, False),
        (False, True, True),
    ],
)
@pytest.mark.parametrize("host", [A, WILD])
def test_of_two_installs_the_one_that_has_a_host_keeps_it(before: bool, standing: bool, has: bool, host: str) -> None:
    line = OTHERS["another install"]
    world = World(
        imported="".join(f"{line}\n" for line in written({host})) if standing else "",
        files=keys(a=line, ours=MARK) if before else keys(ours=MARK, z=line),
        installs=frozenset({OLD}),
    )
    # A wildcard stands behind the other's exact host, and takes nothing from it.
    assert world.poll(host, "b.example.net").hosts == {"b.example.net"} | (
        {host} if has or (host, before) == (WILD, True) else set()
    )


def test_a_wildcard_in_the_corefile_comes_behind_a_rule_that_is_added_later() -> None:
    line = f"    rewrite name {A} x.example.org\n"
    text = with_rules(K3S, WILD)
    wild = written({WILD})[0]
    world = World(text.replace(f"    {wild}\n", f"    {wild}\n{line}"), files=keys(ours=MARK), live=True)
    assert world.settle(WILD) == [COREFILE]
    assert world.corefile.index(line) < world.corefile.index(wild)
    assert world.imported == ""


def test_a_wildcard_in_the_corefile_stays_behind_the_rule_that_it_must_not_take_names_from() -> None:
    line = f"    rewrite name {A} x.example.org\n"
    text = with_rules(K3S.replace(f"    import {IMPORT}\n", f"    import {IMPORT}\n{line}"), WILD, B)
    world = World(text, files=keys(ours=MARK))
    world.settle(WILD, B)
    world.live = True
    world.settle(WILD, B)
    assert PLAN.owned(world.state) == {WILD, B}
    assert read(world.corefile, frozenset({DESTINATION})).hosts == {WILD}


@pytest.mark.parametrize("line", OTHERS.values(), ids=OTHERS)
def test_a_host_that_another_imported_key_leads_elsewhere_is_left_to_it(line: str) -> None:
    world = World(files={IMPORT: {"a.override": f"log\n{line}\n"}})
    world.settle(A, B)
    assert (world.corefile, world.imported) == (K3S, lines(B))
    assert World(files={"another/*": {"a.override": line}}).poll(A).hosts == {A}


@pytest.mark.parametrize("line", BELOW.values(), ids=BELOW)
def test_a_wildcard_stands_behind_what_others_lead_elsewhere(line: str) -> None:
    world = World(files=keys(a=line, ours=MARK))
    edit = world.poll(WILD, "b.example.net")
    assert edit.hosts == {WILD, "b.example.net"}
    assert edit.remarks == ()


@pytest.mark.parametrize("line", BELOW.values(), ids=BELOW)
def test_a_wildcard_that_would_stand_before_it_is_left_out_and_told_so(line: str) -> None:
    world = World(files=keys(ours=MARK, z=line))
    edit = world.poll(WILD, "b.example.net", "*.example.org")
    assert edit.hosts == {"b.example.net", "*.example.org"}
    (remark,) = edit.remarks
    assert remark.text.startswith(f"{IMPORTED}: host {WILD} is left out: `rewrite name ")
    assert "(z.override:1) stands behind what is imported" in remark.text


@pytest.mark.parametrize("hosts", [{WILD}, set()])
def test_the_place_counts_in_the_corefile_too(hosts: set[str]) -> None:
    line = f"    rewrite name {A} x.example.org\n"
    place = f"    import {IMPORT}\n"
    assert place in K3S
    corefile = K3S.replace(place, line + place if hosts else place + line)
    assert World(corefile, files=keys(ours=MARK)).poll(WILD).hosts == hosts


def test_what_others_wrote_into_our_key_stands_before_our_rules() -> None:
    line = f"rewrite name {A} x.example.org"
    assert World(files=keys(ours=f"{line}\n{MARK}\n")).poll(WILD).hosts == {WILD}


def test_each_home_is_asked_for_what_it_leads_elsewhere() -> None:
    both = [
        f".:{port} {{\n import {IMPORT}\n kubernetes cluster.local\n rewrite name {host} x\n}}\n"
        for port, host in ((53, A), (54, B))
    ]
    world = World("".join(both))
    world.settle(A, B, C)
    assert (world.corefile, world.imported) == ("".join(both), lines(C))


def test_a_host_that_was_ours_and_is_led_elsewhere_by_now_is_given_up() -> None:
    world = World(with_rules(K3S, A, B), lines(A), files={IMPORT: {"a.override": f"rewrite name {A} x.example.org"}})
    world.settle(B)
    world.settle(A, B)
    assert PLAN.owned(world.state) == {B}


def test_our_own_rules_and_what_does_not_rename_are_no_reason_to_leave_a_host() -> None:
    world = World(with_rules(others("rewrite ttl regex .* 30"), A))
    assert world.settle(A) == [IMPORTED]


# ---- what is adopted


def test_rules_of_an_install_that_is_adopted_are_replaced_in_one_write() -> None:
    text = with_rules(with_rules(KUBEADM, A, B, destination=OLD), C)
    state = Configuration(corefile(text))
    assert ADOPTING.owned(state) == {A, B, C}
    assert ADOPTING.edit(state, {A, C}) == Edit(COREFILE, text, with_rules(KUBEADM, A, C), frozenset({A, C}))
    assert PLAN.owned(state) == {C}
    assert PLAN.edit(state, {C}).desired == text


def test_rules_that_are_adopted_move_over_like_ours() -> None:
    world = World(with_rules(K3S, A, destination=OLD), lines(B, destination=OLD), plan=ADOPTING)
    assert world.settle(A, B) == [IMPORTED]
    assert world.imported == render_file("", {A, B, canary({A, B})}, TO_US)
    assert world.corefile == with_rules(K3S, A, destination=OLD)
    world.live = True
    assert world.settle(A, B) == [COREFILE, IMPORTED]
    assert (world.corefile, world.imported) == (K3S, lines(A, B))


# ---- where they do not fit


def left_out(edit: Edit) -> list[str]:
    """What is said of it, up to how many fit."""
    assert not any(remark.severe for remark in edit.remarks)
    return [remark.text.partition(" hosts fit into ")[0] for remark in edit.remarks]


def test_the_corefile_has_the_hosts_that_fit_and_says_which_have_to_wait() -> None:
    room = len(with_rules(KUBEADM, A, B)) - len(KUBEADM)
    assert PLAN.edit(Configuration(corefile(KUBEADM, room)), {A, B}).remarks == ()
    edit = PLAN.edit(Configuration(corefile(KUBEADM, room - 1)), {A, B})
    assert edit[:4] == (COREFILE, KUBEADM, with_rules(KUBEADM, A), frozenset({A}))
    assert left_out(edit) == [f"{COREFILE}: host {B} left out: 1 of 2"]
    text = with_rules(KUBEADM, C)
    edit = PLAN.edit(Configuration(corefile(text, room=0)), {A, B, C})
    assert edit[:4] == (COREFILE, text, text, frozenset({C}))
    assert left_out(edit) == [f"{COREFILE}: 2 hosts ({A}, {B}) left out: 1 of 3"]


def test_what_is_adopted_stands_already() -> None:
    text = with_rules(KUBEADM, C, destination=OLD)
    state = Configuration(corefile(text, room=len(DESTINATION) - len(OLD)))
    assert ADOPTING.edit(state, {A, C}).hosts == {C}


def test_what_stands_and_does_not_fit_any_more_is_an_error_that_names_the_document() -> None:
    text = with_rules(KUBEADM, A, destination="x.y.svc.cluster.local")
    plan = Plan(Rules(DESTINATION, ("x.y.svc.cluster.local",)))
    with pytest.raises(OperatorError, match=rf"^{COREFILE}: the rules for 1 hosts make .*: 0 hosts fit; nothing was"):
        plan.edit(Configuration(corefile(text, room=0)), {A})


def full(text: str, room: int, live: bool = False, own: str = K3S) -> Configuration:
    return Configuration(corefile(own), imported(text, room), uses_import=True, live=live)


def test_the_import_has_the_hosts_that_fit_and_says_which_have_to_wait() -> None:
    edit = PLAN.edit(full("", len(lines(A))), {A, B})
    assert edit[:4] == (IMPORTED, "", lines(A), frozenset({A}))
    assert left_out(edit) == [f"{IMPORTED}: host {B} left out: 1 of 2"]


def test_the_remark_names_the_document_that_is_full_and_stays_the_same() -> None:
    first, then = PLAN.edit(full("", len(lines(A))), {A, B}), PLAN.edit(full(lines(A), 0), {A, B})
    assert then.current == then.desired
    assert then.remarks == first.remarks


def test_what_does_not_fit_into_the_corefile_is_said_of_it_while_the_import_is_emptied() -> None:
    text = with_rules(K3S, A)
    state = Configuration(corefile(text, room=0), imported(lines(A)))
    edit = PLAN.edit(state, {A, B})
    assert edit[:4] == (IMPORTED, lines(A), "", frozenset({A}))
    assert left_out(edit) == [f"{COREFILE}: host {B} left out: 1 of 2"]
    assert edit.remarks[0].text.endswith("; what stands there stays")


def test_what_does_not_fit_into_the_import_stays_in_the_corefile() -> None:
    own = with_rules(K3S, A, B)
    text = render_file("", {A, canary({A, B})}, TO_US)
    edit = PLAN.edit(full(text, 0, live=True, own=own), {A, B})
    assert (edit.document, edit.desired, edit.hosts) == (COREFILE, with_rules(K3S, B), frozenset({A, B}))
    after = full(text, 0, live=True, own=edit.desired)
    assert PLAN.edit(after, {A, B}).desired in (edit.desired, text)


def test_the_canary_comes_before_new_hosts() -> None:
    own = with_rules(K3S, A)
    room = len(render_file("", {canary({A})}, TO_US))
    assert PLAN.edit(full("", room, own=own), {A}).desired == render_file("", {canary({A})}, TO_US)


# ---- what cannot be done


NO_KUBERNETES = ".:53 {\n    forward . 192.0.2.1\n    reload\n}\n"


def test_a_rule_that_would_do_harm_is_written_only_by_who_is_lenient() -> None:
    state = Configuration(corefile(NO_KUBERNETES))
    problem = f"{COREFILE}: Corefile:1: the server block that answers '.' has no kubernetes plugin for a zone that"
    with pytest.raises(OperatorError, match=f"^{problem}"):
        PLAN.edit(state, {A})
    lenient = Plan(Rules(DESTINATION), lenient=True)
    assert lenient.edit(state, {A}).desired == NO_KUBERNETES.removesuffix("}\n") + rule(A) + "\n}\n"
    assert [remark.text for remark in lenient.remarks(state, {A})] == []
    assert PLAN.edit(state, ()).desired == NO_KUBERNETES
    assert PLAN.edit(Configuration(corefile(NO_KUBERNETES.replace("}", f"{rule(A)}\n}}"))), ()).hosts == set()


@pytest.mark.parametrize("text", ["example.org {\n}\n", NO_KUBERNETES + NO_KUBERNETES.replace("53", "54")])
def test_who_is_lenient_needs_one_place_all_the_same(text: str) -> None:
    with pytest.raises(OperatorError, match=f"^{COREFILE}: Corefile:1: no"):
        Plan(Rules(DESTINATION), lenient=True).edit(Configuration(corefile(text)), {A})


def test_kubernetes_may_stand_in_what_is_imported() -> None:
    text = f".:53 {{\n    import {IMPORT}\n}}\n"
    world = World(text, None, files={IMPORT: {"a.override": "kubernetes cluster.local\n"}})
    assert world.poll(A).hosts == {A}
    with pytest.raises(OperatorError, match="no kubernetes plugin"):
        World(text, None).poll(A)
    assert list(PLAN.remarks(world.state, {A})) == []
    world = World(text, files={IMPORT: {"a.override": "kubernetes cluster.local\n"}})
    assert world.settle(A) == [IMPORTED]
    world.corefile = text.replace("}", f"{rule(A)}\n{rule(B)}\n}}")
    assert world.settle(A) == [IMPORTED, COREFILE]
    assert world.corefile == text.replace("}", f"{rule(A)}\n}}")


def test_a_problem_of_the_configuration_stops_rules_and_not_their_removal() -> None:
    state = Configuration(corefile(with_rules(KUBEADM, A)), problem="it cannot be")
    with pytest.raises(OperatorError, match="^it cannot be$"):
        PLAN.edit(state, {A})
    assert PLAN.edit(state, ()).desired == KUBEADM


def test_a_corefile_that_cannot_be_read_is_named() -> None:
    with pytest.raises(OperatorError, match=f"^{COREFILE}: Corefile:1: the server block that is opened here"):
        PLAN.edit(Configuration(corefile(".:53 {\n")), {A})


@pytest.mark.parametrize("uses_import", [True, False])
def test_an_imported_key_that_cannot_be_read_is_named(uses_import: bool) -> None:
    state = Configuration(corefile(K3S), imported("errors\n}\n"), uses_import=uses_import)
    with pytest.raises(OperatorError, match="of ConfigMap kube-system/coredns-custom.*2: a '}' that closes nothing"):
        PLAN.edit(state, {A})


# ---- leaving


@pytest.mark.parametrize("uses_import", [True, False])
def test_leaving_takes_all_of_it_out_at_once(uses_import: bool) -> None:
    own, ours = with_rules(K3S, A), "log\n" + lines(A, B)
    state = Configuration(corefile(own), imported(ours), uses_import=uses_import, problem="it cannot be")
    assert PLAN.removals(state) == [
        Edit(COREFILE, own, K3S, frozenset()),
        Edit(IMPORTED, ours, "log\n", frozenset()),
    ]


def test_leaving_touches_only_what_has_rules() -> None:
    assert PLAN.removals(Configuration(corefile(K3S), imported("log\n"), uses_import=True)) == []
    assert PLAN.removals(Configuration(corefile(K3S))) == []
    state = Configuration(corefile(K3S), imported(lines(A, canary({A}))), uses_import=True)
    assert PLAN.removals(state) == [Edit(IMPORTED, lines(A, canary({A})), "", frozenset())]
    text = with_rules(K3S, A, destination=OLD)
    assert ADOPTING.removals(Configuration(corefile(text))) == [Edit(COREFILE, text, K3S, frozenset())]
    assert PLAN.removals(Configuration(corefile(text))) == []


def test_leaving_needs_no_place_for_rules() -> None:
    text = NO_KUBERNETES.replace("}", f"{rule(A)}\n}}")
    assert PLAN.removals(Configuration(corefile(text))) == [Edit(COREFILE, text, NO_KUBERNETES, frozenset())]


# ---- remarks


SAID = Remark("of the configuration", severe=True)


def remarks(state: Configuration, hosts: Collection[str], plan: Plan = PLAN) -> list[Remark]:
    return list(plan.remarks(replace(state, remarks=(SAID,)), hosts))


def test_without_hosts_only_the_configuration_itself_is_remarked_on() -> None:
    state = Configuration(corefile("example.org {\n}\n"))
    assert remarks(state, ()) == [SAID]
    assert remarks(state, {A}) == [
        SAID,
        Remark(
            f"{COREFILE}: Corefile:1: no server block answers '.', so there is no place for a rule that holds for all "
            "pods"
        ),
    ]


def test_what_keeps_rules_from_their_work_is_remarked_on_but_not_our_own_rules() -> None:
    text = with_rules(others(f"rewrite name {B} x.example.org"), A, B)
    said = f"`rewrite name {B} x.example.org` (Corefile:16) leads host {B} elsewhere; it stands first and wins"
    assert remarks(Configuration(corefile(text)), {A, B}) == [SAID, Remark(f"{COREFILE}: {said}")]
    assert remarks(Configuration(corefile(text)), {A}) == [SAID]
    files = {IMPORT: {"a.override": f"rewrite name {A} x.example.org\n"}}
    said = f"`rewrite name {A} x.example.org` (a.override:1) leads host {A} elsewhere; it stands first and wins"
    assert remarks(Configuration(corefile(K3S), files=files), {A}) == [SAID, Remark(f"{COREFILE}: {said}")]


def test_rules_of_another_install_overrule_ours_unless_they_are_adopted() -> None:
    text = with_rules(K3S, A, destination=OLD)
    assert len(remarks(Configuration(corefile(text)), {A})) == 2
    assert remarks(Configuration(corefile(text)), {A}, ADOPTING) == [SAID]


# ---- ConfigMaps as they were read


def test_a_key_of_a_configmap() -> None:
    found = configmap("coredns", {"Corefile": "é", "b": ""}, room=100)
    assert (found.text("Corefile"), found.text("b")) == ("é", "")
    assert (found.limit("Corefile"), found.limit("b"), found.limit("new")) == (102, 100, 100)
    assert (Key(found, "Corefile").text, Key(found, "Corefile").limit) == ("é", 102)
    assert (Key(found, "new").text, Key(found, "new").limit) == ("", 100)
    assert str(Key(found, "new")) == "key new of ConfigMap kube-system/coredns"


@pytest.mark.parametrize(("data", "keys"), [({}, "none"), ({"b": "", "a": ""}, "a, b")])
def test_a_key_that_has_to_be_there(data: dict[str, str], keys: str) -> None:
    with pytest.raises(OperatorError) as error:
        configmap("coredns", data).text("Corefile")
    assert str(error.value) == (
        f"ConfigMap kube-system/coredns has no key Corefile with text (its keys: {keys}); "
        "--configmap-key names the one with the Corefile"
    )


# ---- what stands elsewhere


def other(text: str) -> Key:
    """A key of the imported ConfigMap beside ours."""
    return Key(configmap("coredns-custom", {"old.override": text}), "old.override")


def test_other_keys_with_rules_of_ours_are_emptied_when_all_else_is_done() -> None:
    left = other(lines(A))
    state = Configuration(corefile(K3S), imported(""), uses_import=True, leftovers=(left,))
    assert PLAN.owned(state) == {A}
    assert PLAN.edit(state, {A})[:3] == (IMPORTED, "", lines(A))
    state = replace(state, imported=imported(lines(A)))
    assert PLAN.edit(state, {A})[:4] == (str(left), lines(A), "", frozenset({A}))
    assert [edit.document for edit in PLAN.removals(state)] == [IMPORTED, str(left)]


def test_a_rule_that_leads_nowhere_takes_no_host_from_us() -> None:
    text = K3S.replace(
        "    errors\n", f"    errors\n    rewrite name {A} {OLD} {TAG}\n    rewrite name {B} x.example.org\n"
    )
    assert text != K3S
    state = Configuration(corefile(text), imported(""), uses_import=True)
    assert PLAN.edit(state, {A, B, C}).desired == lines(C)
    assert PLAN.edit(replace(state, orphans=frozenset({OLD})), {A, B, C}).desired == lines(A, C)


def test_what_stands_in_the_import_and_does_not_fit_the_corefile_stays_there() -> None:
    room = len(with_rules(K3S, A)) - len(K3S)
    state = Configuration(corefile(K3S, room), imported(lines(A, B)))
    assert PLAN.edit(state, {A, B})[:4] == (COREFILE, K3S, with_rules(K3S, A), frozenset({A, B}))
    state = Configuration(corefile(with_rules(K3S, A), room=0), imported(lines(A, B)))
    assert PLAN.edit(state, {A, B})[:4] == (IMPORTED, lines(A, B), lines(B), frozenset({A, B}))
    assert PLAN.edit(state, {A})[:4] == (IMPORTED, lines(A, B), "", frozenset({A}))


# ---- node-local-dns, in front of CoreDNS

ON_NODES = "key Corefile of ConfigMap kube-system/node-local-dns"
FOREIGN = "example.com:53 {\n    whoami\n}\n"
WITH_BLOCKS = replace(PLAN, blocks=nodecache.Writing(DESTINATION, "com".__eq__))


def on_nodes(text: str, *stub_domains: str, room: int = LIMIT) -> NodeCorefile:
    return NodeCorefile(Key(configmap("node-local-dns", {"Corefile": text}, room), "Corefile"), frozenset(stub_domains))


def test_blocks_are_written_once_the_rules_are_and_go_after_them() -> None:
    state = Configuration(corefile(KUBEADM), node_corefiles=(on_nodes(STANDARD),))
    assert WITH_BLOCKS.edit(state, {A}).document == COREFILE
    state = replace(state, corefile=corefile(with_rules(KUBEADM, A)))
    text = STANDARD + block("example.com")
    assert WITH_BLOCKS.edit(state, {A}) == Edit(ON_NODES, STANDARD, text, frozenset({A}))
    state = replace(state, node_corefiles=(on_nodes(text),))
    assert WITH_BLOCKS.edit(state, {A}).document == COREFILE
    assert WITH_BLOCKS.edit(state, {A}).current == WITH_BLOCKS.edit(state, {A}).desired
    assert WITH_BLOCKS.edit(state, ()).document == COREFILE
    state = replace(state, corefile=corefile(KUBEADM))
    assert WITH_BLOCKS.edit(state, ()) == Edit(ON_NODES, text, STANDARD, frozenset())


def test_rules_of_before_leave_an_import_before_blocks_are_written() -> None:
    left = other(lines(A))
    done = imported(lines(A))
    state = Configuration(
        corefile(K3S), done, uses_import=True, leftovers=(left,), node_corefiles=(on_nodes(STANDARD),)
    )
    assert WITH_BLOCKS.edit(state, {A}).document == str(left)


def test_switched_off_blocks_of_before_go() -> None:
    state = Configuration(corefile(with_rules(KUBEADM, A)), node_corefiles=(on_nodes(STANDARD + block("example.com")),))
    assert PLAN.edit(state, {A}) == Edit(ON_NODES, STANDARD + block("example.com"), STANDARD, frozenset({A}))
    assert list(PLAN.remarks(state, {A})) == []


def test_each_of_several_is_written() -> None:
    second = NodeCorefile(Key(configmap("nodelocaldns", {"Corefile": STANDARD}), "Corefile"), frozenset())
    first = on_nodes(STANDARD + block("example.com"))
    state = Configuration(corefile(with_rules(KUBEADM, A)), node_corefiles=(first, second))
    assert WITH_BLOCKS.edit(state, {A}).document == "key Corefile of ConfigMap kube-system/nodelocaldns"


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (on_nodes("{"), "an address before it; no block is added"),
        (on_nodes(FOREIGN + STANDARD), "host a.example.com"),
        (on_nodes(STANDARD, "example.com"), "host a.example.com"),
        (on_nodes(STANDARD, room=0), "do not fit"),
    ],
)
def test_where_no_block_can_be_it_is_said_and_keeps_nothing_from_going_on(there: NodeCorefile, said: str) -> None:
    state = Configuration(corefile(KUBEADM), node_corefiles=(there,))
    assert WITH_BLOCKS.edit(state, {A}) == Edit(COREFILE, KUBEADM, with_rules(KUBEADM, A), frozenset({A}))
    state = replace(state, corefile=corefile(with_rules(KUBEADM, A)))
    assert WITH_BLOCKS.edit(state, {A}).document == COREFILE
    [remark] = WITH_BLOCKS.remarks(state, {A})
    assert remark.text.startswith(f"{ON_NODES}: ")
    assert said in remark.text


def test_what_was_just_refused_is_not_tried_and_said_all_the_same() -> None:
    node = replace(on_nodes(FOREIGN + STANDARD), waits=True)
    state = Configuration(corefile(with_rules(KUBEADM, A, "a.test.com")), node_corefiles=(node,))
    assert WITH_BLOCKS.edit(state, {A, "a.test.com"}).document == COREFILE
    assert (
        WITH_BLOCKS.edit(replace(state, node_corefiles=(replace(node, waits=False),)), {A, "a.test.com"}).document
        == ON_NODES
    )
    assert len(list(WITH_BLOCKS.remarks(state, {A, "a.test.com"}))) == 1


def loops(text: str, *, standing: str = STANDARD, addresses: frozenset[str] = frozenset()) -> tuple[str, list[str]]:
    """What becomes of node-local-dns's Corefile where CoreDNS has this one, and what is said."""
    node = replace(on_nodes(standing), addresses=frozenset({"169.254.20.10"}), nameservers=frozenset({"169.254.20.10"}))
    state = Configuration(corefile(with_rules(text, A)), node_corefiles=(node,), addresses=addresses)
    edit = WITH_BLOCKS.edit(state, {A})
    left = edit.desired if edit.document == ON_NODES else standing
    return left, [remark.text for remark in WITH_BLOCKS.remarks(state, {A})]


@pytest.mark.parametrize("server", ["/etc/resolv.conf", "169.254.20.10", "10.96.0.10"])
def test_no_block_is_added_where_the_two_would_ask_each_other(server: str) -> None:
    text = KUBEADM.replace("/etc/resolv.conf", server)
    left, [remark] = loops(text, addresses=frozenset({"10.96.0.10"}))
    assert left == STANDARD
    assert remark.startswith(f"{ON_NODES}: CoreDNS forwards to {server}")


def test_blocks_of_before_the_loop_go() -> None:
    assert loops(KUBEADM, standing=STANDARD + block("example.com"))[0] == STANDARD


def test_what_leads_on_is_no_loop() -> None:
    left, remarks = loops(KUBEADM.replace("/etc/resolv.conf", "192.0.2.53"))
    assert (left, remarks) == (STANDARD + block("example.com"), [])
