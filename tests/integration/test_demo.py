"""The demo itself, as `make demo KEEP=1` starts it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path


def test_the_demo_is_as_told_and_stays_until_it_is_interrupted() -> None:
    # A run in the background ignores SIGINT, and so would all that it starts.
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "tests.cluster.demo"]
    environment = {**os.environ, "KEEP": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(argv, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as demo:
        assert demo.stdout
        told: list[str] = []
        for line in demo.stdout:
            told.append(line)
            if line.startswith("There are no nodes"):
                break
        story = "".join(told)
        assert "== All as told." in story, story
        kubeconfig = re.search(r"export KUBECONFIG=(\S+)", story)
        kubectl = re.search(r"alias kubectl=(\S+)", story)
        assert kubeconfig
        assert kubectl
        look = [
            kubectl[1],
            "--kubeconfig",
            kubeconfig[1],
            "-n",
            "kube-system",
            "get",
            "configmap",
            "coredns",
            "-o",
            "yaml",
        ]
        seen = subprocess.run(look, text=True, capture_output=True, check=True).stdout
        assert "rewrite name subdomain.example.com hairpin-proxy.hairpin-proxy.svc.cluster.local" in seen
        demo.send_signal(signal.SIGINT)
        assert demo.wait(20) == 130
    assert not Path(kubeconfig[1]).parent.exists()
