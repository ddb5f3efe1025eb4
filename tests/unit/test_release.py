"""What a release calls its images, and what it makes its chart's values of."""

from pathlib import Path

import pytest

from tools.release import images, wheels
from tools.release.source import ReleaseError

DIGEST = f"sha256:{'0' * 64}"
MANIFEST = """\
# hairpin-proxy-haproxy:0.4.0 is the image.
image: hairpin-proxy-haproxy:0.4.0
image: hairpin-proxy-controller:0.4.0-rc.1 # ours
image: other/hairpin-proxy-controller:0.4.0
image: not-hairpin-proxy-controller:0.4.0
"""


def test_images_are_named_by_registry_and_tag() -> None:
    named = images.named("registry.example.com/team/", "1.2.3", None)
    assert named.written_into(MANIFEST) == (
        "# registry.example.com/team/hairpin-proxy-haproxy:1.2.3 is the image.\n"
        "image: registry.example.com/team/hairpin-proxy-haproxy:1.2.3\n"
        "image: registry.example.com/team/hairpin-proxy-controller:1.2.3 # ours\n"
        "image: other/hairpin-proxy-controller:0.4.0\n"
        "image: not-hairpin-proxy-controller:0.4.0\n"
    )
    assert images.named("", "1.2.3", None).reference("hairpin-proxy-haproxy") == "hairpin-proxy-haproxy:1.2.3"


def test_digests_are_those_of_this_registry_and_version(tmp_path: Path) -> None:
    digests = tmp_path / "digests"
    both = [f"registry.example.com/{name}:1.2.3@{DIGEST}" for name in images.NAMES]
    digests.write_text("\n".join(both))
    named = images.named("registry.example.com", "1.2.3", digests)
    assert [named.reference(name) for name in images.NAMES] == both
    for registry, version in (("", "1.2.3"), ("registry.example.com", "1.2.4"), ("registry.example.com/a", "1.2.3")):
        with pytest.raises(ReleaseError, match="has no digest of"):
            images.named(registry, version, digests)
    digests.write_text(both[0])
    with pytest.raises(ReleaseError, match="no digest of registry.example.com/hairpin-proxy-haproxy:1.2.3"):
        images.named("registry.example.com", "1.2.3", digests)
    with pytest.raises(ReleaseError, match="cannot be read"):
        images.named("registry.example.com", "1.2.3", tmp_path / "none")


def test_each_platform_has_wheels_of_a_machine() -> None:
    assert set(wheels.MACHINES) == set(images.PLATFORMS)
