"""Makes Corefiles for fuzzing, each from a seed and a number: all shapes of the grammar, and nearly valid ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from hairpin_proxy.corefile.render import Writing
from tests.corefiles import APEX, DESTINATION, PASS, TAG, TO_US, WILDCARD, apex_lines, rule_lines

T = TypeVar("T")

ENVIRONMENT = {"DOMAIN": "cluster.local", "PORT": "5353", "ROOT": ".", "UPSTREAM": "/etc/resolv.conf"}
"""What CoreDNS finds in its environment."""

HOSTS = (
    "a.example.com",
    "b.example.com",
    "www.a.example.com",
    "c.example.org",
    "shop.internal.corp",
    "xn--bcher-kva.example",
    "z.example.net",
    f"{'l' * 63}.example.org",
)
"""Exact hosts."""

MORE_HOSTS = (
    "a.example.co",
    "a.example.com.br",
    "a.examples.com",
    "a-b.example.com",
    "aa.example.com",
    "1.example.com",
    "shop.notcluster.local",
)
"""Exact hosts of cases whose hosts share rules: they are written nearly as others are."""

ALL_HOSTS = (*HOSTS, WILDCARD, APEX)
OTHERS = (
    "old.example.com",
    "alias.example.org",
    "api.internal.corp",
    "example.com",
    "below.a.example.com",
    "nx.example.com",
    "tpl.example.org",
    "www.unrelated.test",
    "kubernetes.default.svc.cluster.local",
    "nothing.default.svc.cluster.local",
    "a.example.com.default.svc.cluster.local",
    "wild.example.org",
    "_acme-challenge.wild.example.org",
    "two.labels.wild.example.org",
    "www.apex.example",
)
"""Names that are never among our hosts."""

ELSEWHERE = "hairpin-proxy.other-namespace.svc.cluster.local"

LONGEST = 60
"""Characters of an expression that hosts share in a case, so that a few of them need several."""

SHARED = (
    r"^a\.example\.com\.$",
    r"^[ab]\.example\.com\.$",
    r"^(?:a\.example\.com|www\.a\.example\.com)\.$",
    r"^a\.example\.co(?:m(?:\.br)?)?\.$",
    r"^(?:c\.example\.org|z\.example\.net)\.$",
    r"^(?:1|a(?:-b|a)?)\.example\.com\.$",
    r"^(?:gone|old)\.example\.com\.$",
    r"^a(?:\.example\.com|pex\.example)\.$",
    r"^shop\.(?:internal\.corp|notcluster\.local)\.$",
)
"""Expressions as we write them, written out once more so that a change of them is seen."""

NEARLY_SHARED = (
    r"^(?:b|a)\.example\.com\.$",
    r"^[ba]\.example\.com\.$",
    r"^(?:a|b)\.example\.com\.$",
    r"^(?:a\.example\.com)\.$",
    r"^a\.example\.com$",
    r"^a\.example\.com\.",
    r"^a.example.com\.$",
    r"a\.example\.com\.$",
    r"^a(?:\.example\.com)?\.$",
    r"^[a-c]\.example\.com\.$",
    r"^localhost\.$",
    r"^kubernetes\.default\.svc\.cluster\.local\.$",
)
"""Expressions that we never write."""

PATTERNS = ("custom/*.override", "custom/one.override", "custom/*.server", "custom/corp.server")
"""The arguments of an import that finds files."""

FEATURES = (
    "several keys to a block",
    "a comma between keys",
    "a comma and a line break between keys",
    "'.' without a port",
    "'.' on another port",
    "dns://",
    "tls://",
    "another transport",
    "a key in quotes",
    "environment in a key",
    "environment in an argument",
    "a comment after {",
    "{ on its own line",
    "a comment after }",
    "a directive on the line of {",
    "a block on the line of another's }",
    "a comment of its own",
    "a comment behind a directive",
    "a comment inside of a word",
    "braces in quotes",
    "# in quotes",
    "an escaped quote",
    "a line break in quotes",
    "braces in braces",
    "a snippet",
    "an import of a snippet",
    "an import of a snippet in a snippet",
    "kubernetes in a snippet",
    "kubernetes that does not know us",
    "options on the line of {",
    "options in a snippet",
    "an import of files, in a block",
    "an import of files, at the top",
    "an import that matches nothing",
    "no braces",
    "several blocks that answer '.': ports",
    "several blocks that answer '.': bind",
    "several blocks that answer '.': view",
    "'.' without kubernetes",
    "a longer zone",
    "a reverse zone",
    "CRLF",
    "mixed line ends",
    "tabs",
    "odd white space",
    "a byte order mark",
    "no final line break",
    "blank lines",
    "no indent",
    "rewrite name exact",
    "rewrite name prefix",
    "rewrite name suffix",
    "rewrite name substring",
    "rewrite name regex",
    "rewrite continue",
    "rewrite stop",
    "rewrite of something else than names",
    "rewrite in braces",
    "rewrite that stops everything",
    "a wildcard",
    "the apex of a zone",
    "a rule of ours",
    "a rule of ours without its tag",
    "a rule of ours for a wildcard",
    "a rule of ours for an apex",
    "a rule of ours in a snippet or elsewhere",
    "rules of v0.2.1 at the start",
    "a rule of another install",
    "nearly a rule of ours",
    "a rule like ours where we write none",
    "packed",
    "names that pass",
    "a packed rule of ours",
    "a packed rule of ours without its tag",
    "a packed rule of ours in a snippet or elsewhere",
    "a packed rule of another install",
    "nearly a packed rule of ours",
    "packed rules and names that pass, in any order",
    "a mutation of characters",
    "a mutation of words",
    "a mutation of lines",
)
"""The labels that a case may have, in the order of the report."""


@dataclass(frozen=True, slots=True)
class Case:
    """A Corefile with the files that it imports, and the hosts that it is to be rendered for."""

    name: str
    text: str
    files: Mapping[str, str]
    hosts: frozenset[str]
    features: frozenset[str]
    packed: bool = False
    """Whether exact hosts share rules."""

    @property
    def writing(self) -> Writing:
        return replace(TO_US, form="packed", longest=LONGEST, passing_from=2) if self.packed else TO_US

    @property
    def mutated(self) -> bool:
        return any(feature.startswith("a mutation") for feature in self.features)


def make(seed: int, number: int) -> Case:
    """The same case each time for the same seed and number."""
    # The other two thirds are those that there were before rules were shared.
    return _Maker(Random(f"{seed}/{number}"), shares=number % 3 == 0).case(f"{seed}/{number}")


Lines = list[str]


class _Maker:
    def __init__(self, rng: Random, *, shares: bool) -> None:
        self.rng = rng
        self.shares = shares
        self.features: set[str] = set()
        self.files: dict[str, str] = {}
        self.snippets: list[str] = []
        self.snippets_of_options: list[str] = []
        self.newline = "\n"
        self.indent = self._pick(["    ", "    ", "    ", "\t", "  ", ""])
        self.odd = self._chance(0.06)
        self.commented = self._chance(0.3)

    def case(self, name: str) -> Case:
        if self.indent == "\t":
            self._is("tabs")
        if self.indent == "":
            self._is("no indent")
        lines = self._without_braces() if self._chance(0.06) else self._with_braces()
        text = self._dressed(lines)
        if self._chance(0.25):
            text = self._mutated(text)
        count = self._pick([0, 1, 1, 2, 2, 3, 4])
        hosts = frozenset(self.rng.sample(ALL_HOSTS, count))
        # Some of the Corefiles that may hold shared rules get a line for each host again.
        packed = self.shares and self._is("packed", 0.9)
        if self.shares:
            hosts |= frozenset(self.rng.sample((*HOSTS, *MORE_HOSTS), self._pick([0, 0, 2, 4, 8])))
        if WILDCARD in hosts:
            self._is("a wildcard")
        if APEX in hosts:
            self._is("the apex of a zone")
        return Case(name, text, self.files, hosts, frozenset(self.features), packed)

    # ---- chance

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _pick(self, options: Sequence[T]) -> T:
        return options[self.rng.randrange(len(options))]

    def _is(self, feature: str, share: float = 1) -> bool:
        """Whether the case gets a feature, by chance; notes it if so."""
        happens = share >= 1 or self._chance(share)
        if happens:
            assert feature in FEATURES, feature
            self.features.add(feature)
        return happens

    # ---- documents

    def _with_braces(self) -> Lines:
        lines = self._comments()
        for _ in range(self._pick([0, 0, 1, 1, 2])):
            lines += self._snippet()
        if self._is("options in a snippet", 0.08):
            self.snippets_of_options.append("options")
            namespaces = self._pick(["default", "hairpin-proxy", "default hairpin-proxy"])
            option = self._pick([("ttl", "30"), ("namespaces", *namespaces.split())])
            lines += ["(options) {", self._say(*option), "}"]
        blocks = [self._main_block()]
        blocks += self._other_roots()
        if self._is("a longer zone", 0.25):
            key = self._pick(
                ["example.com:53", "example.com", "internal.corp:53", "a.example.com", "b.example.com c.example.org"]
            )
            blocks.append(self._block(key, self._small_body()))
        if self._is("a reverse zone", 0.08):
            blocks.append(
                self._block(self._pick(["10.0.0.0/8", "1.10.in-addr.arpa:53", "10.2.0.0/15:53"]), self._small_body())
            )
        if self._chance(0.2):
            self.rng.shuffle(blocks)
        if self._chance(0.12):
            blocks.append(self._import_at_top())
        for block in blocks:
            if lines and lines[-1].strip() == "}" and self._is("a block on the line of another's }", 0.05):
                lines[-1] += " " + block.pop(0)
            lines += block + self._comments()
        return lines

    def _without_braces(self) -> Lines:
        self._is("no braces")
        key = self._pick([".:53", ".", "dns://.:53", "tls://."])
        self._label_key(key)
        end = ['nsid "never closed'] if self._chance(0.2) else []
        body = self._body(kubernetes=not self._is("'.' without kubernetes", 0.1))
        return [*self._comments(), key, *body, *end]

    def _main_block(self) -> Lines:
        key = self._root_key()
        body = self._body(kubernetes=not self._is("'.' without kubernetes", 0.06))
        return self._block(key, body)

    def _other_roots(self) -> list[Lines]:
        """Further blocks that answer `.`; they may clash with the first one, which CoreDNS then refuses."""
        found: list[Lines] = []
        if self._is("several blocks that answer '.': ports", 0.12):
            found.append(self._block(self._pick([".:8053", ".:5300", "dns://.:1053", "tls://."]), self._root_body()))
        if self._is("several blocks that answer '.': bind", 0.06):
            found.append(self._block(".:153", [self._say("bind", "127.0.0.1"), *self._root_body()]))
            found.append(self._block(".:153", [self._say("bind", "127.0.0.2"), *self._root_body()]))
        if self._is("several blocks that answer '.': view", 0.08):
            found.append(self._block(".:253", [*self._view("one"), *self._root_body()]))
            if self._chance(0.5):
                found.append(self._block(".:253", [*self._view("two"), *self._root_body()]))
            found.append(self._block(".:253", self._root_body()))
        return found

    def _root_body(self) -> Lines:
        return self._body(kubernetes=not self._is("'.' without kubernetes", 0.25))

    def _view(self, name: str) -> Lines:
        condition = self._pick(
            [
                "type() == 'A'",
                "type() == 'AAAA'",
                "name() contains 'example'",
                "name() matches '^a[.]'",
                "client_ip() == '127.0.0.1'",
                "incidr(client_ip(), '127.0.0.0/8')",
                "client_ip() == '10.9.9.9'",
            ]
        )
        return [self._say("view", name, "{"), self._say("expr", condition, deeper=True), self._say("}")]

    def _root_key(self) -> str:
        other = self._pick(["example.org:1053", "cluster.local:2053", "cluster.local:2053", "corp.example:3053"])
        key = self._pick(
            [
                *[".:53"] * 6,
                *["."] * 2,
                ".:8053",
                ".:5353",
                "dns://.:53",
                "dns://.",
                "tls://.",
                "tls://.:853",
                "grpc://.:443",
                "https://.:443",
                "quic://.:853",
                ".:{$PORT}",
                ".:{%PORT%}",
                "{$ROOT}:53",
                '"."',
                '".:53"',
                f"{other} .:53",
                f". {other}",
                f"{other}, .:53",
                f".:53, {other}",
                f"{other},\n.:53",
                f".,\n{other}",
                f'"{other}," .',
                f".:53 .:54 {other}",
            ]
        )
        self._label_key(key)
        return key

    def _label_key(self, key: str) -> None:
        marks = {
            "several keys to a block": " " in key or "\n" in key,
            "a comma between keys": ", " in key or ',"' in key,
            "a comma and a line break between keys": ",\n" in key,
            "'.' without a port": key.rsplit(maxsplit=1)[-1].strip('"') in (".", "dns://.", "tls://."),
            "'.' on another port": ".:8053" in key or ".:5353" in key or "PORT" in key,
            "dns://": "dns://" in key,
            "tls://": "tls://" in key,
            "another transport": key.startswith(("grpc", "https", "quic")),
            "a key in quotes": '"' in key,
            "environment in a key": "{$" in key or "{%" in key,
        }
        self.features |= {feature for feature, present in marks.items() if present}

    def _block(self, key: str, body: Lines) -> Lines:
        opening = " {"
        if self._is("{ on its own line", 0.06):
            opening = "\n{"
        elif self._is("a comment after {", 0.08):
            opening = " {" + self._pick([" # opened", " #", " # }", " # { }"])
        elif self._chance(0.05):
            opening = self._pick(["  {", "\t{", " {  "])
        closing = self._pick(["}"] * 8 + ["  }", "\t}"])
        if self._is("a comment after }", 0.06):
            closing += self._pick([" # closed", " #}", " # {"])
        if body and self._is("rules of v0.2.1 at the start", 0.04):
            body = [line for host in sorted(self.rng.sample(HOSTS, 2)) for line in self._ours(host)] + body
        if body and opening == " {" and self._is("a directive on the line of {", 0.04):
            opening, body = " { " + body[0].lstrip(), body[1:]
        return [f"{key}{opening}", *body, closing]

    def _snippet(self) -> Lines:
        self._is("a snippet")
        name = f"snip{len(self.snippets)}" if self._chance(0.9) else self._pick(["s.n-i/p", "a_b", "errors"])
        options = [("log",), ("root", "/"), ("bufsize", "1100"), ("cancel", "5s"), ("errors",)]
        body = [self._say(*words) for words in self.rng.sample(options[: self._pick([4, 4, 4, 5])], self._pick([1, 2]))]
        if self._is("kubernetes in a snippet", 0.2):
            body += self._kubernetes()
        if self._chance(0.2):
            body += self._rewrites()
        if self._is("a rule of ours in a snippet or elsewhere", 0.08):
            body += self._ours(self._pick(ALL_HOSTS))
        body += self._shared_elsewhere()
        if self.snippets and self._is("an import of a snippet in a snippet", 0.5):
            body.append(self._say("import", self._pick(self.snippets)))
        if self._chance(0.05):
            body = []
        if name not in self.snippets:
            self.snippets.append(name)
        return [f"({name}) {{", *body, "}", *self._comments()]

    def _import_at_top(self) -> Lines:
        if self._is("an import that matches nothing", 0.4):
            return [self._pick(["import custom/*.nothing", "import /nowhere/*.server"])]
        self._is("an import of files, at the top")
        self.files["custom/corp.server"] = self._pick(
            [
                "corp.test:53 {\n    forward . 10.0.0.53\n}\n",
                "corp.test {\n    errors\n    cache 30\n    forward . 10.0.0.53\n}",
                'example.net:53 {\n    template IN A {\n        answer "{{ .Name }} 60 IN A 192.0.2.77"\n    }\n}\n',
                "# nothing\n",
                "",
            ]
        )
        return [self._pick(["import custom/*.server", "import custom/corp.server"])]

    # ---- bodies

    def _small_body(self) -> Lines:
        say = self._say
        kind = self._pick(["forward", "more", "template", "rewrite", "empty"])
        bodies: dict[str, Callable[[], Lines]] = {
            "forward": lambda: [say("forward", ".", "10.0.0.53")],
            "more": lambda: [say("errors"), say("cache", "30"), say("forward", ".", "10.0.0.53")],
            "template": self._template_of_all,
            "rewrite": lambda: [*self._rewrites(), say("forward", ".", "/etc/resolv.conf")],
            "empty": list,
        }
        body = bodies[kind]()
        if self._is("a rule of ours in a snippet or elsewhere", 0.1):
            body += self._ours(self._pick(ALL_HOSTS))
        if self._is("a rule like ours where we write none", 0.1):
            body += self._untagged(self._pick(ALL_HOSTS))
        return body + self._shared_elsewhere()

    def _body(self, *, kubernetes: bool) -> Lines:
        parts = [make() for make, share in self._plugins() if self._chance(share)]
        parts.append(self._kubernetes_or_import() if kubernetes else self._no_kubernetes())
        if self.snippets and self._is("an import of a snippet", 0.4):
            parts.append([self._say("import", self._pick(self.snippets))])
        parts += self._imports_in_a_block()
        parts += self._own_rules()
        if self._chance(0.8):
            parts.append(self._forward())
        if self._chance(0.3):
            self.rng.shuffle(parts)
        if self._chance(0.45):
            parts.insert(self.rng.randrange(len(parts) + 1), self._rewrites())
        comments = [self._comments(inside=True) if self.commented else [] for _ in parts]
        return [line for part, comment in zip(parts, comments, strict=True) for line in [*part, *comment]]

    def _kubernetes_or_import(self) -> Lines:
        if "kubernetes in a snippet" in self.features and self._chance(0.5):
            self._is("an import of a snippet")
            return [self._say("import", self._pick(self.snippets))]
        return self._kubernetes()

    def _no_kubernetes(self) -> Lines:
        if self._chance(0.7):
            return []
        return [self._say("kubernetes", self._pick(["other.domain", "in-addr.arpa", "."]))]

    def _imports_in_a_block(self) -> list[Lines]:
        found: list[Lines] = []
        if self._is("an import of files, in a block", 0.1):
            self.files["custom/one.override"] = self._file()
            if self._chance(0.4):
                self.files["custom/two.override"] = self._file()
            found.append(
                [self._say("import", self._pick(["custom/*.override", "custom/*.override", "custom/one.override"]))]
            )
        if self._is("an import that matches nothing", 0.06):
            found.append(
                [
                    self._say(
                        "import", self._pick(["/etc/coredns/custom/*.override", "custom/*.none", '"custom/*.none"'])
                    )
                ]
            )
        return found

    def _file(self) -> str:
        rule = self._pick(
            [
                "rewrite name old.example.com b.test",
                "rewrite stop name a.example.com elsewhere.test",
                "log",
                "# only a comment",
                "hosts {\n    192.0.2.3 api.internal.corp\n    fallthrough\n}",
                'template IN A tpl.example.org {\n    answer "{{ .Name }} 60 IN A 192.0.2.8"\n}',
                "",
            ]
        )
        return rule + self._pick(["\n", "", "\n\n"])

    def _plugins(self) -> list[tuple[Callable[[], Lines], float]]:
        """What makes some plugin's lines, and how often."""
        return [
            (lambda: [self._say("errors")], 0.7),
            (lambda: [self._say("log", *self._pick([(), (".",), (".", '"{remote} # {type}"')]))], 0.1),
            (self._health, 0.4),
            (lambda: [self._say("ready")], 0.4),
            (lambda: [self._say("prometheus", ":9153")], 0.4),
            (self._cache, 0.5),
            (lambda: [self._say("loop")], 0.4),
            (lambda: [self._say("reload", *self._pick([(), ("10s",), ("30s", "15s")]))], 0.5),
            (lambda: [self._say("loadbalance", *self._pick([(), ("round_robin",)]))], 0.4),
            (self._hosts, 0.1),
            (self._template, 0.12),
            (lambda: [self._say(*self._pick(_QUOTED))], 0.1),
            (lambda: [self._say(*self._pick(_SMALL))], 0.12),
            (self._acl, 0.05),
            (self._nested, 0.04),
        ]

    def _health(self) -> Lines:
        if self._chance(0.5):
            return [self._say("health")]
        return [self._say("health", "{"), self._say("lameduck", "5s", deeper=True), self._say("}")]

    def _hosts(self) -> Lines:
        entry = self._say("192.0.2.4", "api.internal.corp", deeper=True)
        return [self._say("hosts", "{"), entry, self._say("fallthrough", deeper=True), self._say("}")]

    def _acl(self) -> Lines:
        return [self._say("acl", "{"), self._say("allow", "net", "127.0.0.0/8", deeper=True), self._say("}")]

    def _nested(self) -> Lines:
        """A plugin that reads none of what stands in its braces."""
        self._is("braces in braces")
        inner = [self._say("one", "{", deeper=True), self._say("two", deeper=True), self._say("}", deeper=True)]
        return [self._say("bufsize", "1232", "{"), *inner, self._say("three", deeper=True), self._say("}")]

    def _template_of_all(self) -> Lines:
        answer = self._say("answer", '"{{ .Name }} 60 IN A 192.0.2.5"', deeper=True)
        return [self._say("template", "IN", "A", "{"), answer, self._say("}")]

    def _cache(self) -> Lines:
        if self._chance(0.7):
            return [self._say("cache", self._pick(["30", "60", ""]))]
        zone = "{$DOMAIN}" if self._is("environment in an argument", 0.3) else "cluster.local"
        return [
            self._say("cache", "30", "{"),
            self._say("disable", "success", zone, deeper=True),
            self._say("disable", "denial", zone, deeper=True),
            self._say("}"),
        ]

    def _template(self) -> Lines:
        if self._chance(0.3):
            return [
                self._say("template", "IN", "AAAA", ".", "{"),
                self._say("rcode", "NOERROR", deeper=True),
                self._say("}"),
            ]
        return [
            self._say("template", "IN", "A", "tpl.example.org", "{"),
            self._say("answer", '"{{ .Name }} 60 IN A 192.0.2.9"', deeper=True),
            self._say("fallthrough", deeper=True),
            self._say("}"),
        ]

    def _kubernetes(self) -> Lines:
        zone = self._pick(
            ["cluster.local"] * 6 + ['"cluster.local"', "cluster.local.", "CLUSTER.local", "{$DOMAIN}", "{%DOMAIN%}"]
        )
        if "DOMAIN" in zone:
            self._is("environment in an argument")
        zones = [zone, *self._pick([(), (), ("in-addr.arpa", "ip6.arpa")])]
        if self._chance(0.05):
            zones = []  # those of the block
        elif self._is("kubernetes that does not know us", 0.02):
            zones.append("svc.cluster.local")
        if self._chance(0.3):
            return [self._say("kubernetes", *zones)]
        options: list[tuple[str, ...]] = [("pods", self._pick(["insecure", "verified", "disabled"])), ("ttl", "30")]
        options += [("fallthrough", "in-addr.arpa", "ip6.arpa")] if len(zones) > 1 else []
        options = self.rng.sample(options, self.rng.randrange(len(options) + 1))
        if self._is("kubernetes that does not know us", 0.02):
            options.append(("namespaces", "default", "kube-system"))
        elif self._chance(0.05):
            options.append(("namespaces", "default", "hairpin-proxy"))
        limited = any(option[0] == "namespaces" for option in options)
        if options and self._is("options on the line of {", 0.5 if limited else 0.05):
            first, *options = sorted(options, key=lambda option: option[0] != "namespaces")
            zones = [*zones, "{", *first]
        else:
            zones = [*zones, "{"]
        lines = [self._say(*option, deeper=True) for option in options]
        if self.snippets_of_options and self._chance(0.1):
            lines.append(self._say("import", self._pick(self.snippets_of_options), deeper=True))
        return [self._say("kubernetes", *zones), *lines, self._say("}")]

    def _forward(self) -> Lines:
        upstream = self._pick(["/etc/resolv.conf", "/etc/resolv.conf", "8.8.8.8 9.9.9.9", "{$UPSTREAM}"])
        if "{$" in upstream:
            self._is("environment in an argument")
        if self._chance(0.6):
            return [self._say("forward", ".", upstream)]
        return [
            self._say("forward", ".", upstream, "{"),
            self._say("max_concurrent", "1000", deeper=True),
            self._say("}"),
        ]

    # ---- rules

    def _own_rules(self) -> list[Lines]:
        found: list[Lines] = []
        if self._is("a rule of ours", 0.12):
            found += [self._ours(host) for host in self.rng.sample(ALL_HOSTS, self._pick([1, 2, 3]))]
        if self._is("a rule of ours without its tag", 0.06):
            found.append(self._untagged(self._pick(ALL_HOSTS)))
        if self._is("a rule of another install", 0.06):
            lines = rule_lines(self._pick(ALL_HOSTS), ELSEWHERE)
            found.append([self.indent + line.removeprefix("    ") for line in lines])
        if self._is("nearly a rule of ours", 0.08):
            found.append([self.indent + line for line in self._nearly_ours()])
        if self.shares and self._chance(0.6):
            found += [self._shared() for _ in range(self._pick([1, 1, 2]))]
        return found

    def _shared_elsewhere(self) -> Lines:
        if self.shares and self._is("a packed rule of ours in a snippet or elsewhere", 0.3):
            return self._shared()
        return []

    def _shared(self) -> Lines:
        """Rules that hosts share, as hairpin-proxy writes them, or as they may stand there after somebody's edit."""
        feature = self._pick(
            [
                *["a packed rule of ours"] * 3,
                "a packed rule of ours without its tag",
                "a packed rule of another install",
                "nearly a packed rule of ours",
                "packed rules and names that pass, in any order",
            ]
        )
        self._is(feature)
        makers: Mapping[str, Callable[[], Lines]] = {
            "a packed rule of ours": lambda: self._shared_by(DESTINATION, f" {TAG}"),
            "a packed rule of ours without its tag": lambda: self._shared_by(DESTINATION, ""),
            "a packed rule of another install": lambda: self._shared_by(ELSEWHERE, f" {TAG}"),
            "nearly a packed rule of ours": self._nearly_shared,
        }
        lines = makers.get(feature, self._shared_anyhow)()
        indent, end = self._pick(["    ", self.indent]), self._pick(["", "", "", " "])
        return [f"{indent}{line}{end}" for line in lines]

    def _shared_by(self, destination: str, tag: str) -> Lines:
        rules = [f"{_shared_rule(each, destination)}{tag}" for each in self.rng.sample(SHARED, self._pick([1, 2, 3]))]
        lets_pass = self._chance(0.9 if len(rules) > 1 else 0.3)
        return [PASS + tag, *rules] if lets_pass else rules

    def _shared_anyhow(self) -> Lines:
        """What lets names pass alone, before a rule of somebody else's, or with only one of the two tagged."""
        found = []
        for _ in range(self._pick([1, 1, 2, 3, 5])):
            rule = _shared_rule(self._pick(SHARED), self._pick([DESTINATION, DESTINATION, ELSEWHERE]))
            found.append(
                self._pick([PASS, PASS, rule, rule, "# between"])
                + self._pick([f" {TAG}", f" {TAG}", "", " # a comment"])
            )
        return found

    def _nearly_shared(self) -> Lines:
        rule = _shared_rule(self._pick(SHARED), DESTINATION)
        nearly = _shared_rule(self._pick(NEARLY_SHARED), DESTINATION)
        return self._pick(
            [
                [nearly],
                [nearly],
                [nearly],
                [f"{nearly} {TAG}"],
                [PASS, nearly],
                [f"{PASS} {TAG}", nearly],
                [PASS, "# between", rule],
                [PASS, "", rule],
                [f"{PASS} {TAG}", "# between", f"{rule} {TAG}"],
                [f"# {rule} {TAG}"],
                [rule.replace("rewrite stop", "rewrite")],
                [rule.replace("rewrite stop", "rewrite continue")],
                [rule.replace(". answer auto", " answer auto")],
                [rule.removesuffix(" answer auto")],
                [f"{rule} answer value a b"],
                [f"{rule} answer value a b {TAG}"],
                [f"{PASS} {TAG}", rule.replace("rewrite stop", "rewrite")],
                [PASS.replace("rewrite stop", "rewrite"), rule],
                [PASS.replace("-4294967295", "-600"), f"{rule} {TAG}"],
                [f"{PASS.replace('.cluster', '.other.cluster')} {TAG}", f"{rule} {TAG}"],
            ]
        )

    def _nearly_ours(self) -> Lines:
        wildcard = r"\.wild\.example\.org\.$"
        return self._pick(
            [
                [f"# rewrite name a.example.com {DESTINATION} {TAG}"],
                [f"rewrite stop name a.example.com {DESTINATION}"],
                [f"rewrite name a.example.com {DESTINATION}."],
                [f"rewrite name exact a.example.com {DESTINATION}"],
                [f"rewrite name localhost {DESTINATION}"],
                [f"rewrite name A.example.com {DESTINATION}"],
                [f"rewrite name suffix .a.example.com {DESTINATION}"],
                [f"rewrite name a.example.com {DESTINATION} answer auto {TAG}"],
                [f"rewrite stop name a.example.com {DESTINATION} {TAG}"],
                [f"rewrite stop name a.example.com {DESTINATION} {TAG}  "],
                [f"rewrite stop name a.example.com {DESTINATION} {TAG}, once"],
                [f"rewrite name a.example.com {DESTINATION} # added by hairpin-proxy"],
                [f"log {TAG}"],
                [f"rewrite name regex ^[^._][^.]*{wildcard} {DESTINATION}"],
                [f"rewrite name regex ^[^.]*{wildcard} {DESTINATION} answer auto"],
                [f"rewrite stop name regex ^[^._][^.]*{wildcard} {DESTINATION} answer auto"],
                self._nearly_an_apex(),
                self._nearly_an_apex(),
            ]
        )

    def _ours(self, host: str) -> Lines:
        """A rule as hairpin-proxy writes it, or as it may stand there after somebody has edited it."""
        self._label_rule(host)
        indent, end = self._pick(["    ", "    ", self.indent]), self._pick(["", "", "", " "])
        return [indent + line.removeprefix("    ") + end for line in rule_lines(host)]

    def _untagged(self, host: str) -> Lines:
        """The same as `kubeadm upgrade` leaves it."""
        self._label_rule(host)
        return [self.indent + line.removeprefix("    ").removesuffix(f" {TAG}") for line in rule_lines(host)]

    def _label_rule(self, host: str) -> None:
        if host == WILDCARD:
            self._is("a rule of ours for a wildcard")
        elif host == APEX:
            self._is("a rule of ours for an apex")

    def _nearly_an_apex(self) -> Lines:
        """One directive of an apex's rule, with something else in it."""
        lines = apex_lines(DESTINATION)[:5]
        change = self._pick(["ttl", "no fallthrough", "another option", "another name", "a comment"])
        if change == "ttl":
            lines[2] = lines[2].replace(" 30 ", " 60 ")
        elif change == "no fallthrough":
            del lines[3]
        elif change == "another option":
            lines[3:3] = ["    rcode NOERROR"]
        elif change == "another name":
            lines[1] = lines[1].replace("apex", "www[.]apex")
        else:
            lines[1] += " # theirs"
        return lines

    def _rewrites(self) -> Lines:
        return [line for _ in range(self._pick([1, 1, 2, 3])) for line in self._rewrite()]

    def _rewrite(self) -> Lines:
        mode = self._pick([(), (), ("stop",), ("continue",)])
        if mode:
            self._is(f"rewrite {mode[0]}")
        kinds = ["exact", "prefix", "suffix", "substring", "regex", "other", "braces"]
        kind = self._pick(kinds)
        if kind == "other":
            return self._rewrite_of_something_else(mode)
        if kind == "braces":
            return self._rewrite_in_braces(mode)
        self._is(f"rewrite name {kind}")
        arguments = self._pick(_NAME_RULES[kind])
        return [self._say("rewrite", *mode, "name", *arguments)]

    def _rewrite_of_something_else(self, mode: Sequence[str]) -> Lines:
        self._is("rewrite of something else than names")
        rules = [
            ("type", "ANY", "HINFO"),
            ("class", "CH", "IN"),
            ("ttl", "exact", "old.example.com.", "10"),
            ("ttl", "suffix", ".unrelated.test.", "20-40"),
            ("rcode", "exact", "nx.example.com.", "NXDOMAIN", "NOERROR"),
        ]
        if self._is("rewrite that stops everything", 0.15):
            rules = [
                ("ttl", "regex", ".*", "30"),
                ("edns0", "local", "set", "0xffee", "0x61626364"),
                ("edns0", "nsid", "set"),
            ]
            mode = [word for word in mode if word == "stop"]
        return [self._say("rewrite", *mode, *self._pick(rules))]

    def _rewrite_in_braces(self, mode: Sequence[str]) -> Lines:
        self._is("rewrite in braces")
        return [
            self._say("rewrite", *mode, "{"),
            self._say("name", "regex", r"(.*)\.alias\.example\.org", "{1}.unrelated.test", deeper=True),
            self._say("answer", "name", r"(.*)\.unrelated\.test", "{1}.alias.example.org", deeper=True),
            self._say("}"),
        ]

    # ---- words and lines

    def _say(self, *words: str, deeper: bool = False) -> str:
        """One line of these words."""
        gap = " "
        if self.odd and self._is("odd white space", 0.3):
            gap = self._pick(["  ", "\t", "\u00a0", "\u2003", "\v", "\f", "\x85", " \r "])
        said = gap.join(word for word in words if word)
        if '"' in said:
            self._label_quotes(said)
        if self._chance(0.03):
            said += self._pick([" ", "\t", "   "])
        if self.commented and self._is("a comment behind a directive", 0.2):
            said += self._pick([" # a comment", " #", " # } {", ' # "', " #x", "\t# " + TAG[2:] + "?"])
        elif said[-1] not in "{}" and self.commented and self._is("a comment inside of a word", 0.03):
            said += "#x"
        return self.indent * (2 if deeper else 1) + said

    def _label_quotes(self, said: str) -> None:
        inside = said.partition('"')[2]
        for mark, feature in (
            ("{", "braces in quotes"),
            ("}", "braces in quotes"),
            ("#", "# in quotes"),
            ("\n", "a line break in quotes"),
            ('\\"', "an escaped quote"),
        ):
            if mark in inside:
                self._is(feature)

    def _comments(self, *, inside: bool = False) -> Lines:
        if not self._chance(0.25):
            return []
        if self._is("blank lines", 0.5):
            return [self._pick(["", "", "  ", "\t"])]
        self._is("a comment of its own")
        indent = self.indent if inside else ""
        return [indent + self._pick(["# a comment", "#", "# } {", '# "', "# .:53 {", f"# {DESTINATION}", "#\ta"])]

    def _dressed(self, lines: Lines) -> str:
        text = "\n".join(lines) + "\n"
        if self._is("no final line break", 0.12):
            text = text[:-1]
        if self._is("CRLF", 0.1):
            text = text.replace("\n", "\r\n")
        elif self._is("mixed line ends", 0.04):
            text = (
                "".join(part + self._pick(["\n", "\r\n"]) for part in text.split("\n"))
                .removesuffix("\r\n")
                .removesuffix("\n")
            )
        if self._is("a byte order mark", 0.05):
            text = "\ufeff" + text
        return text

    # ---- mutations

    def _mutated(self, text: str) -> str:
        for _ in range(self._pick([1, 1, 1, 2, 3])):
            kind = self._pick(["characters", "characters", "words", "lines"])
            self._is(f"a mutation of {kind}")
            if kind == "characters":
                text = self._with_other_characters(text)
            else:
                text = self._with_other_parts(text, "\n" if kind == "lines" else " ")
        return text

    def _with_other_characters(self, text: str) -> str:
        place = self.rng.randrange(len(text) + 1)
        length = self._pick([0, 0, 1, 1, 2])
        new = self._pick(
            [
                "",
                "",
                "{",
                "}",
                '"',
                "#",
                "\\",
                "\n",
                "\r",
                "\t",
                " ",
                ",",
                "(",
                ")",
                ".",
                "\r\n",
                "\ufeff",
                "\u00e9",
                "{$",
                "\n\n",
            ]
        )
        return text[:place] + new + text[place + length :]

    def _with_other_parts(self, text: str, separator: str) -> str:
        parts = text.split(separator)
        place = self.rng.randrange(len(parts))
        change = self._pick(["drop", "double", "swap", "insert"])
        if change == "drop":
            del parts[place]
        elif change == "double":
            parts.insert(place, parts[place])
        elif change == "swap":
            other = self.rng.randrange(len(parts))
            parts[place], parts[other] = parts[other], parts[place]
        else:
            parts.insert(place, self._pick(_WORDS))
        return separator.join(parts)


def _shared_rule(expression: str, destination: str) -> str:
    return f"rewrite stop name regex {expression} {destination}. answer auto"


_WORDS = (
    "{",
    "}",
    "import",
    "import snip0",
    "kubernetes cluster.local",
    ".",
    ".:53",
    "(snip0)",
    "#",
    '"',
    "errors",
    "example.org,",
    "{}",
    "{ }",
    "rewrite",
    "reload",
    "{$NOTHING}",
)

_QUOTED = (
    ("nsid", '"a } # {"'),
    ("chaos", '"CoreDNS\\" {"', '"a #"'),
    ("chaos", '"say \\"#\\""'),
    ("nsid", '"two\n} lines"'),
    ("nsid", '"over\n\n# three { lines"'),
    ("nsid", '"}"'),
    ("chaos", '"two\nlines"', '"import"'),
    ("chaos", '"two\nlines"', "rewrite"),
)

_SMALL = (
    ("bufsize", "1232"),
    ("minimal",),
    ("any",),
    ("metadata",),
    ("dns64",),
    ("autopath", "@kubernetes"),
    ("local",),
    ("cancel", "5s"),
)

_NAME_RULES: Mapping[str, Sequence[tuple[str, ...]]] = {
    "exact": (
        ("old.example.com", "www.unrelated.test"),
        ("exact", "alias.example.org", "www.unrelated.test"),
        ("old.example.com", "a.example.com"),
        ("a.example.com", "www.unrelated.test"),
        ("b.example.com", "kubernetes.default.svc.cluster.local"),
    ),
    "prefix": (("prefix", "old.", "new."), ("prefix", "api.", "b.")),
    "suffix": (
        ("suffix", ".internal.corp", ".example.org", "answer", "auto"),
        ("suffix", ".legacy.test", ".example.com"),
        ("suffix", ".internal.corp.", ".svc.cluster.local."),
    ),
    "substring": (("substring", "old", "a"), ("substring", "unrelated", "related")),
    "regex": (
        (
            "regex",
            r"(.*)\.alias\.test",
            "{1}.unrelated.test",
            "answer",
            "name",
            r"(.*)\.unrelated\.test",
            "{1}.alias.test",
        ),
        ("regex", r"^api[.].*$", "www.unrelated.test", "answer", "auto"),
        ("regex", '"^[^.]+[.]internal[.]corp[.]$"', "www.unrelated.test", "answer", "auto"),
        ("regex", r"(.*)\.in-addr\.arpa", "{1}.in-addr.arpa"),
    ),
}
