"""What CoreDNS's configuration should be: rules in the Corefile, or in a key of ours that the Corefile imports. Pure.

They go into one of the two, and out of the other once that does no harm. Each edit changes one of them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hairpin_proxy.configuration import CANARY, LIMIT, Configuration, Key, Rules
from hairpin_proxy.corefile import CorefileError, checks, remove, render, render_file
from hairpin_proxy.corefile.blocks import Block, parse
from hairpin_proxy.corefile.homes import NoKubernetesError, homes, only_root
from hairpin_proxy.corefile.rewrites import rewrites
from hairpin_proxy.corefile.scope import Files, expanded
from hairpin_proxy.corefile.size import Fitted, TooLargeError, fit
from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.errors import OperatorError


@dataclass(frozen=True, slots=True)
class Plan:
    """For the rules of one install."""

    rules: Rules
    lenient: bool = False
    """Whether the only server block that answers `.` gets the rules even if it cannot answer where they lead."""

    def owned(self, state: Configuration) -> frozenset[str]:
        """The hosts that have a rule of ours."""
        return self._owned(state.corefile.text, state.imported.text if state.imported else "")

    def edit(self, state: Configuration, hosts: Collection[str]) -> Edit:
        """The next edit. Raises OperatorError if the rules for these hosts cannot be written."""
        if hosts and state.problem:
            raise OperatorError(state.problem)
        try:
            if state.imported and state.uses_import:
                return self._into_import(state, state.imported, hosts)
            return self._into_corefile(state, hosts)
        except CorefileError as error:
            raise OperatorError(f"{state.corefile}: {error}") from error

    def removals(self, state: Configuration) -> list[Edit]:
        """Edits that take every rule of ours out, all of which can be made at once."""
        keys = [(state.corefile, self._bare(state.corefile))]
        keys += [(state.imported, self._rendered_file(state.imported, ()))] if state.imported else []
        return [Edit(str(key), key.text, bare, frozenset()) for key, bare in keys if bare != key.text]

    def remarks(self, state: Configuration, hosts: Collection[str]) -> Iterator[Remark]:
        """What an operator should know of the configuration."""
        yield from state.remarks
        if not hosts:
            return
        blocks = parse(self._bare(state.corefile))
        try:
            found = self._homes(blocks, self.rules.destination, state.files)
            for remark in checks.remarks(blocks, found, hosts, state.files):
                yield Remark(f"{state.corefile}: {remark}")
        except CorefileError as error:
            yield Remark(f"{state.corefile}: {error}")

    def _into_corefile(self, state: Configuration, hosts: Collection[str]) -> Edit:
        """Rules into the Corefile, and then out of the imported key."""
        corefile = state.corefile
        standing = self.rules.in_corefile(corefile.text)
        fitted = _fit(corefile, hosts, standing, partial(self._rendered, state))
        imported = state.imported
        if fitted.text != corefile.text or not imported:
            return _edit(corefile, fitted, self._owned(fitted.text, imported.text if imported else ""))
        without = self._rendered_file(imported, ())
        return _edit(imported, Fitted(without, fitted.left_out), self._owned(corefile.text, without))

    def _into_import(self, state: Configuration, imported: Key, hosts: Collection[str]) -> Edit:
        """Rules into the imported key, and out of the Corefile once that key is seen to be at work.

        Hosts that others' rules lead elsewhere are left to those: an import may stand before them.
        """
        mine = set(hosts) - self._left_to_others(state, hosts)
        corefile, rules = state.corefile, self.rules
        waiting = rules.in_corefile(corefile.text) & mine
        wanted = mine | ({CANARY} if waiting else set())
        there = rules.in_import(imported.text)
        fitted = _fit(imported, wanted, there | {CANARY}, partial(self._rendered_file, imported))
        if fitted.text != imported.text:
            return _edit(imported, fitted, self._owned(corefile.text, fitted.text))
        keep = waiting - there if state.live else waiting
        left = corefile.text if keep == rules.in_corefile(corefile.text) else self._rendered(state, keep)
        return _edit(corefile, Fitted(left, fitted.left_out), self._owned(left, imported.text))

    def _left_to_others(self, state: Configuration, hosts: Collection[str]) -> set[str]:
        blocks = parse(self._bare(state.corefile))
        found: set[str] = set()
        for home in self._homes(blocks, self.rules.destination, state.files) if hosts else ():
            rules = rewrites(expanded(home, blocks, state.files))
            found |= checks.left_to_others(rules, hosts).keys()
        return found

    def _owned(self, corefile: str, imported: str) -> frozenset[str]:
        return (self.rules.in_corefile(corefile) | self.rules.in_import(imported)) - {CANARY}

    def _bare(self, corefile: Key) -> str:
        return remove(corefile.text, self.rules.destination, self.rules.adopted)

    def _homes(self, blocks: Sequence[Block], destination: str, files: Files) -> list[Block]:
        try:
            return homes(blocks, destination, files)
        except NoKubernetesError:
            if self.lenient:
                return only_root(blocks)
            raise

    def _rendered(self, state: Configuration, hosts: Collection[str]) -> str:
        rules = self.rules
        found = partial(self._homes, files=state.files)
        return render(state.corefile.text, hosts, rules.destination, rules.adopted, found)

    def _rendered_file(self, imported: Key, hosts: Collection[str]) -> str:
        return render_file(imported.text, hosts, self.rules.destination, self.rules.adopted)


def _fit(key: Key, hosts: Collection[str], standing: Collection[str], put: Callable[[Collection[str]], str]) -> Fitted:
    try:
        return fit(hosts, standing, key.limit, put)
    except TooLargeError as error:
        raise OperatorError(f"{key}: {error}") from error


def _edit(key: Key, fitted: Fitted, hosts: frozenset[str]) -> Edit:
    """An edit after which these hosts have a rule, wherever."""
    remark = (
        f"{key}: {checks.named(fitted.left_out)} left out: {len(hosts)} hosts fit into a ConfigMap of {LIMIT} bytes "
        "with all that is in it, and what stands there stays"
    )
    return Edit(str(key), key.text, fitted.text, hosts, (Remark(remark),) if fitted.left_out else ())
