"""Gets a certificate the way cert-manager does: ACME, HTTP-01, and the self-check from inside the cluster first.

Ends with 3 if the self-check does not pass; the ACME server is then not asked to look.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import josepy
import requests
from acme import challenges, crypto_util, messages
from acme.client import ClientNetwork, ClientV2
from acme.standalone import HTTP01RequestHandler, HTTP01Server
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from kubernetes import client, config

SELF_CHECK_FAILED = 3
TIMEOUT = 10


class SelfCheckError(RuntimeError):
    """The challenge cannot be fetched from here, for this reason."""


# ---- the three things that make up an HTTP-01 challenge: who answers, the way there, and whether it works


@contextlib.contextmanager
def solver(port: int, challenge: messages.ChallengeBody, key: josepy.JWK) -> Iterator[None]:
    """Serves the key authorization."""
    response, validation = challenge.response_and_validation(key)
    resource = HTTP01RequestHandler.HTTP01Resource(chall=challenge.chall, response=response, validation=validation)
    server = HTTP01Server(("", port), {resource}, timeout=TIMEOUT)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def solver_ingress(name: str, host: str, path: str, service: str, port: int) -> client.V1Ingress:
    """As cert-manager writes it: without TLS, beside the host's own Ingress."""
    backend = client.V1IngressServiceBackend(name=service, port=client.V1ServiceBackendPort(number=port))
    http_path = client.V1HTTPIngressPath(path=path, path_type="Exact", backend=client.V1IngressBackend(service=backend))
    http = client.V1HTTPIngressRuleValue(paths=[http_path])
    return client.V1Ingress(
        metadata=client.V1ObjectMeta(name=name),
        spec=client.V1IngressSpec(ingress_class_name="nginx", rules=[client.V1IngressRule(host=host, http=http)]),
    )


@contextlib.contextmanager
def published(given: argparse.Namespace, path: str) -> Iterator[None]:
    """Leads the host's requests for the challenge to the solver, and takes that away again."""
    api = client.NetworkingV1Api()
    name = f"acme-solver-{secrets.token_hex(4)}"
    ingress = solver_ingress(name, given.host, path, given.solver_service, given.solver_port)
    api.create_namespaced_ingress(given.namespace, ingress)
    try:
        yield
    finally:
        api.delete_namespaced_ingress(name, given.namespace)


def self_check(url: str, validation: str, seconds: float) -> None:
    """Fetches the challenge until it is as it should be. Raises SelfCheckError with what was wrong the last time."""
    deadline = time.monotonic() + seconds
    while wrong := _what_is_wrong(url, validation):
        print(f"self-check: {wrong}", flush=True)
        if time.monotonic() > deadline:
            raise SelfCheckError(wrong)
        time.sleep(2)
    # nginx's workers of before its reload accept for a moment longer, and might get the ACME server's request.
    time.sleep(2)
    print("self-check: passed", flush=True)


def _what_is_wrong(url: str, validation: str) -> str:
    try:
        answer = requests.get(url, timeout=TIMEOUT)
    except requests.RequestException as error:
        return f"GET {url}: {error}"
    if (answer.status_code, answer.text) != (200, validation):
        return f"GET {url}: {answer.status_code} {answer.text!r} is not the key authorization"
    return ""


# ---- ACME


def connect(directory: str) -> tuple[ClientV2, josepy.JWK]:
    """Registers a new account. Whether to trust the server is up to REQUESTS_CA_BUNDLE."""
    key = josepy.JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    network = ClientNetwork(key, timeout=TIMEOUT)
    acme = ClientV2(ClientV2.get_directory(directory, network), network)
    acme.new_account(messages.NewRegistration(terms_of_service_agreed=True))
    return acme, key


def certificate_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


def http01(order: messages.OrderResource) -> messages.ChallengeBody:
    """The challenge of an order for one host."""
    found = (body for body in order.authorizations[0].body.challenges if isinstance(body.chall, challenges.HTTP01))
    return next(found)


def obtain(given: argparse.Namespace, private_key: bytes) -> str:
    """The certificate with its chain. Raises SelfCheckError."""
    acme, key = connect(given.directory)
    order = acme.new_order(crypto_util.make_csr(private_key, [given.host]))
    challenge = http01(order)
    response, validation = challenge.response_and_validation(key)
    with solver(given.solver_port, challenge, key), published(given, challenge.chall.path):
        self_check(challenge.chall.uri(given.host), validation, given.self_check_seconds)
        acme.answer_challenge(challenge, response)
        order = acme.poll_and_finalize(order, datetime.now() + timedelta(seconds=60))
    chain: str = order.fullchain_pem
    return chain


# ---- what comes of it


def store(namespace: str, name: str, chain: str, private_key: bytes) -> None:
    """Creates the TLS Secret, or gives it the new certificate."""
    api = client.CoreV1Api()
    data = {"tls.crt": chain, "tls.key": private_key.decode()}
    metadata = client.V1ObjectMeta(name=name)
    secret = client.V1Secret(metadata=metadata, type="kubernetes.io/tls", string_data=data)
    try:
        api.create_namespaced_secret(namespace, secret)
    except client.ApiException as error:
        if error.status != 409:
            raise
        api.patch_namespaced_secret(name, namespace, secret)


def describe(chain: str) -> str:
    certificate = x509.load_pem_x509_certificate(chain.encode())
    return f"issued: {certificate.subject.rfc4514_string()} by {certificate.issuer.rfc4514_string()}"


def _end(number: int, _frame: object) -> None:
    # The first process of a container has no default action for SIGTERM.
    raise SystemExit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", required=True, metavar="URL", help="of the ACME server")
    parser.add_argument("--host", required=True, help="the name to get a certificate for")
    parser.add_argument("--secret", required=True, help="where to put it")
    parser.add_argument("--namespace", default="default", help="of the Secret, the solver's Service and its Ingress")
    parser.add_argument("--solver-service", default="acme-solver", help="the Service that leads to this program")
    parser.add_argument("--solver-port", type=int, default=8089)
    parser.add_argument("--self-check-seconds", type=float, default=60)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    config.load_config()
    private_key = certificate_key()
    try:
        chain = obtain(given, private_key)
    except SelfCheckError as error:
        print(f"self-check failed: {error}", file=sys.stderr)
        return SELF_CHECK_FAILED
    store(given.namespace, given.secret, chain, private_key)
    print(describe(chain))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
