"""A controller as in a pod: with the files that kubelet mounts and replaces, in a mount namespace of its own."""

import base64
import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.cluster.install import locate
from tests.cluster.processes import Process
from tests.integration.conftest import ACCOUNT, World, unshare_mounts
from tests.integration.faults.proxy import FaultProxy
from tests.integration.faults.trial import Seen, Trial, controlled

IN_A_POD = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
mount --bind "$1" /run/secrets/kubernetes.io/serviceaccount
resolv=$(readlink -m /etc/resolv.conf)
mkdir -p "${resolv%/*}"
[ -e "$resolv" ] || : > "$resolv"
mount --bind "$2" "$resolv"
shift 2
exec "$@"
"""
_numbers = itertools.count()


@dataclass(frozen=True)
class Pod:
    """Where its files are. No container: what a controller can tell from one is there."""

    world: World
    folder: Path
    server: str
    """The URL of the API server."""
    resolv_conf: str = "nameserver 192.0.2.53\n"
    """A server that does not answer."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> Path:
        return self.folder / "account"

    def put(self, name: str, content: str | bytes) -> None:
        """Replaces a file of the ServiceAccount's, as kubelet does: at once."""
        self.account.mkdir(exist_ok=True)
        new = self.folder / f"new.{name}"
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        new.replace(self.account / name)

    def start(self, metrics: str) -> Process:
        """Its controller."""
        (self.folder / "resolv.conf").write_text(self.resolv_conf)
        argv = [*unshare_mounts(), "sh", "-c", IN_A_POD, "sh", str(self.account)]
        argv += [str(self.folder / "resolv.conf"), sys.executable, "-m", "hairpin_proxy", "run"]
        argv += ["--interval", "0.3", "--min-write-interval", "0", "--metrics-address", metrics]
        address = urlsplit(self.server)
        found = {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}
        return self.world.cluster.start(f"pod-{next(_numbers)}", argv, found | dict(self.environment))


def pod(world: World, folder: Path, server: str, authority: str | bytes | None = None) -> Pod:
    """With a token of the controller's ServiceAccount; without an authority, with that of the cluster."""
    config = yaml.safe_load(world.kubeconfig.read_text())
    made = Pod(world, folder, server)
    made.put("token", config["users"][0]["user"]["token"])
    made.put("namespace", ACCOUNT[0])
    own = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    made.put("ca.crt", own if authority is None else authority)
    return made


@dataclass(frozen=True)
class Authority:
    """A CA with its key."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.crt"

    @property
    def _key(self) -> Path:
        return self.folder / f"{self.name}.key"

    def make(self) -> "Authority":
        self._openssl("req", "-x509", *NEW_KEY, "-keyout", self._key, "-out", self.certificate, *self._named)
        return self

    @property
    def _named(self) -> list[str]:
        return ["-subj", f"/CN={self.name}", "-days", "30"]

    def sign(self, name: str, address: str = "127.0.0.1", days: int = 30) -> Path:
        """A server's certificate with its key; one of less than no days has expired."""
        key, request, extensions = (self.folder / f"{name}.{end}" for end in ("key", "csr", "ext"))
        extensions.write_text(f"subjectAltName=IP:{address}\n")
        self._openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        signed = ["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions]
        text = self._openssl("x509", "-req", "-in", request, *signed, "-days", days)
        made = self.folder / f"{name}.pem"
        made.write_text(text + key.read_text())
        return made

    def _openssl(self, *args: object) -> str:
        argv = [locate("openssl"), *map(str, args)]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Front:
    """A load balancer before the API server that ends TLS, and a pod that calls it."""

    proxy: FaultProxy
    pod: Pod
    authority: Authority
    seen: Seen

    @contextmanager
    def controlled(self) -> Iterator[Trial]:
        with controlled(self.pod.world, self.proxy, self.seen, self.pod.start) as trial:
            yield trial
            trial.controller.send_signal(signal.SIGKILL)  # after SIGTERM it would wait whether it is uninstalled

    def show(self, certificate: Path) -> None:
        """Shows this certificate from now on."""
        self.proxy.refuse()
        self.proxy.certificate = certificate
        self.proxy.listen()
