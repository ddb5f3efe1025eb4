"""A short run of `make soak`, always with the same steps."""

from tests.soak import seeded
from tests.soak.ground import ground
from tests.soak.run import run

SEED = 1


def test_whatever_happens_the_rules_end_as_they_should_be() -> None:
    with ground() as found:
        report = run(found, 500, SEED)
    assert not report.broken, report.broken
    things = report.tally.things
    assert things["writes"] > 30, report.table()
    assert things["writes of a hosts file"] > 10, report.table()
    assert things["processes killed"] > 5, report.table()


def test_a_seeded_bug_is_found_and_shrunk() -> None:
    """Somebody else's line is lost, which takes that line and a host."""
    found = seeded.find(seeded.BUGS[0])
    assert "what is not ours has changed" in found
    steps = [line for line in found.splitlines() if line.startswith("state.")]
    assert len(steps) <= 12, found


def test_the_bugs_that_are_seeded_are_bugs_in_this_code() -> None:
    for bug in seeded.BUGS:
        assert bug.old != bug.new
        seeded.seeded(bug)
