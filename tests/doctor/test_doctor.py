"""Each station fails for what is wrong there, and no other does."""

from tests.doctor.ground import Ground


def test_a_good_cluster(ground: Ground) -> None:
    seen = ground.doctor()
    assert seen.code == 0, seen
    assert set(seen.statuses.values()) == {"ok"}, seen
