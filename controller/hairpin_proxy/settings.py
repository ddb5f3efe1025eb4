"""Every setting with its default, its environment variable and its meaning, in one frozen dataclass. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from hairpin_proxy import hosts, names
from hairpin_proxy.corefile.packing import FORMS
from hairpin_proxy.corefile.version import Version, version
from hairpin_proxy.sources import selectors
from hairpin_proxy.sources.ingress import HOSTS_FROM

PROVIDERS = ("auto", "corefile", "import")
SOURCES = ("ingress", "gateway")
HAIRPINNED = ("off", "warn", "require")
NODE_LOCAL_DNS = ("off", "on")
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")

_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_CLASS = re.compile(r"[^\s,]{1,253}")
_CONFIGMAP_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
_ANNOTATION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LISTEN = re.compile(r"(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]{0,253})):(?P<port>[0-9]{1,5})")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class ConfigMapName(NamedTuple):
    """Which ConfigMap: written `NAMESPACE/NAME`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class DnsServer(NamedTuple):
    """Which DNS server: written `ADDRESS:PORT`."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class ListenAddress(NamedTuple):
    """Where to listen: written `ADDRESS:PORT`."""

    host: str
    """An IP address, or a name that has one; empty for all of this machine."""

    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


PROBED = ListenAddress("", 8000)
"""Where the probes of deploy.yml and of the DaemonSet's manifest ask."""


class SettingError(ValueError):
    """A value that a setting does not take. The text names the flag or variable, the value, and what it takes."""


def seconds(text: str) -> float:
    """Raises ValueError unless the text is a number of seconds from 0.1 to 86400."""
    if not (_DECIMAL.fullmatch(text) and 0.1 <= float(text) <= 86400):
        raise ValueError("a number of seconds from 0.1 to 86400")
    return float(text)


def pause(text: str) -> float:
    """Raises ValueError unless the text is a number of seconds from 0 to 86400."""
    if not (_DECIMAL.fullmatch(text) and float(text) <= 86400):
        raise ValueError("a number of seconds from 0 to 86400")
    return float(text)


def switch(text: str) -> bool:
    """Raises ValueError unless the text says yes or no."""
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError("true or false")
    return text.lower() in _TRUE


def configmap(text: str) -> ConfigMapName:
    """Raises ValueError unless the text is NAMESPACE/NAME, both as Kubernetes names them."""
    namespace, _, name = text.partition("/")
    if not (_DNS_SUBDOMAIN.fullmatch(namespace) and _DNS_SUBDOMAIN.fullmatch(name)):
        raise ValueError("NAMESPACE/NAME, for example kube-system/coredns")
    return ConfigMapName(namespace, name)


def configmap_key(text: str) -> str:
    """Raises ValueError unless a ConfigMap can have such a key."""
    if not _CONFIGMAP_KEY.fullmatch(text):
        raise ValueError("a ConfigMap key: letters, digits, '-', '_' and '.'")
    return text


def namespace(text: str) -> str:
    """Raises ValueError unless a namespace can have such a name."""
    if not _DNS_LABEL.fullmatch(text):
        raise ValueError("a namespace, for example hairpin-proxy")
    return text


def full_name(text: str) -> str:
    """The name in normal form. Raises ValueError unless it is a full DNS name, so that no search domain is needed."""
    try:
        name = hosts.normal(text)
    except ValueError as reason:
        raise ValueError(f"a DNS name, and this {reason}") from reason
    if "." not in name:
        raise ValueError("a full DNS name, for example hairpin-proxy.hairpin-proxy.svc.cluster.local")
    return name


def several(one: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """Several of what one function takes, separated by commas or white space.

    That raises ValueError as well without any: a list that a template left empty must not lift what it restricts.
    """

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(one(name) for name in text.replace(",", " ").split())
        return found or (one(""),)

    return parse


def domain(text: str) -> str:
    """The domain in normal form. Raises ValueError for what is none."""
    try:
        return hosts.normal(text)
    except ValueError as reason:
        raise ValueError(f"a domain like example.com, which stands for all below it too, and this {reason}") from reason


def class_name(text: str) -> str:
    """Any word: the old annotation of an Ingress's class is free text. Raises ValueError if there is none."""
    if not _CLASS.fullmatch(text):
        raise ValueError("the name of a class, for example nginx")
    return text


def word(*known: str) -> Callable[[str], str]:
    """What takes one of some words."""

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(" or ".join(known))
        return text

    return parse


def selector(text: str) -> str:
    """Raises ValueError unless it is a label selector as kubectl takes it."""
    selectors.parse(text)
    return text


def count(text: str) -> int:
    """Raises ValueError unless the text is a number from 0 to a million."""
    if not (re.fullmatch("[0-9]{1,7}", text) and int(text) <= 1_000_000):
        raise ValueError("a number from 0 to 1000000")
    return int(text)


def annotation(text: str) -> str:
    """Raises ValueError unless an annotation can have such a name."""
    prefix, slash, name = text.rpartition("/")
    if not (_ANNOTATION.fullmatch(name) and (not slash or _DNS_SUBDOMAIN.fullmatch(prefix))):
        raise ValueError("the name of an annotation, for example example.com/domains")
    return text


def resolver(text: str) -> DnsServer:
    """Raises ValueError unless it is ADDRESS or ADDRESS:PORT, an IPv6 address with a port in brackets."""
    address, port = text, "53"
    if text.startswith("[") or text.count(":") == 1:
        address, _, port = text.rpartition(":")
        address = address.removeprefix("[").removesuffix("]")
    try:
        found = DnsServer(str(ip_address(address)), int(port))
    except ValueError:
        found = DnsServer("", 0)
    if not 0 < found.port < 65536:
        raise ValueError("the IP address of a DNS server, for example 192.0.2.53 or [2001:db8::53]:53")
    return found


def listen_address(text: str) -> ListenAddress | None:
    """None for what switches it off. Raises ValueError unless it is [ADDRESS]:PORT, an IPv6 address in brackets."""
    if text in ("", "off"):
        return None
    found = _LISTEN.fullmatch(text)
    try:
        host = str(IPv6Address(found["six"])) if found and found["six"] else found["host"] if found else ""
        port = int(found["port"]) if found else 0
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise ValueError("ADDRESS:PORT, for example :8000, 127.0.0.1:8000 or [::1]:8000, and off for none")
    return ListenAddress(host, port)


def is_probed(address: ListenAddress | None) -> bool:
    """Whether it answers kubelet, which asks the pod's own address."""
    return address is not None and address.port == PROBED.port and not _is_loopback(address.host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def coredns_version(text: str) -> Version:
    """Raises ValueError unless it is a version of CoreDNS."""
    found = version(text)
    if not found:
        raise ValueError("a version of CoreDNS, for example 1.11.3")
    return found


def file(text: str) -> str:
    """Raises ValueError if the text is empty, as a shell makes it of a variable that is not set."""
    if not text:
        raise ValueError("a file, for example /etc/hosts")
    return text


def log_level(text: str) -> str:
    """Raises ValueError unless it is one of LOG_LEVELS, in any case."""
    if text.lower() not in LOG_LEVELS:
        raise ValueError(" or ".join(LOG_LEVELS))
    return text.lower()


def _setting(default: Any, parse: Callable[[str], Any], metavar: str, meaning: str, env: str | None = None) -> Any:
    """One that holds a tuple can be given several times."""
    return field(default=default, metadata={"parse": parse, "metavar": metavar, "meaning": meaning, "env": env})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `hairpin-proxy run` does. The order is that of `--help`."""

    interval: float = _setting(15.0, seconds, "SECONDS", "from the end of one poll to the next", env="POLL_INTERVAL")
    min_write_interval: float = _setting(
        30.0, pause, "SECONDS", "at least so long from one write to the next, for each costs CoreDNS its cache; a "
        "hosts file is written at once"
    )  # fmt: skip
    once: bool = _setting(False, switch, "", "poll once and end: with 0, or with 1 if the poll failed")
    dry_run: bool = _setting(False, switch, "", "log what would be written, and write nothing")
    kubeconfig: str | None = _setting(
        None, str, "FILE", "reach the API server as this file says; without it as the pod's ServiceAccount, "
        "and outside of a pod by ~/.kube/config"
    )  # fmt: skip
    context: str | None = _setting(None, str, "NAME", "the kubeconfig's context; without it its current one")
    install_namespace: str | None = _setting(
        None, namespace, "NAME", "where hairpin-proxy is installed, to see when it is uninstalled; without it the "
        "pod's own, and outside of a pod none", env="POD_NAMESPACE"
    )  # fmt: skip
    source: tuple[str, ...] = _setting(
        ("ingress",), several(word(*SOURCES)), "KIND", "what asks for hosts: ingress, or gateway (the Gateway API); "
        "can be given several times"
    )  # fmt: skip
    hosts_from: str = _setting(
        "tls", word(*HOSTS_FROM), "FIELD", "which hosts of an Ingress: those under spec.tls, under spec.rules, or all: "
        "tls, rules or all"
    )  # fmt: skip
    ingress_class: tuple[str, ...] = _setting(
        (), several(class_name), "NAME", "only Ingresses of this class; can be given several times"
    )
    gateway_class: tuple[str, ...] = _setting(
        (), several(class_name), "NAME", "only Gateways of this class; can be given several times"
    )
    namespace: tuple[str, ...] = _setting(
        (), several(namespace), "NAME", "only objects of this namespace; can be given several times"
    )
    namespace_selector: str | None = _setting(
        None, selector, "SELECTOR", "only objects of namespaces with such labels, for example team in (a,b),!internal"
    )
    allow_domain: tuple[str, ...] = _setting(
        (), several(domain), "DOMAIN", "only hosts that are this domain or below it; can be given several times"
    )
    deny_domain: tuple[str, ...] = _setting(
        (), several(domain), "DOMAIN", "no host that is this domain or below it, also if it is allowed; can be given "
        "several times"
    )  # fmt: skip
    max_hosts_per_namespace: int | None = _setting(
        None, count, "NUMBER", "how many hosts the objects of one namespace may have led to us; what has a rule stays"
    )
    domain_per_namespace_annotation: str | None = _setting(
        None, annotation, "NAME", "only hosts in a domain that this annotation of their object's Namespace lists"
    )
    only_hairpinned: str = _setting(
        "warn", word(*HAIRPINNED), "MODE", "what to do about a host whose public address is none of its load "
        "balancer's: off, warn, or require (leave it out)"
    )  # fmt: skip
    resolver: DnsServer | None = _setting(
        None, resolver, "ADDRESS[:PORT]", "the DNS server that knows the public addresses; without it those of "
        "/etc/resolv.conf"
    )  # fmt: skip
    cluster_domain: str | None = _setting(
        None, domain, "DOMAIN", "the cluster's own domain, in which nothing is redirected; without it cluster.local, "
        "the destination's, and those of the Corefile"
    )  # fmt: skip
    provider: str = _setting(
        "auto", word(*PROVIDERS), "KIND", "where rules go: corefile, or import (a key of the ConfigMap that the "
        "Corefile imports), or auto, which is import where there is such a ConfigMap"
    )  # fmt: skip
    configmap: ConfigMapName | None = _setting(
        None, configmap, "NAMESPACE/NAME", "the ConfigMap with the Corefile; without it the one that the pods behind "
        "the DNS Service mount"
    )  # fmt: skip
    configmap_key: str | None = _setting(
        None, configmap_key, "KEY", "its key with the Corefile; without it the one that CoreDNS is started with"
    )
    rules: str = _setting(
        "auto", word(*FORMS), "FORM", "how hosts are written: lines (one each), packed (many in one rule), or auto, "
        "which is lines up to 50 hosts"
    )  # fmt: skip
    destination: str = _setting(
        names.destination(), full_name, "FQDN", "the name that every host is led to; without it the Service "
        "hairpin-proxy in --install-namespace and --cluster-domain"
    )  # fmt: skip
    adopt_destination: tuple[str, ...] = _setting(
        (), several(full_name), "FQDN", "take over the rules of an install that led to this name; can be given "
        "several times"
    )  # fmt: skip
    coredns_version: Version | None = _setting(
        None, coredns_version, "VERSION", "the CoreDNS that the rules are for; without it the one that runs, if its "
        "image says so"
    )  # fmt: skip
    nudge_coredns: bool = _setting(
        False,
        switch,
        "",
        "touch CoreDNS's pods after a write, so that they read it sooner; apply deploy-nudge-coredns.yml first",
    )
    node_local_dns: str = _setting(
        "off", word(*NODE_LOCAL_DNS), "MODE", "experimental: on has node-local-dns ask CoreDNS for our hosts, by "
        "blocks in its Corefile; apply deploy-node-local-dns.yml first"
    )  # fmt: skip
    events: bool = _setting(
        False, switch, "", "write Events about hosts that are left out, and writes that are undone or refused; apply "
        "deploy-events.yml first"
    )  # fmt: skip
    etc_hosts: str | None = _setting(None, file, "PATH", "work on this hosts file of a node, in place of the Corefile")
    metrics_address: ListenAddress | None = _setting(
        PROBED, listen_address, "ADDRESS:PORT", "where /metrics, /healthz and /readyz are served; off (or '' as a "
        "flag) for nowhere, as with --once; docs/monitoring.md says what to do about a pod's probes before you change "
        "it"
    )  # fmt: skip
    log_level: str = _setting("info", log_level, "LEVEL", ", ".join(LOG_LEVELS))
    log_format: str = _setting(
        "text", word(*LOG_FORMATS), "FORMAT", "text, or json: an object a line, with time, level, message and exception"
    )


class Option(NamedTuple):
    """How one setting is given from outside."""

    name: str
    flag: str
    env: str
    default: Any
    parse: Callable[[str], Any]
    metavar: str
    """Empty for a switch."""
    meaning: str
    repeats: bool
    """Whether it can be given several times; in a variable the values are separated by commas or white space."""


def options() -> list[Option]:
    """The settings as flags and environment variables, in the order of `--help`."""
    return [_option(entry) for entry in fields(Settings)]


Flag = str | bool | list[str] | None
"""A setting's text, a switch's bool, the texts of one that repeats; None if the flag was not given."""


def resolve(flags: Mapping[str, Flag], environment: Mapping[str, str]) -> Settings:
    """Flag over environment over default. An empty environment variable counts as not set.

    `flags` maps the settings' names. Raises SettingError.
    """
    settings = Settings(**{option.name: _value(option, flags.get(option.name), environment) for option in options()})
    if flags.get("destination") is not None or environment.get("DESTINATION"):
        return settings
    # Each install has its own, or two of them would take out each other's rules.
    return replace(settings, destination=names.destination(settings.install_namespace, settings.cluster_domain))


def _option(entry: "Field[Any]") -> Option:
    return Option(
        name=entry.name,
        flag="--" + entry.name.replace("_", "-"),
        env=entry.metadata["env"] or entry.name.upper(),
        default=entry.default,
        parse=entry.metadata["parse"],
        metavar=entry.metadata["metavar"],
        meaning=entry.metadata["meaning"],
        repeats=type(entry.default) is tuple,  # a NamedTuple is one value
    )


def _value(option: Option, flag: Flag, environment: Mapping[str, str]) -> Any:
    if isinstance(flag, bool):
        return flag
    if isinstance(flag, list):
        return tuple(value for text in flag for value in _parsed(option, option.flag, text))
    if flag is not None:
        return _parsed(option, option.flag, flag)
    if text := environment.get(option.env):
        return _parsed(option, option.env, text)
    return option.default


def _parsed(option: Option, origin: str, text: str) -> Any:
    try:
        return option.parse(text)
    except ValueError as accepted:
        raise SettingError(f"{origin} is {text!r}; it takes {accepted}") from accepted
