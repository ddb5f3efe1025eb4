"""Hosts that are left out. Pure."""

from collections.abc import Iterator, Sequence

from hairpin_proxy.corefile.checks import counted
from hairpin_proxy.doctor import texts
from hairpin_proxy.doctor.findings import Finding, found
from hairpin_proxy.edit import Remark

_MOST = 10
"""Hosts that are named."""


def findings(remarks: Sequence[Remark]) -> Iterator[Finding]:
    """One for each host, as the controller's log has it; of what somebody chose the number, and the first."""
    warned = [each for each in remarks if not each.calm]
    chosen = [each for each in remarks if each.calm]
    for each in warned[:_MOST]:
        yield found(texts.LEFT_OUT, remark=each.text)
    if len(warned) > _MOST:
        yield found(texts.MORE_LEFT_OUT, count=len(warned) - _MOST)
    if not warned:
        yield found(texts.NONE_LEFT_OUT, calm=_calm(chosen) if chosen else "")


def _calm(chosen: Sequence[Remark]) -> str:
    return f", but for {counted(chosen, 'host')} that settings or annotations leave out, such as: {chosen[0].text}"
