"""What CoreDNS's configuration should be: rules in the Corefile, or in a key of ours that the Corefile imports. Pure.

They go into one of the two, and out of the other once that does no harm. Each edit changes one of them. When both are
as they should be, node-local-dns's Corefile gets what leads its questions there.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from hairpin_proxy import nodecache
from hairpin_proxy.configuration import LIMIT, MARK, Configuration, Key, NodeCorefile, Rules, canary, is_canary
from hairpin_proxy.corefile import CorefileError, Reading, Writing, checks, refusals, render, render_file
from hairpin_proxy.corefile.blocks import Block
from hairpin_proxy.corefile.homes import NoKubernetesError, cluster_zones, homes, only_root
from hairpin_proxy.corefile.packing import MOST_LINES
from hairpin_proxy.corefile.rewrites import Rewrite, rewrites
from hairpin_proxy.corefile.scope import Files, Placed, expanded
from hairpin_proxy.corefile.size import Fitted, Put, TooLargeError, fit
from hairpin_proxy.corefile.upstreams import upstreams
from hairpin_proxy.corefile.version import ANSWER_AUTO, TTL_RANGE
from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.hosts import is_wildcard
from hairpin_proxy.policy import Facts

_NO_VERSION = "does not say its version (--coredns-version does)"


@dataclass(frozen=True, slots=True)
class Plan:
    """For the rules of one install."""

    rules: Rules
    lenient: bool = False
    """Whether the only server block that answers `.` gets the rules even if it cannot answer where they lead."""

    blocks: nodecache.Writing | None = None
    """What node-local-dns's Corefile gets; None for nothing."""

    def owned(self, state: Configuration) -> frozenset[str]:
        """The hosts that have a rule of ours."""
        imported = self.rules.read_import(state.imported).hosts
        others = [self.rules.read_others(key).hosts for key in state.leftovers]
        return _hosts(self.rules.read(state.corefile).hosts.union(imported, *others))

    def facts(self, state: Configuration) -> Facts:
        """What the configuration has to do with which hosts may have a rule."""
        standing = self.owned(state)
        if state.answers_auto:
            return Facts(standing, self.zones(state))
        stays = standing if state.answers_auto is None else {host for host in standing if not is_wildcard(host)}
        known = "is older" if state.version else _NO_VERSION
        return Facts(
            stays, self.zones(state), f"is a wildcard, which takes CoreDNS {ANSWER_AUTO}, and this one {known}"
        )

    def zones(self, state: Configuration) -> frozenset[str]:
        """The cluster's own domains; none of a Corefile that cannot be read: `edit` says so."""
        try:
            return cluster_zones(self.rules.read(state.corefile).blocks, state.files)
        except CorefileError:
            return frozenset()

    def edit(self, state: Configuration, hosts: Collection[str]) -> Edit:
        """The next edit. Raises OperatorError if the rules for these hosts cannot be written."""
        if hosts and state.problem:
            raise OperatorError(state.problem)
        imported = state.imported if state.uses_import else None
        try:
            if hosts:
                refusals.check(self.rules.read(state.corefile).blocks, state.files)
            edit = self._into_import(state, imported, hosts) if imported else self._into_corefile(state, hosts)
        except CorefileError as error:
            raise OperatorError(f"{state.corefile}: {error}") from error
        if edit.current != edit.desired:
            return edit
        lacks_room = not imported and not edit.hosts.issuperset(hosts)
        if state.leftovers and not lacks_room:
            left = state.leftovers[0]
            return _edit(left, self.rules.read_others(left).bare, edit.hosts, edit.remarks)
        return self._on_nodes(state, edit)

    def _on_nodes(self, state: Configuration, edit: Edit) -> Edit:
        """The next edit of node-local-dns's Corefile; the one that changes nothing if there is none."""
        for each in state.node_corefiles:
            if each.waits:
                continue
            try:
                text = self._with_blocks(state, each, edit.hosts).text
            except CorefileError:
                continue
            if text != each.key.text:
                return Edit(str(each.key), each.key.text, text, edit.hosts, edit.remarks)
        return edit

    def _with_blocks(self, state: Configuration, corefile: NodeCorefile, hosts: Collection[str]) -> nodecache.Rendered:
        """Raises CorefileError if it cannot be done, or there is no room."""
        if not self.blocks:
            return nodecache.Rendered(self.without_blocks(corefile), (), "", ())
        if hosts and (loop := self.loop(state, corefile)):
            # What was written before the loop was there keeps it going.
            return nodecache.Rendered(self.without_blocks(corefile), (), "", (loop,))
        found = nodecache.render(corefile.key.text, hosts, self.blocks, corefile.stub_domains)
        if len(found.text.encode(errors="surrogateescape")) > corefile.key.limit:
            raise CorefileError(1, f"the server blocks do not fit into the {LIMIT} bytes of a ConfigMap")
        return found

    def loop(self, state: Configuration, corefile: NodeCorefile) -> str | None:
        """Why a block would do harm. Raises CorefileError."""
        asked = nodecache.asked_at(corefile.key.text, self.rules.destination)
        names = upstreams(self.rules.read(state.corefile).blocks, state.files)
        return nodecache.loop(names, asked | corefile.addresses | state.addresses, corefile.nameservers)

    def removals(self, state: Configuration) -> list[Edit]:
        """Edits that take every rule of ours out: at most one of the Corefile, and then those of the imported keys."""
        bare = [(state.corefile, self.rules.read(state.corefile).bare)]
        bare += [(state.imported, self.rules.read_import(state.imported).bare)] if state.imported else []
        bare += [(key, self.rules.read_others(key).bare) for key in state.leftovers]
        return [Edit(str(key), key.text, text, frozenset()) for key, text in bare if text != key.text]

    def without_blocks(self, corefile: NodeCorefile) -> str:
        """node-local-dns's Corefile without any block of ours. Raises CorefileError."""
        return nodecache.read(corefile.key.text, self.rules.destinations).bare

    def remarks(self, state: Configuration, hosts: Collection[str]) -> Iterator[Remark]:
        """What an operator should know of the configuration."""
        yield from state.remarks
        yield from state.strangers
        if not hosts:
            return
        for each in state.node_corefiles:
            try:
                yield from (Remark(f"{each.key}: {text}") for text in self._with_blocks(state, each, hosts).remarks)
            except CorefileError as error:
                yield Remark(
                    f"{each.key}: {error}; no block is added, and pods that ask node-local-dns are led past us"
                )
        many = len(hosts) > MOST_LINES
        if not state.answers_auto and (self.rules.form == "packed" or (self.rules.form == "auto" and many)):
            known = f"is {state.version}" if state.version else _NO_VERSION
            # Without their number, which changes all the time while they come.
            these = f"more than {MOST_LINES} hosts" if many else "the hosts"
            yield Remark(
                f"{state.corefile}: {these} are not packed, so each costs time with every question; that takes CoreDNS "
                f"{ANSWER_AUTO}, and this one {known}"
            )
        blocks = self.rules.read(state.corefile).blocks
        try:
            found = self.homes(state)
            said = checks.remarks(blocks, found, hosts, state.files)
            for remark in chain(said, checks.passed_over(blocks, found, self.rules.destination, state.files)):
                yield Remark(f"{state.corefile}: {remark}")
        except CorefileError as error:
            yield Remark(f"{state.corefile}: {error}")

    def homes(self, state: Configuration) -> list[Block]:
        """The server blocks that rules belong to. Raises CorefileError if there are none."""
        return self._homes(self.rules.read(state.corefile).blocks, self.rules.destination, state.files)

    def _into_corefile(self, state: Configuration, hosts: Collection[str]) -> Edit:
        """Rules into the Corefile, and then out of the imported key."""
        corefile, imported = state.corefile, state.imported
        reading, there = self.rules.read(corefile), self.rules.read_import(imported)
        fitted = _fit(corefile, hosts, reading.hosts, partial(self._rendered, state))
        if not imported or fitted.text != corefile.text:
            return _edit(corefile, fitted.text, fitted.hosts | there.hosts, _left_out(corefile, fitted))
        stays = there.hosts & set(hosts) - fitted.hosts
        left = self._rendered_file(state, imported, stays)
        return _edit(imported, left, fitted.hosts | stays, _left_out(corefile, fitted))

    def _into_import(self, state: Configuration, imported: Key, hosts: Collection[str]) -> Edit:
        """Rules into the imported key, and out of the Corefile once that key is seen to be at work.

        Hosts that others' rules lead elsewhere are left to those: an import may stand before them.
        """
        others = self._left_to_others(state, hosts)
        reading, there = self.rules.read(state.corefile), self.rules.read_import(imported)
        mine, waiting = set(hosts) - others.keys(), reading.hosts & set(hosts)
        # A wildcard that stands in the Corefile stands behind the rule that it must not take names from.
        stays = frozenset(host for host in waiting & others.keys() if is_wildcard(host))
        canaries = {canary(mine)} if waiting - stays else set[str]()
        put = partial(self._rendered_file, state, imported)
        fitted = _fit(imported, mine | canaries, there.hosts | canaries, put)
        remarks = (*_left_out(imported, fitted), *_crossed(imported, others, stays))
        if fitted.text != imported.text:
            return _edit(imported, fitted.text, fitted.hosts | reading.hosts, remarks)
        keep = (waiting & mine) - there.hosts | stays if state.live else waiting
        # What stays has to come behind a rule that an administrator has added since.
        left = state.corefile.text if keep == reading.hosts and not stays else self._rendered(state, keep)
        return _edit(state.corefile, left, there.hosts | keep, remarks)

    def _left_to_others(self, state: Configuration, hosts: Collection[str]) -> dict[str, Rewrite]:
        """Those of the hosts that a rule of somebody else's is about, each with that rule.

        An exact host is left to it wherever it stands, a wildcard only if it stands behind ours, which would take names
        from it. To another install's behind ours, only what has no rule of ours yet. Nothing is left to a rule of ours,
        of an adopted install, or to one that leads nowhere.
        """
        nobodys = {self.rules.destination, *self.rules.adopted, *state.orphans}
        wildcards, standing = set(filter(is_wildcard, hosts)), self.owned(state)
        found: dict[str, Rewrite] = {}
        for around in self._around_import(state) if hosts else ():
            before, behind = ([rule for rule in rewrites(part) if rule.leads_to not in nobodys] for part in around)
            found |= checks.left_to_others(before, set(hosts) - wildcards)
            for rule in behind:
                leaves = set(hosts) - standing if rule.leads_to in state.installs else set(hosts)
                for host in (*checks.left_to_others([rule], leaves - wildcards), *rule.taken_below(leaves & wildcards)):
                    found.setdefault(host, rule)
        return found

    def _homes(self, blocks: Sequence[Block], destination: str, files: Files) -> list[Block]:
        try:
            return homes(blocks, destination, files)
        except NoKubernetesError:
            if self.lenient:
                return only_root(blocks)
            raise

    def _rendered(self, state: Configuration, hosts: Collection[str]) -> str:
        writing = self._writing(state, self.rules.read(state.corefile))
        return render(state.corefile.text, hosts, writing, partial(self._homes, files=state.files))

    def _rendered_file(self, state: Configuration, imported: Key, hosts: Collection[str]) -> str:
        writing = self._writing(state, self.rules.read_import(imported))
        # An administrator's rule for a name of the cluster's own, behind what is imported, has to be reached.
        if hosts and any(_may_rewrite(each) for _, behind in self._around_import(state) for each in behind):
            writing = replace(writing, passing_from=None)
        return render_file(imported.text, hosts, writing)

    def _around_import(self, state: Configuration) -> Iterator[tuple[list[Placed], list[Placed]]]:
        """What stands before the imported key and what behind it, in each home."""
        blocks = self.rules.read(state.corefile).blocks
        for home in self.homes(state):
            placed = list(expanded(home, blocks, state.files))
            words = [each.directive.words for each in placed]
            ours = words.index((MARK,)) if (MARK,) in words else 0
            yield placed[:ours], placed[ours:]

    def _writing(self, state: Configuration, reading: Reading) -> Writing:
        """How rules are written there: in no newer form than CoreDNS is known to take, but for those that stand."""
        if state.version and state.version >= TTL_RANGE:
            return self.rules
        if state.answers_auto:
            return replace(self.rules, passing_from=None)
        stays = state.answers_auto is None
        standing = reading.templated if stays else frozenset()
        form = self.rules.form if stays and reading.firsts else "lines"
        return replace(self.rules, passing_from=None, is_apex=standing.__contains__, form=form)


def _may_rewrite(placed: Placed) -> bool:
    """Whether it is a rewrite rule, or brings what nobody sees."""
    return placed.directive.words[0] in ("rewrite", "import")


def _fit(key: Key, hosts: Collection[str], standing: Collection[str], put: Put) -> Fitted:
    try:
        return fit(hosts, standing, key.limit, put)
    except TooLargeError as error:
        raise OperatorError(f"{key}: {error}") from error


def _edit(key: Key, desired: str, hosts: frozenset[str], remarks: tuple[Remark, ...]) -> Edit:
    """An edit after which these hosts have a rule, wherever."""
    return Edit(str(key), key.text, desired, _hosts(hosts), remarks)


def _hosts(found: Collection[str]) -> frozenset[str]:
    """Those that somebody asks for."""
    return frozenset(host for host in found if not is_canary(host))


def _crossed(key: Key, others: Mapping[str, Rewrite], but: Collection[str]) -> Iterator[Remark]:
    for host, rule in others.items():
        if is_wildcard(host) and host not in but:
            yield Remark(
                f"{key}: host {host} is left out: {rule} stands behind what is imported, so that a wildcard would take "
                "names from it"
            )


def _left_out(key: Key, fitted: Fitted) -> tuple[Remark, ...]:
    if not fitted.left_out:
        return ()
    fit, all_hosts = len(_hosts(fitted.hosts)), len(_hosts({*fitted.hosts, *fitted.left_out}))
    return (
        Remark(
            f"{key}: {checks.named(fitted.left_out)} left out: {fit} of {all_hosts} hosts fit into the {LIMIT} bytes "
            "of a ConfigMap, with all else that is in it; what stands there stays"
        ),
    )
