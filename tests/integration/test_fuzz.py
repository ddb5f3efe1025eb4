"""A short run of `make fuzz`, always with the same cases."""

from tests.cluster.cluster import LocalCluster
from tests.fuzz import seeded
from tests.fuzz.cases import FEATURES, make
from tests.fuzz.dns import Cluster
from tests.fuzz.run import run, run_dns

SEED = 1


def test_a_case_is_the_same_each_time() -> None:
    assert make(SEED, 7) == make(SEED, 7) != make(SEED, 8)


def test_the_laws_hold_with_coredns_as_the_judge() -> None:
    report = run(SEED, range(1000))
    assert not report.broken, report.table()
    assert report.verdicts["rendered"] > 600
    assert all(report.features[feature] > 5 for feature in FEATURES), report.table()


def test_a_started_coredns_answers_our_hosts_and_everything_else_as_before(cluster: LocalCluster) -> None:
    known = Cluster(cluster.kubeconfig, cluster.service_ip("hairpin-proxy", "hairpin-proxy"))
    report = run_dns(SEED, range(20), known)
    assert not report.broken, report.table()
    assert report.compared > 8
    assert report.led > 50


def test_the_bugs_that_make_fuzz_seeds_are_bugs_in_this_code() -> None:
    for bug in seeded.BUGS:
        assert bug.old != bug.new
        seeded.seeded(bug)


def test_a_seeded_bug_is_noticed() -> None:
    assert seeded.find(seeded.BUGS[0])
