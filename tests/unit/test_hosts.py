"""A host's normal form, and all that is none."""

import pytest

from hairpin_proxy import hosts

LONGEST_LABEL = "a" * 63
LONGEST = ".".join([LONGEST_LABEL, LONGEST_LABEL, LONGEST_LABEL, "a" * 61])


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("subdomain.example.com", "subdomain.example.com"),
        ("SubDomain.Example.COM", "subdomain.example.com"),
        ("subdomain.example.com.", "subdomain.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.example.com", "1.example.com"),
        ("a-b--c.example.com", "a-b--c.example.com"),
        ("a.b", "a.b"),
        ("single", "single"),
        (LONGEST, LONGEST),
        (LONGEST + ".", LONGEST),
    ],
)
def test_normal_form(raw: str, normal: str) -> None:
    assert hosts.normal(raw) == normal


NO_DNS_NAME = [
    "a b.example.com",
    " example.com",
    "example.com ",
    "example.com\n",
    "example.com\nevil.example.com",
    "example.com\r",
    "example.com\t",
    "exam{ple.com",
    "example.com}",
    "{$HOME}.example.com",
    "example.com#",
    "#example.com",
    '"example.com"',
    "'example.com'",
    "example.com:443",
    "https://example.com",
    "https://example.com/path",
    "example.com/path",
    "[::1]",
    "2001:db8::1",
    "user@example.com",
    "-a.example.com",
    "a-.example.com",
    "example.-com",
    "example.com-",
    "a" * 64 + ".example.com",
    "under_score.example.com",
    "a..example.com",
    ".example.com",
    "example.com..",
    ".",
    "..",
    "\x00.example.com",
    "example.com\\",
    "(example.com)",
    "example.com,",
    "$(reboot).example.com",
    "%65xample.com",
]


@pytest.mark.parametrize("raw", NO_DNS_NAME)
def test_no_dns_name(raw: str) -> None:
    with pytest.raises(ValueError, match="is no DNS name"):
        hosts.normal(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "is empty"),
        ("*", "is a wildcard"),
        ("*.example.com", "is a wildcard"),
        ("a.*.example.com", "is a wildcard"),
        ("1.2.3.4", "ends in a number"),
        ("1.2.3.4.", "ends in a number"),
        ("10.1", "ends in a number"),
        ("example.12", "ends in a number"),
        ("a." + LONGEST, "is longer than 253 characters"),
        ("bücher.example", "outside ASCII"),
        ("\N{KELVIN SIGN}ube.example.com", "outside ASCII"),  # lower() makes an ASCII k of it
        ("example\N{FULLWIDTH FULL STOP}com", "outside ASCII"),
        ("١.example.com", "outside ASCII"),  # a digit to str.isdigit and isalnum
        ("example.com\u2028", "outside ASCII"),
    ],
)
def test_left_out_with_its_reason(raw: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        hosts.normal(raw)


@pytest.mark.parametrize(
    ("host", "domain", "within"),
    [
        ("example.com", "example.com", True),
        ("a.example.com", "example.com", True),
        ("a.b.example.com", "example.com", True),
        ("notexample.com", "example.com", False),
        ("example.com", "a.example.com", False),
        ("example.com.evil", "example.com", False),
    ],
)
def test_is_within(host: str, domain: str, within: bool) -> None:
    assert hosts.is_within(host, domain) is within
