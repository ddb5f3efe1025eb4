"""Each station fails for what is wrong there, and no other does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hairpin_proxy import wiring
from hairpin_proxy.doctor.examine import examine
from hairpin_proxy.settings import resolve
from tests.cluster.cluster import INGRESS_NAMESPACE, INGRESS_PORTS, INGRESS_SERVICE
from tests.cluster.ingress import NGINX_CONF
from tests.cluster.processes import wait_until
from tests.doctor.ground import COREDNS, HOST, NODE_LOCAL, PLAIN_NGINX, PUBLIC, ROOT, Ground

HAPROXY_DEPLOYMENT = "hairpin-proxy-haproxy"
DESTINATION = "hairpin-proxy.hairpin-proxy.svc.cluster.local"
CONTROLLER = "hairpin-proxy-controller"
TARGET = f"{INGRESS_SERVICE}.{INGRESS_NAMESPACE}.svc.cluster.local"


def check_fails(ground: Ground, check: str, *said: str, flags: tuple[str, ...] = ()) -> None:
    """Exactly this one, with these words."""
    seen = ground.doctor(*flags)
    assert seen.of("fail") == [check], seen
    assert seen.of("unknown") == [], seen
    assert seen.code == 1
    for words in said:
        assert words in seen.said(check), seen.said(check)


def test_a_good_cluster(ground: Ground) -> None:
    seen = ground.doctor()
    assert seen.code == 0, seen
    assert set(seen.statuses.values()) == {"ok"}, seen
    table = ground.command("doctor").stdout
    assert table.count("√") >= 11
    assert table.endswith("Status: √ all is well\n")
    assert not re.search("^[×‼?-]", table, re.MULTILINE), table


def test_an_empty_cluster(ground: Ground) -> None:
    ground.delete("/apis/networking.k8s.io/v1/namespaces/default/ingresses")
    ground.once()
    seen = ground.doctor()
    assert seen.code == 0, seen
    assert seen.of("skipped") == ["dns", "end-to-end"], seen


# ---- need


def test_a_load_balancer_with_ip_mode_proxy(ground: Ground) -> None:
    ground.balancer({"ip": PUBLIC, "ipMode": "Proxy"})
    check_fails(ground, "need", f"{PUBLIC} with ipMode: Proxy", "kubectl delete -f deploy.yml")


def test_a_load_balancer_with_a_host_name(ground: Ground) -> None:
    ground.balancer({"hostname": "lb.example.net"})
    check_fails(ground, "need", "the host name lb.example.net")


def test_no_load_balancer(ground: Ground) -> None:
    ground.balancer()
    seen = ground.doctor()
    assert (seen.statuses["need"], seen.code) == ("warn", 0)


# ---- rights


def test_a_right_is_missing(ground: Ground) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/hairpin-proxy-controller-cr"
    ground.patch(path, {"rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}]})
    check_fails(ground, "rights", "may not list ingresses.networking.k8s.io", "kubectl apply -f deploy.yml")


def test_in_the_pod_without_the_right_to_coredns_s_configmap(ground: Ground) -> None:
    """As on a fresh RKE2: what cannot be told without it names what is to be mended, and no other command."""
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles/hairpin-proxy-controller-r"
    ground.patch(path, {"rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}]})
    scene = wiring.scene(resolve({"kubeconfig": str(ground.account)}, {}), None)
    results = examine(replace(scene, install=replace(scene.install, in_pod=True)))
    said = {result.check: [finding.message for finding in result.findings] for result in results}
    follows = ["not looked at before [rights] is mended"]
    assert "may not get configmaps coredns in kube-system" in said["rights"][0]
    assert {said_of for said_of, messages in said.items() if messages == follows} == {
        *("coredns", "rules", "live", "dns", "end-to-end", "hosts"),
    }


# ---- coredns


def test_reload_is_missing(ground: Ground) -> None:
    ground.write_corefile(re.sub(r" +reload .*\n", "", ground.original()))
    ground.restart_coredns()
    ground.once()
    check_fails(ground, "coredns", "no server block has the reload plugin", "rollout restart deployment/coredns")


def test_the_corefile_cannot_be_read(ground: Ground) -> None:
    ground.write_corefile(ground.corefile().removesuffix("}\n"))
    check_fails(ground, "coredns", "is never closed")


def test_the_configmap_is_missing(ground: Ground) -> None:
    ground.delete("/api/v1/namespaces/kube-system/configmaps/coredns")
    check_fails(ground, "coredns", 'configmaps "coredns" not found', "CONFIGMAP=")


# ---- rules


def test_rules_are_reverted(ground: Ground) -> None:
    ground.write_corefile(ground.original())
    check_fails(ground, "rules", f"no rule for host {HOST}", "wrote it last")


def test_rules_are_hidden_by_a_longer_zone(ground: Ground) -> None:
    block = f"example.com:53 {{\n    bind {COREDNS}\n    forward . 127.0.0.1:5300\n}}\n"
    ground.write_corefile(ground.corefile() + block)
    check_fails(ground, "rules", "the server block for example.com answers host subdomain.example.com")


def test_rules_are_hidden_by_an_administrators_rule(ground: Ground) -> None:
    rule = f"    rewrite name {HOST} kubernetes.default.svc.cluster.local\n"
    ground.write_corefile(ground.corefile().replace("    errors\n", f"    errors\n{rule}"))
    check_fails(ground, "rules", "it stands first and wins")


def test_the_cluster_has_another_domain(ground: Ground) -> None:
    ground.domain = "corp.example"
    ground.write_corefile(ground.original("corp.example"))
    ground.restart_coredns()
    check_fails(ground, "rules", "is --destination in this cluster's domain?", "CLUSTER_DOMAIN=corp.example")


def test_the_controller_is_scaled_down(ground: Ground) -> None:
    ground.patch(f"/apis/apps/v1/namespaces/hairpin-proxy/deployments/{CONTROLLER}", {"spec": {"replicas": 0}})
    check_fails(ground, "rules", "is scaled to 0", "--replicas=1")


def test_the_controller_is_missing(ground: Ground) -> None:
    ground.delete(f"/apis/apps/v1/namespaces/hairpin-proxy/deployments/{CONTROLLER}")
    check_fails(ground, "rules", "there is no Deployment hairpin-proxy/hairpin-proxy-controller")


def test_the_controller_refuses_its_settings(ground: Ground) -> None:
    words = ("-n", "hairpin-proxy", "set", "env", f"deployment/{CONTROLLER}")
    ground.cluster.kubectl(*words, "POLL_INTERVAL=soon")
    check_fails(ground, "rules", "POLL_INTERVAL is 'soon'")
    ground.cluster.kubectl(*words, "POLL_INTERVAL-")


def test_rules_lead_to_a_service_that_is_gone(ground: Ground) -> None:
    rule = "    rewrite name old.example.com hairpin-proxy.old.svc.cluster.local # Added by hairpin-proxy\n"
    ground.write_corefile(ground.corefile().removesuffix("}\n") + rule + "}\n")
    check_fails(ground, "rules", "hairpin-proxy.old.svc.cluster.local", "ADOPT_DESTINATION=")


# ---- live


def test_coredns_refuses_the_corefile(ground: Ground) -> None:
    ground.ingress(HOST, "second.example.com")
    text = ground.original().replace("    errors\n", "    errors\n    nosuchplugin\n")
    ground.stop_following()
    ground.write_corefile(text)
    ground.once()
    ground.follow()  # so that it reads one text, and not the one without our rules before
    ground.wait_for_metric("coredns_reload_failed_total 1")
    check_fails(ground, "live", "has read the Corefile and refused it", "nosuchplugin")


def test_coredns_refuses_what_came_after_our_rules(ground: Ground) -> None:
    """It answers as before, and would not come up again."""
    ground.write_corefile(ground.corefile().replace("    errors\n", "    errors\n    nosuchplugin\n"))
    ground.wait_for_metric("coredns_reload_failed_total 1")
    check_fails(ground, "live", "started anew, it would not come up")


def test_an_edit_has_not_arrived_yet(ground: Ground) -> None:
    ground.stop_following()
    ground.ingress(HOST, "second.example.com")
    ground.once()
    check_fails(ground, "live", "does not know the Corefile of", "host second.example.com", "two and a half minutes")


def test_coredns_gives_no_answer(ground: Ground) -> None:
    ground.stop("coredns")
    check_fails(ground, "live", f"CoreDNS at {COREDNS}:53 gives no answer")


# ---- dns


def test_coredns_does_not_know_where_the_rules_lead(ground: Ground) -> None:
    block(ground, DESTINATION)
    assert wait_until(lambda: not ground.dig(DESTINATION), 40)
    check_fails(ground, "dns", f"has no address for {DESTINATION}")


def block(ground: Ground, name: str) -> None:
    """As an administrator may whom nobody should ask for this name."""
    acl = f"    acl {name} {{\n       block\n    }}\n"
    ground.write_corefile(ground.corefile().replace("    errors\n", f"    errors\n{acl}"))


@pytest.fixture
def node_local_dns(ground: Ground) -> Iterator[None]:
    ground.install_node_local_dns()
    yield
    ground.remove_node_local_dns()


@pytest.mark.usefixtures("node_local_dns")
def test_node_local_dns_is_in_the_way(ground: Ground) -> None:
    assert ground.dig(HOST, NODE_LOCAL) == [PUBLIC]
    said = (f"answers host {HOST} itself, with {PUBLIC}", "NODE_LOCAL_DNS=on")
    check_fails(ground, "dns", *said)
    by_hand = ground.doctor().said("dns").partition("or by hand: ")[2]
    ground.cluster.kubectl(*shlex.split(by_hand)[1:])
    ground.start_node_local_dns()
    seen = ground.doctor()
    assert (seen.code, seen.statuses["dns"]) == (0, "ok"), seen
    assert ground.dig("elsewhere.example.com", NODE_LOCAL) == [PUBLIC]


@pytest.mark.usefixtures("node_local_dns")
def test_node_local_dns_that_cannot_be_asked_is_judged_by_its_corefile(ground: Ground) -> None:
    ground.install_node_local_dns("169.254.20.11")
    check_fails(ground, "dns", "what the DNS servers of its node know", "patch configmap node-local-dns")


# ---- haproxy


def test_haproxy_is_scaled_down(ground: Ground) -> None:
    ground.patch(f"/apis/apps/v1/namespaces/hairpin-proxy/deployments/{HAPROXY_DEPLOYMENT}", {"spec": {"replicas": 0}})
    ground.endpoints("hairpin-proxy", "hairpin-proxy", {"http": 8080, "https": 8443})
    ground.stop("haproxy")
    check_fails(ground, "haproxy", "has no ready endpoint", "is scaled to 0", "--replicas=2")


def test_haproxys_service_is_missing(ground: Ground) -> None:
    ground.delete("/api/v1/namespaces/hairpin-proxy/services/hairpin-proxy")
    check_fails(ground, "haproxy", "there is no Service hairpin-proxy/hairpin-proxy", "NXDOMAIN")


# ---- target


def target_is(ground: Ground, server: str, **more: str) -> None:
    """HAProxy's Deployment says so, and so do its pods."""
    ground.set_env(HAPROXY_DEPLOYMENT, TARGET_SERVER=server, **more)
    ground.start_haproxy(TARGET_SERVER=server, **more)


def test_the_target_is_wrong(ground: Ground) -> None:
    target_is(ground, "ingress-nginx.ingress.svc.cluster.local")
    check_fails(ground, "target", "there is no Service ingress/ingress-nginx", f"TARGET_SERVER={TARGET}")


def test_the_target_is_a_short_name(ground: Ground) -> None:
    target_is(ground, f"{INGRESS_SERVICE}.{INGRESS_NAMESPACE}")
    check_fails(ground, "target", "CoreDNS knows no such name", f"TARGET_SERVER={TARGET}")


def test_the_target_refuses(ground: Ground) -> None:
    target_is(ground, TARGET, TARGET_HTTP_PORT="81", TARGET_HTTPS_PORT="444")
    check_fails(ground, "target", "does not accept on port 81", "the name is right")


def test_the_target_speaks_no_proxy(ground: Ground) -> None:
    address = ground.service("default", "plain", INGRESS_PORTS)
    ground.start_nginx("plain", address, PLAIN_NGINX)
    target_is(ground, "plain.default.svc.cluster.local")
    check_fails(ground, "target", "with HTTP status 400", f"TARGET_SERVER={TARGET}")


def test_the_target_speaks_proxy_on_one_port_alone(ground: Ground) -> None:
    """As Traefik does if it is told of one entry point only."""
    address = ground.service("default", "plain", INGRESS_PORTS)
    conf = NGINX_CONF.replace("ssl proxy_protocol;", "ssl;")
    ground.start_nginx("plain", address, conf)
    target_is(ground, "plain.default.svc.cluster.local")
    check_fails(ground, "target", "on port 443 without the PROXY header")


def test_the_target_demands_proxy_and_gets_none(ground: Ground) -> None:
    target_is(ground, TARGET, PROXY_PROTOCOL="off")
    check_fails(ground, "target", "PROXY_PROTOCOL is off", "PROXY_PROTOCOL=v1")


def test_the_target_speaks_version_2(ground: Ground) -> None:
    target_is(ground, TARGET, PROXY_PROTOCOL="v2")
    assert ground.doctor().code == 0


# ---- end to end


def test_requests_get_lost(ground: Ground) -> None:
    """HAProxy's pods have another target than its Deployment, as while a roll-out is stuck."""
    ground.start_haproxy(TARGET_SERVER="192.0.2.7", TIMEOUT_CONNECT="1s")
    check_fails(ground, "end-to-end", f"a request for {HOST}", "gets no answer")


# ---- hosts


def test_hosts_are_left_out(ground: Ground) -> None:
    ground.ingress("kubernetes.default.svc", "chosen.example.org", name="strange")
    seen = ground.doctor()
    assert seen.code in (0, 1)
    assert seen.statuses["hosts"] == "warn"
    assert "Ingress default/strange: host 'kubernetes.default.svc' is left out" in seen.said("hosts")


# ---- as a whole


def test_not_installed(ground: Ground) -> None:
    seen = ground.doctor("--install-namespace", "nowhere")
    assert seen.code == 0, seen
    assert seen.statuses["need"] == "ok"
    assert seen.of("skipped") == ["rights", "rules", "live", "dns", "haproxy", "target", "end-to-end"]


def test_an_api_server_that_is_away(ground: Ground, tmp_path: Path) -> None:
    text = ground.cluster.kubeconfig.read_text()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(re.sub(r"server: '[^']*'", "server: 'https://127.0.0.1:9'", text))
    seen = ground.doctor(kubeconfig=kubeconfig)
    assert seen.code == 2
    assert set(seen.statuses.values()) == {"unknown"}
    done = ground.command("doctor", kubeconfig=kubeconfig)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done


def test_only_the_nodes_are_served(ground: Ground) -> None:
    ground.patch(f"/apis/apps/v1/namespaces/hairpin-proxy/deployments/{CONTROLLER}", {"spec": {"replicas": 0}})
    daemonset = ROOT / "deploy-etchosts-daemonset.yml"
    ground.cluster.apply(daemonset)
    seen = ground.doctor()
    ground.cluster.kubectl("delete", "-f", str(daemonset), "--wait=false")
    assert seen.code == 0, seen
    assert seen.of("skipped") == ["rights", "coredns", "rules", "live", "dns"]


def test_it_changes_nothing(ground: Ground) -> None:
    """The audit log has what ServiceAccounts do: this one could do everything."""
    ground.cluster.kubectl("create", "serviceaccount", "mighty")
    ground.cluster.kubectl(
        "create", "clusterrolebinding", "mighty", "--clusterrole=cluster-admin", "--serviceaccount=default:mighty"
    )
    kubeconfig = ground.cluster.service_account_kubeconfig("default", "mighty")
    ground.cluster.forget_audit()
    assert ground.doctor(kubeconfig=kubeconfig).code == 0
    calls = {
        (event["verb"], event["objectRef"]["resource"]) for event in ground.cluster.audit() if "objectRef" in event
    }
    assert ("list", "ingresses") in calls
    assert {call for call in calls if call[0] not in ("get", "list", "watch")} == {("create", "subjectaccessreviews")}
