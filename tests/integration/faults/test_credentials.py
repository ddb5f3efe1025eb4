"""The API server's certificate, or the token of the controller's ServiceAccount, is another one than before."""

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.install import locate
from tests.integration.conftest import ACCOUNT, World, eventually
from tests.integration.faults.pod import Authority, Front
from tests.integration.faults.trial import Trial

SECRETS = f"/api/v1/namespaces/{ACCOUNT[0]}/secrets"
LEEWAY = 60
"""Seconds that the API server grants a token beyond its end."""
CACHED = 10
"""Seconds for which it believes a token that it has seen."""


# ---- certificates

CONNECTION_ENDED = "Connection refused|Connection aborted|Connection reset|EOF occurred"
UNVERIFIED = "poll failed: GET .*certificate verify failed: "
SHOWN = 1
"""How many calls may come in the moment in which nobody listens, because another certificate is put there."""


def test_another_ca_until_the_file_in_the_pod_is_replaced(front: Front, tmp_path: Path) -> None:
    other = Authority(tmp_path, "second").make()
    with front.controlled() as trial:
        trial.failures += SHOWN
        front.show(other.sign("other"))
        trial.change()
        said = UNVERIFIED + "unable to get local issuer certificate"
        eventually(lambda: bool(trial.named(said)))
        with trial.recovering(said):
            front.pod.put("ca.crt", other.certificate.read_text())


WRONG = {
    "expired": ({"days": -1}, "certificate has expired"),
    "for another address": ({"address": "192.0.2.1"}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
}


@pytest.mark.parametrize(("made", "said"), WRONG.values(), ids=WRONG)
def test_a_certificate_that_is(front: Front, made: dict[str, Any], said: str) -> None:
    with front.controlled() as trial:
        trial.failures += 2 * SHOWN
        front.show(front.authority.sign("wrong", **made))
        trial.change()
        eventually(lambda: bool(trial.named(UNVERIFIED + said)))
        with trial.recovering(UNVERIFIED + said):
            front.show(front.authority.sign("good"))


def renewed(front: Front, certificate: Path) -> None:
    """The connections break, and nothing else happens."""
    with front.controlled() as trial:
        front.show(certificate)
        trial.change()
        recovered = trial.right_again(trial.polls())
        trial.check()
        errors = trial.named(" ERROR ")
        assert len(errors) <= 1
        assert errors == trial.named(f" ERROR poll failed: .*({CONNECTION_ENDED})")
        trial.seen(errors[0] if errors else "none, for it connects anew", recovered)


def test_a_certificate_renewed_by_the_same_ca(front: Front) -> None:
    renewed(front, front.authority.sign("renewed"))


def test_another_ca_that_was_put_beside_the_first_one_in_the_pod_before(front: Front, tmp_path: Path) -> None:
    other = Authority(tmp_path, "second").make()
    certificate = other.sign("other")
    both = front.authority.certificate.read_text() + other.certificate.read_text()
    front.pod.put("ca.crt", both)
    renewed(front, certificate)


# ---- tokens

REFUSED = "401 Unauthorized: .*the credentials were refused; they are read anew"


def claims(token: str) -> dict[str, Any]:
    """What a token says."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


def signed(world: World, token: str, changes: dict[str, Any]) -> str:
    """The same token with other claims, signed as the API server does it."""
    head = token.split(".", maxsplit=1)[0]
    body = base64.urlsafe_b64encode(json.dumps(claims(token) | changes).encode()).rstrip(b"=").decode()
    argv = [locate("openssl"), "dgst", "-sha256", "-sign", str(world.cluster.folder / "sa.key")]
    made = subprocess.run(argv, input=f"{head}.{body}".encode(), capture_output=True, check=True).stdout
    signature = base64.urlsafe_b64encode(raw(made)).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


def raw(signature: bytes) -> bytes:
    """The two numbers of an ES256 signature, which openssl writes as ASN.1: each after two bytes of its own."""
    first = 4 + signature[3]
    numbers = signature[4:first], signature[first + 2 :]
    return b"".join(number[-32:].rjust(32, b"\0") for number in numbers)


def bound(world: World, secret: str) -> str:
    """A token that is good as long as there is this Secret."""
    with world.cluster.api() as api:
        metadata = {"name": secret, "namespace": ACCOUNT[0]}
        api.apply(f"{SECRETS}/{secret}", {"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
    return world.cluster.kubectl(
        "create", "token", ACCOUNT[1], "-n", ACCOUNT[0], "--bound-object-kind=Secret", f"--bound-object-name={secret}"
    ).strip()


def revoke(world: World, secret: str) -> None:
    with world.cluster.api() as api:
        api.delete(f"{SECRETS}/{secret}")


def is_refused(trial: Trial, seconds: float = CACHED + 10) -> None:
    """Which may come in the middle of a poll."""
    trial.lines = 2
    eventually(lambda: bool(trial.named(REFUSED)), seconds)


def test_a_token_that_was_rotated_while_the_old_one_is_still_good(front: Front) -> None:
    with front.controlled() as trial:
        front.pod.put("token", bound(front.pod.world, "next"))
        trial.change()
        recovered = trial.right_again(trial.polls())
        trial.check()
        assert not trial.named(" ERROR ")
        trial.seen("none, for the old token is good until the new one is read", recovered)


def test_a_token_that_was_rotated_and_the_old_one_revoked(front: Front) -> None:
    world, good = front.pod.world, (front.pod.account / "token").read_text()
    front.pod.put("token", bound(world, "old"))
    with front.controlled() as trial:
        front.pod.put("token", good)
        revoke(world, "old")
        is_refused(trial)
        with trial.recovering(REFUSED):
            trial.change()


def test_a_token_that_was_revoked(front: Front) -> None:
    world, good = front.pod.world, (front.pod.account / "token").read_text()
    front.pod.put("token", bound(world, "old"))
    with front.controlled() as trial:
        revoke(world, "old")
        is_refused(trial)
        trial.change()
        with trial.recovering(REFUSED):
            front.pod.put("token", good)


def test_a_token_that_expired(front: Front) -> None:
    good = (front.pod.account / "token").read_text()
    now = int(time.time())
    good_for = 30  # which has to suffice for a slow start
    times = {"iat": now - 600, "nbf": now - 600, "exp": now - LEEWAY + good_for}
    front.pod.put("token", signed(front.pod.world, good, times))
    with front.controlled() as trial:
        is_refused(trial, good_for + CACHED + 30)
        trial.change()
        with trial.recovering(REFUSED):
            front.pod.put("token", good)


UNREAD = "poll failed: no credentials from the ServiceAccount in /var/run/secrets/kubernetes.io/serviceaccount: "
NO_TOKEN = {
    "away": (None, UNREAD + "Service token file does not exist"),
    "empty": ("", UNREAD + "Token file exists but empty"),
    "half written": ("eyJhbGciOiJ", "poll failed: " + REFUSED.replace("401", "GET .*401")),
}


@pytest.mark.parametrize(("content", "said"), NO_TOKEN.values(), ids=NO_TOKEN)
def test_a_token_that_was_revoked_while_the_file_of_the_next_one_is(
    front: Front, content: str | None, said: str
) -> None:
    world, good = front.pod.world, (front.pod.account / "token").read_text()
    front.pod.put("token", bound(world, "old"))
    with front.controlled() as trial:
        if content is None:
            (front.pod.account / "token").unlink()
        else:
            front.pod.put("token", content)
        revoke(world, "old")
        trial.lines = 2
        eventually(lambda: bool(trial.named(said)), CACHED + 10)
        trial.change()
        with trial.recovering(said):
            front.pod.put("token", good)
