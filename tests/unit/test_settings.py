"""Flag over environment over default, and what a setting takes."""

from typing import Any

import pytest

from hairpin_proxy.corefile.version import Version
from hairpin_proxy.settings import (
    ConfigMapName,
    DnsServer,
    Flag,
    ListenAddress,
    Option,
    SettingError,
    Settings,
    is_probed,
    options,
    resolve,
)


def test_the_defaults() -> None:
    assert resolve({}, {}) == Settings(
        interval=15,
        once=False,
        dry_run=False,
        kubeconfig=None,
        context=None,
        install_namespace=None,
        source=("ingress",),
        hosts_from="tls",
        ingress_class=(),
        gateway_class=(),
        namespace=(),
        namespace_selector=None,
        allow_domain=(),
        deny_domain=(),
        max_hosts_per_namespace=None,
        domain_per_namespace_annotation=None,
        only_hairpinned="warn",
        resolver=None,
        cluster_domain=None,
        provider="auto",
        configmap=None,
        configmap_key=None,
        destination="hairpin-proxy.hairpin-proxy.svc.cluster.local",
        adopt_destination=(),
        coredns_version=None,
        nudge_coredns=False,
        node_local_dns="off",
        events=False,
        etc_hosts=None,
        metrics_address=ListenAddress("", 8000),
        log_level="info",
        log_format="text",
    )


EXAMPLES: list[tuple[str, str, str, Any]] = [
    ("interval", "POLL_INTERVAL", "2.5", 2.5),
    ("min_write_interval", "MIN_WRITE_INTERVAL", "0", 0.0),
    ("once", "ONCE", "true", True),
    ("dry_run", "DRY_RUN", "1", True),
    ("kubeconfig", "KUBECONFIG", "/a/file", "/a/file"),
    ("context", "CONTEXT", "kind", "kind"),
    ("install_namespace", "POD_NAMESPACE", "my-proxy", "my-proxy"),
    ("source", "SOURCE", "gateway, ingress", ("gateway", "ingress")),
    ("hosts_from", "HOSTS_FROM", "all", "all"),
    ("ingress_class", "INGRESS_CLASS", "nginx,public", ("nginx", "public")),
    ("gateway_class", "GATEWAY_CLASS", "eg istio", ("eg", "istio")),
    ("namespace", "NAMESPACE", "shop, blog", ("shop", "blog")),
    ("namespace_selector", "NAMESPACE_SELECTOR", "team in (a,b),!internal", "team in (a,b),!internal"),
    ("allow_domain", "ALLOW_DOMAIN", "Example.com., example.org", ("example.com", "example.org")),
    ("deny_domain", "DENY_DOMAIN", "internal", ("internal",)),
    ("max_hosts_per_namespace", "MAX_HOSTS_PER_NAMESPACE", "10", 10),
    (
        "domain_per_namespace_annotation",
        "DOMAIN_PER_NAMESPACE_ANNOTATION",
        "example.com/domains",
        "example.com/domains",
    ),
    ("only_hairpinned", "ONLY_HAIRPINNED", "require", "require"),
    ("resolver", "RESOLVER", "[2001:DB8::1]:5353", DnsServer("2001:db8::1", 5353)),
    ("cluster_domain", "CLUSTER_DOMAIN", "K8s.Example.org.", "k8s.example.org"),
    ("provider", "PROVIDER", "import", "import"),
    ("configmap", "CONFIGMAP", "dns/coredns-base", ConfigMapName("dns", "coredns-base")),
    ("configmap_key", "CONFIGMAP_KEY", "my.Core-file_1", "my.Core-file_1"),
    ("rules", "RULES", "packed", "packed"),
    ("destination", "DESTINATION", "Proxy.Example.com.", "proxy.example.com"),
    (
        "adopt_destination",
        "ADOPT_DESTINATION",
        "A.b.svc.old.local., c.d.svc.older.local",
        ("a.b.svc.old.local", "c.d.svc.older.local"),
    ),
    ("coredns_version", "COREDNS_VERSION", "v1.8.4", Version(1, 8, 4)),
    ("nudge_coredns", "NUDGE_COREDNS", "true", True),
    ("node_local_dns", "NODE_LOCAL_DNS", "on", "on"),
    ("events", "EVENTS", "true", True),
    ("etc_hosts", "ETC_HOSTS", "/node/etc/hosts", "/node/etc/hosts"),
    ("metrics_address", "METRICS_ADDRESS", "[0:0::1]:9000", ListenAddress("::1", 9000)),
    ("log_level", "LOG_LEVEL", "DEBUG", "debug"),
    ("log_format", "LOG_FORMAT", "json", "json"),
]


def test_the_examples_are_all_settings() -> None:
    assert [(name, env) for name, env, _, _ in EXAMPLES] == [(option.name, option.env) for option in options()]


@pytest.mark.parametrize(("name", "env", "text", "value"), EXAMPLES)
def test_the_environment_wins_over_the_default(name: str, env: str, text: str, value: Any) -> None:
    assert getattr(resolve({name: None}, {env: text}), name) == value


@pytest.mark.parametrize(("name", "env", "text", "value"), EXAMPLES)
def test_a_flag_wins_over_the_environment(name: str, env: str, text: str, value: Any) -> None:
    flag = value if isinstance(value, bool) else text
    assert getattr(resolve({name: flag}, {env: "??? of no use"}), name) == value


def test_a_flag_switches_off_what_the_environment_switches_on() -> None:
    assert resolve({"once": False}, {"ONCE": "true"}).once is False


@pytest.mark.parametrize(("name", "env"), [(name, env) for name, env, _, _ in EXAMPLES])
def test_an_empty_variable_is_not_set(name: str, env: str) -> None:
    assert getattr(resolve({}, {env: ""}), name) == getattr(Settings(), name)


@pytest.mark.parametrize("text", ["TRUE", "Yes", "on", "1"])
def test_a_switch_is_on(text: str) -> None:
    assert resolve({}, {"ONCE": text}).once is True


@pytest.mark.parametrize("text", ["FALSE", "No", "off", "0"])
def test_a_switch_is_off(text: str) -> None:
    assert resolve({}, {"ONCE": text}).once is False


@pytest.mark.parametrize(
    ("flag", "text", "takes"),
    [
        ("interval", "x", "a number of seconds from 0.1 to 86400"),
        ("interval", "", "a number of seconds from 0.1 to 86400"),
        ("interval", "0", "a number of seconds from 0.1 to 86400"),
        ("interval", "0.09", "a number of seconds from 0.1 to 86400"),
        ("interval", "-1", "a number of seconds from 0.1 to 86400"),
        ("interval", "86401", "a number of seconds from 0.1 to 86400"),
        ("interval", "nan", "a number of seconds from 0.1 to 86400"),
        ("interval", "inf", "a number of seconds from 0.1 to 86400"),
        ("interval", "15s", "a number of seconds from 0.1 to 86400"),
        ("min_write_interval", "-1", "a number of seconds from 0 to 86400"),
        ("min_write_interval", "86401", "a number of seconds from 0 to 86400"),
        ("min_write_interval", "nan", "a number of seconds from 0 to 86400"),
        ("source", "Ingress", "ingress or gateway"),
        ("hosts_from", "spec", "tls or rules or all"),
        ("ingress_class", ",", "the name of a class, for example nginx"),
        ("namespace", "a,b.c", "a namespace, for example hairpin-proxy"),
        ("namespace_selector", "a in b", "a label selector as kubectl takes it, for example team in (a,b),"),
        ("namespace_selector", "", "a label selector as kubectl takes it, for example team in (a,b),"),
        ("allow_domain", "*.example.com", "a domain like example.com, which stands for all below it too, and this "),
        ("deny_domain", "bücher.example", "a domain like example.com, which stands for all below it too, and this "),
        ("max_hosts_per_namespace", "-1", "a number from 0 to 1000000"),
        ("max_hosts_per_namespace", "1e3", "a number from 0 to 1000000"),
        ("domain_per_namespace_annotation", "a b", "the name of an annotation, for example example.com/domains"),
        ("domain_per_namespace_annotation", "/x", "the name of an annotation, for example example.com/domains"),
        ("only_hairpinned", "yes", "off or warn or require"),
        ("resolver", "dns.example.com", "the IP address of a DNS server"),
        ("resolver", "192.0.2.1:0", "the IP address of a DNS server"),
        ("resolver", "192.0.2.1:x", "the IP address of a DNS server"),
        ("cluster_domain", "a.example b.example", "a domain like example.com, which stands for all below it too, and "),
        ("provider", "Import", "auto or corefile or import"),
        ("provider", "", "auto or corefile or import"),
        ("adopt_destination", "a.example.com,proxy", "a full DNS name, for example hairpin-proxy."),
        ("coredns_version", "1.11", "a version of CoreDNS, for example 1.11.3"),
        ("coredns_version", "latest", "a version of CoreDNS, for example 1.11.3"),
        ("configmap", "coredns", "NAMESPACE/NAME, for example kube-system/coredns"),
        ("configmap", "a/b/c", "NAMESPACE/NAME, for example kube-system/coredns"),
        ("configmap", "/coredns", "NAMESPACE/NAME, for example kube-system/coredns"),
        ("configmap", "kube-system/", "NAMESPACE/NAME, for example kube-system/coredns"),
        ("configmap", "kube-system/../x", "NAMESPACE/NAME, for example kube-system/coredns"),
        ("configmap", "kube-system/core?dns", "NAMESPACE/NAME, for example kube-system/coredns"),
        ("configmap_key", "a/b", "a ConfigMap key: letters, digits, '-', '_' and '.'"),
        ("configmap_key", "", "a ConfigMap key: letters, digits, '-', '_' and '.'"),
        ("destination", "hairpin-proxy", "a full DNS name, for example hairpin-proxy.hairpin-proxy.svc.cluster.local"),
        ("destination", "a b.c", "a DNS name, and this is no DNS name"),
        ("destination", "10.96.0.1", "a DNS name, and this ends in a number"),
        ("etc_hosts", "", "a file, for example /etc/hosts"),
        *(
            ("metrics_address", text, "ADDRESS:PORT, for example :8000, 127.0.0.1:8000 or [::1]:8000, and off for none")
            for text in (
                "8000",
                "x",
                "::1:8000",
                "[::g]:8000",
                "[1.2.3.4]:8000",
                ":0",
                ":65536",
                ":+1",
                "a b:1",
                ":8000 ",
            )
        ),
        ("log_level", "loud", "debug or info or warning or error"),
        ("log_format", "JSON", "text or json"),
    ],
)
def test_a_value_that_is_not_taken(flag: str, text: str, takes: str) -> None:
    with pytest.raises(SettingError) as error:
        resolve({flag: text}, {})
    assert str(error.value).startswith(f"--{flag.replace('_', '-')} is {text!r}; it takes {takes}")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        (None, ()),
        (["a.example.com"], ("a.example.com",)),
        (["B.example.com.", "a.example.com"], ("b.example.com", "a.example.com")),
        (["a.example.com b.example.com", "c.example.com"], ("a.example.com", "b.example.com", "c.example.com")),
    ],
)
def test_what_can_be_given_several_times(flag: Flag, value: tuple[str, ...]) -> None:
    assert resolve({"adopt_destination": flag}, {}).adopt_destination == value
    assert [option.name for option in options() if option.repeats] == [
        "source",
        "ingress_class",
        "gateway_class",
        "namespace",
        "allow_domain",
        "deny_domain",
        "adopt_destination",
    ]


@pytest.mark.parametrize("option", [option for option in options() if option.repeats], ids=lambda option: option.name)
@pytest.mark.parametrize("text", ["", " ", ","])
def test_a_list_of_nothing_is_a_mistake_and_not_the_absence_of_a_limit(option: Option, text: str) -> None:
    with pytest.raises(SettingError, match=f"^{option.flag} is "):
        resolve({option.name: [text]}, {})
    with pytest.raises(SettingError, match=f"^{option.flag} is "):
        resolve({option.name: ["ingress", text]}, {})
    if text:  # A variable that is empty is not set.
        with pytest.raises(SettingError, match=f"^{option.env} is "):
            resolve({}, {option.env: text})


@pytest.mark.parametrize("text", [":8000", "127.0.0.1:8000", "[::1]:8000", "localhost:8000", "metrics.example:65535"])
def test_addresses_to_listen_on(text: str) -> None:
    assert str(resolve({"metrics_address": text}, {}).metrics_address) == text


def test_what_switches_metrics_off() -> None:
    assert resolve({"metrics_address": ""}, {}).metrics_address is None
    assert resolve({"metrics_address": "off"}, {}).metrics_address is None
    assert resolve({}, {"METRICS_ADDRESS": "off"}).metrics_address is None
    assert resolve({}, {"METRICS_ADDRESS": ""}).metrics_address == ListenAddress("", 8000)


@pytest.mark.parametrize("text", [":8000", "0.0.0.0:8000", "[::]:8000", "192.0.2.1:8000", "pod.example:8000"])
def test_what_answers_the_probes(text: str) -> None:
    assert is_probed(resolve({"metrics_address": text}, {}).metrics_address)


@pytest.mark.parametrize("text", ["off", ":8001", "127.0.0.2:8000", "[::1]:8000", "localhost:8000"])
def test_what_leaves_the_probes_without_an_answer(text: str) -> None:
    assert not is_probed(resolve({"metrics_address": text}, {}).metrics_address)


@pytest.mark.parametrize("kind", ["auto", "corefile", "import"])
def test_the_kinds_of_provider(kind: str) -> None:
    assert resolve({"provider": kind}, {}).provider == kind


@pytest.mark.parametrize("text", ["0.1", "86400"])
def test_the_ends_of_the_range_are_taken(text: str) -> None:
    assert resolve({"interval": text}, {}).interval == float(text)


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(SettingError, match="^ONCE is 'perhaps'; it takes true or false$"):
        resolve({}, {"ONCE": "perhaps"})


def test_the_default_destination_follows_the_cluster_domain() -> None:
    assert resolve({"cluster_domain": "k8s.test"}, {}).destination == "hairpin-proxy.hairpin-proxy.svc.k8s.test"
    for flags, environment in (
        ({"destination": Settings().destination}, {}),
        ({}, {"DESTINATION": Settings().destination}),
    ):
        found = resolve({"cluster_domain": "k8s.test", **flags}, environment)
        assert found.destination == Settings().destination
