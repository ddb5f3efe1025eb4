"""Which hosts may be redirected."""

import pytest

from hairpin_proxy.policy import Asked, Claim, Facts, Policy, decide

DESTINATION = "hairpin-proxy.hairpin-proxy.svc.cluster.local"


def reason_for(host: str, destination: str = DESTINATION) -> str | None:
    claim = Claim(host, "Ingress default/web")
    decision = decide(Asked([claim]), Policy(destination), Facts())
    assert bool(decision.hosts) is (claim not in decision.left_out)
    return reason.text if (reason := decision.left_out.get(claim)) else None


def test_hosts_come_once_and_in_normal_form() -> None:
    claims = [Claim("a.example.com", "x"), Claim("A.EXAMPLE.com.", "y"), Claim("b.example.com", "x")]
    decision = decide(Asked(claims), Policy(DESTINATION), Facts())
    assert decision.hosts == {"a.example.com", "b.example.com"}
    assert decision.left_out == {}


def test_one_bad_host_does_not_take_the_others_along() -> None:
    bad = Claim("b b", "Ingress default/bad")
    decision = decide(
        Asked([Claim("a.example.com", "x"), bad, Claim("c.example.com", "x")]), Policy(DESTINATION), Facts()
    )
    assert decision.hosts == {"a.example.com", "c.example.com"}
    assert list(decision.left_out) == [bad]


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("kubernetes.default.svc.cluster.local", "is within cluster.local, which is never redirected"),
        ("cluster.local", "is within cluster.local, which is never redirected"),
        (DESTINATION, f"is within {DESTINATION}, which is never redirected"),
        ("kubernetes.default.svc", "is within svc, which is never redirected"),
        ("10-244-0-7.default.pod", "is within pod, which is never redirected"),
        ("1.0.0.127.in-addr.arpa", "is within in-addr.arpa, which is never redirected"),
        ("1.ip6.arpa", "is within ip6.arpa, which is never redirected"),
        ("localhost", "is within localhost, which is never redirected"),
        ("web.localhost", "is within localhost, which is never redirected"),
        ("kubernetes", "is a single label, which pods complete with their search domains"),
        ("", "is empty"),
    ],
)
def test_never_redirected(host: str, reason: str) -> None:
    assert reason_for(host) == reason


def test_the_cluster_domain_is_read_from_the_destination() -> None:
    destination = "proxy.proxies.svc.k8s.example.org"
    assert reason_for("kubernetes.default.svc.k8s.example.org", destination) is not None
    assert reason_for("kubernetes.default.svc.cluster.local", destination) is not None
    assert reason_for("www.example.org", destination) is None


def test_a_destination_outside_of_the_cluster_protects_itself() -> None:
    assert reason_for("proxy.example.org", "proxy.example.org") is not None
    assert reason_for("www.example.org", "proxy.example.org") is None
