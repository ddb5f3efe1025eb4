"""What a release calls its images, in manifests and in the chart's values; and what it says where it cannot be made."""

from pathlib import Path

import pytest

from tools.release import chart, images
from tools.release.source import ReleaseError, run
from tools.release.version import ROOT

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
        with pytest.raises(ReleaseError, match="has no digest of .*: it has to come from make images of this"):
            images.named(registry, version, digests)
    digests.write_text(both[0])
    with pytest.raises(ReleaseError, match="no digest of registry.example.com/hairpin-proxy-haproxy:1.2.3"):
        images.named("registry.example.com", "1.2.3", digests)
    with pytest.raises(ReleaseError, match="cannot be read"):
        images.named("registry.example.com", "1.2.3", tmp_path / "none")


@pytest.mark.parametrize("registry", ["", "registry.example.com", "localhost:5000/team/", "Registry.example.com/a_b/c"])
def test_a_registry_is_what_the_chart_takes(registry: str) -> None:
    assert chart.checked_registry(ROOT / chart.CHART, registry) == registry


@pytest.mark.parametrize(
    "registry",
    [
        "https://registry.example.com/team",
        "registry.example.com/Team",
        "registry.example.com/a b",
        "/team",
        'a"b',
        "a\n",
    ],
)
def test_a_registry_that_no_image_could_have_is_refused(registry: str) -> None:
    with pytest.raises(ReleaseError, match="no image can be called so: say it like registry.example.com/team"):
        chart.checked_registry(ROOT / chart.CHART, registry)


VALUES = """\
image:
  # Where they are.
  registry: ""
  digests:
    controller: ""
    haproxy: ""
"""


def test_the_charts_values_get_the_images_and_keep_their_comments(tmp_path: Path) -> None:
    named = images.Images("registry.example.com", "1.2.3", {"hairpin-proxy-haproxy": DIGEST})
    values = tmp_path / "values.yaml"
    values.write_text(VALUES)
    chart.set_image(values, named)
    assert values.read_text() == VALUES.replace('registry: ""', 'registry: "registry.example.com"').replace(
        'haproxy: ""', f'haproxy: "{DIGEST}"'
    )


@pytest.mark.parametrize("place", ["registry", "controller", "haproxy"])
def test_values_that_name_an_image_already_are_refused(tmp_path: Path, place: str) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(VALUES.replace(f'{place}: ""', f"{place}: other"))
    with pytest.raises(ReleaseError, match=r"has no image\.registry and image\.digests that are empty"):
        chart.set_image(values, images.Images("registry.example.com", "1.2.3", {}))


def test_a_command_that_is_missing_is_named() -> None:
    with pytest.raises(ReleaseError, match="there is no such-command on PATH"):
        run(["such-command"])
