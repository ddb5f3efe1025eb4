"""`make demo`: the README's story on a real local cluster, told step by step. Ends with 1 if a step is not as told."""

from __future__ import annotations

import difflib
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.cluster import ClusterError, LocalCluster
from tests.cluster.install import InstallError
from tests.cluster.processes import ProcessError, wait_until

DEPLOY = Path(__file__).parents[2] / "deploy.yml"
HOST = "subdomain.example.com"
CLIENT = "127.0.0.9"
"""The loopback address that our client connects from, to be recognised at the other end."""

INGRESS = f"""\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: my-app
  namespace: default
spec:
  ingressClassName: nginx
  tls:
    - hosts: [{HOST}]
      secretName: my-app-tls
  rules:
    - host: {HOST}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: my-app
                port:
                  number: 80
"""
RULE = f"rewrite name {HOST} hairpin-proxy.hairpin-proxy.svc.cluster.local # Added by hairpin-proxy"


class NotAsToldError(RuntimeError):
    """A step of the story came out otherwise."""


class Demo:
    """The story. Each step says what is done, shows what came of it, and checks it."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.original = cluster.corefile()
        self.nginx = cluster.ingress.address
        self.service = ""

    def tell(self) -> None:
        self.step("Install: kubectl apply -f deploy.yml", self.install)
        self.step(f"An Ingress for {HOST}, with TLS", self.publish)
        self.step("Before: pods that call their own public name get an empty reply", self.before)
        self.step("The controller starts, with the ServiceAccount and rights of deploy.yml", self.start_controller)
        self.step("After: the same name leads through HAProxy, and the request arrives", self.after)
        self.step("The Ingress goes, and its line with it", self.unpublish)
        self.step("The controller ends on SIGTERM", self.stop_controller)

    def step(self, title: str, act: Callable[[], None]) -> None:
        print(f"\n== {title}", flush=True)
        act()

    def install(self) -> None:
        self.show(self.cluster.apply(DEPLOY))
        self.cluster.start_haproxy()
        self.service = self.cluster.service_ip("hairpin-proxy", "hairpin-proxy")
        self.show(f"Service hairpin-proxy is {self.service}; there is no kubelet here, so HAProxy was started by hand")

    def publish(self) -> None:
        self.show(self.cluster.apply(INGRESS))

    def before(self) -> None:
        self.dig_gives(self.nginx)
        self.show("that is nginx itself: kube-proxy leads the load balancer's address straight to it, for example")
        empty_reply = 52
        self.curl_gives("http", exit_code=empty_reply)
        self.curl_gives("http", "--haproxy-protocol", answer="hello")
        self.show("so nginx is well, and wants the PROXY header that only the load balancer would have added")

    def start_controller(self, name: str = "controller") -> None:
        account = self.cluster.service_account_kubeconfig("hairpin-proxy", "hairpin-proxy-controller-sa")
        argv = [sys.executable, "-m", "hairpin_proxy", "run", "--interval", "1", "--min-write-interval", "0"]
        # There are no pods of CoreDNS here, by which the controller would find its ConfigMap.
        argv += ["--metrics-address", "", "--kubeconfig", str(account), "--configmap", "kube-system/coredns"]
        self.controller = self.cluster.start(name, argv)
        # Its log is what is shown, and has the diff a moment after the Corefile has the rule.
        self.controller.wait_ready(lambda: "updated:" in self.controller.log.read_text())
        self.show(self.controller.log.read_text())
        self.expect(RULE in self.cluster.corefile(), "the rule stands in the Corefile")

    def after(self) -> None:
        self.show("CoreDNS reads its new Corefile ...")
        self.dig_gives(self.service)
        self.curl_gives("http", answer=f"client: {CLIENT}")
        self.curl_gives("https", answer=f"client: {CLIENT}")
        self.show("and the PROXY header told nginx who is asking")

    def unpublish(self) -> None:
        self.show(self.cluster.kubectl("delete", "ingress", "my-app"))
        wait_until(lambda: self.cluster.corefile() == self.original, 40)
        left = list(difflib.unified_diff(self.original.splitlines(), self.cluster.corefile().splitlines(), lineterm=""))
        self.expect(
            not left,
            "the Corefile is as it was before, byte for byte" + "".join(f"\n{line}" for line in left),
        )
        self.dig_gives(self.nginx)

    def stop_controller(self) -> None:
        started = time.monotonic()
        self.controller.stop()
        seconds = time.monotonic() - started
        self.expect(self.controller.exit_code == 0 and seconds < 5, f"it ended with 0 after {seconds:.2f} s")

    # ---- showing and checking

    def show(self, text: str) -> None:
        print(textwrap.indent(text.rstrip(), "   "), flush=True)

    def expect(self, as_told: bool, what: str) -> None:
        if not as_told:
            raise NotAsToldError(f"it was to be seen that {what}")
        self.show(f"√ {what}")

    def dig_gives(self, address: str) -> None:
        """CoreDNS reloads a moment after its file has changed, and its cache ends with it."""
        wait_until(lambda: self.cluster.dig(HOST) == [address], 40)
        answer = self.cluster.dig(HOST)
        self.show(f"$ dig +short {HOST}\n{' '.join(answer)}")
        self.expect(answer == [address], f"{HOST} is {address}")

    def curl_gives(self, scheme: str, *options: str, exit_code: int = 0, answer: str = "") -> None:
        done = self.cluster.curl(HOST, scheme, "--interface", CLIENT, *options)
        self.show(f"$ curl {' '.join([*options, ''])}{scheme}://{HOST}/\n{done.stdout}{done.stderr}")
        self.expect(
            done.returncode == exit_code and answer in done.stdout,
            f"curl ends with {exit_code}" + (f" and shows {answer!r}" if answer else ""),
        )

    def keep(self) -> None:
        """KEEP=1: everything stays until Ctrl-C."""
        self.step("Once more, to stay", self.publish)
        self.start_controller("controller-again")  # with a log of its own
        dns = self.cluster.dns.replace(":", " -p ")
        print(LOOK_AROUND.format(cluster=self.cluster, dns=dns, log=self.controller.log))
        signal.pause()


LOOK_AROUND = f"""
Everything keeps running until Ctrl-C. To look around, in another terminal:

    export KUBECONFIG={{cluster.kubeconfig}}
    alias kubectl={{cluster.kubectl_path}}
    kubectl get ingress,service,deployment -A
    kubectl -n kube-system get configmap coredns -o yaml
    dig @{{dns}} {HOST}
    tail -f {{log}}

Hosts below example.com that an Ingress names answer on port {{cluster.http_port}}, by TLS on {{cluster.https_port}}.
There are no nodes and no controllers but ours: Deployments start no pods, and a deleted namespace does not go away.
"""


def main() -> int:
    keep = os.environ.get("KEEP", "") not in ("", "0")
    try:
        with LocalCluster(lambda line: print(f"   {line}", flush=True)) as cluster:
            print(f"   ready in {cluster.startup_seconds:.1f} s", flush=True)
            demo = Demo(cluster)
            demo.tell()
            print("\n== All as told.", flush=True)
            if keep:
                demo.keep()
    except KeyboardInterrupt:
        return 130
    except (NotAsToldError, ClusterError, InstallError, ProcessError) as error:
        print(f"\n×  {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
