"""The provider of a hosts file, with real files and a stand-in for the API server."""

from pathlib import Path
from typing import Any, cast

import pytest

from hairpin_proxy.cli import main
from hairpin_proxy.edit import Edit, Remark
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.kube import Kube, KubeError
from hairpin_proxy.names import ServiceName
from hairpin_proxy.providers import hosts_file
from hairpin_proxy.providers.hosts_file import HostsFile
from tests.hostsfiles import IPV4, IPV6, NODE, TAG, line

NAME = ServiceName("hairpin-proxy", "hairpin-proxy")


def provider(path: Path, answer: dict[str, Any] | KubeError) -> HostsFile:
    class Answering:
        def get(self, path: str, kind: str) -> dict[str, Any]:
            assert (path, kind) == ("/api/v1/namespaces/hairpin-proxy/services/hairpin-proxy", "Service")
            if isinstance(answer, KubeError):
                raise answer
            return answer

    return HostsFile(cast(Kube, Answering()), str(path), NAME)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text(NODE)
    return path


@pytest.mark.parametrize(
    ("spec", "addresses"),
    [
        ({"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00:96::7"]}, (IPV4, IPV6)),
        ({"clusterIP": "FD00:96:0::7", "clusterIPs": ["FD00:96:0::7", "10.96.0.7"]}, (IPV6, IPV4)),
        ({"clusterIP": "10.96.0.7"}, (IPV4,)),
        ({"clusterIP": "10.96.0.7", "clusterIPs": None}, (IPV4,)),
    ],
)
def test_the_addresses_are_all_that_the_service_has(path: Path, spec: dict[str, Any], addresses: Any) -> None:
    hosts = provider(path, {"spec": spec})
    current = hosts.read()
    assert (current.text, current.addresses) == (NODE, addresses)
    edit = hosts.render(current, {"a.example.com"})
    hosts.write(current, edit)
    expected = NODE + "".join(line("a.example.com", address) + "\n" for address in (IPV4, IPV6) if address in addresses)
    assert path.read_text() == expected
    assert edit == Edit(str(path), NODE, expected, frozenset({"a.example.com"}))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"clusterIP": "None", "clusterIPs": ["None"], "type": "ClusterIP"}, "(type ClusterIP, clusterIP None)"),
        ({"type": "ExternalName", "externalName": "x.example.org"}, "(type ExternalName, clusterIP None)"),
        ({"clusterIP": "", "clusterIPs": []}, "(type None, clusterIP )"),
        ({"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "?"]}, "(type None, clusterIP 10.96.0.7)"),
        (None, "(type None, clusterIP None)"),
    ],
)
def test_a_service_without_an_address_is_an_error(path: Path, spec: Any, said: str) -> None:
    with pytest.raises(OperatorError) as error:
        provider(path, {"spec": spec}).read()
    assert str(error.value) == (
        f"Service hairpin-proxy/hairpin-proxy has no address of its own {said}, and {path} is left as it is; "
        "--destination takes a Service with a cluster IP"
    )


@pytest.mark.parametrize("answer", [{"spec": "x"}, {"spec": {"clusterIPs": 7}}])
def test_an_answer_that_is_no_service(path: Path, answer: dict[str, Any]) -> None:
    with pytest.raises(KubeError, match="the answer is no Service: "):
        provider(path, answer).read()


def test_a_service_that_is_not_there_is_an_error_that_says_what_stays(path: Path) -> None:
    with pytest.raises(OperatorError, match=f"404 Not Found: x; .*{path} is left as it is .*--destination"):
        provider(path, KubeError("GET x", "404 Not Found: x", 404)).read()
    with pytest.raises(KubeError, match="^GET x: 500$"):
        provider(path, KubeError("GET x", "500", 500)).read()


def test_a_host_of_the_administrator_is_remarked_on(path: Path) -> None:
    path.write_text(NODE + "192.0.2.1\tb.example.com # mine\n10.96.0.7 a.example.com " + TAG)
    hosts = provider(path, {"spec": {"clusterIP": "10.96.0.7"}})
    assert hosts.remarks(hosts.read(), {"a.example.com", "b.example.com"}) == [
        Remark(
            f"{path}: host b.example.com is left out: the line '192.0.2.1\\tb.example.com # mine' names it, "
            "and is not ours"
        )
    ]


def test_what_stands_there_and_what_an_edit_leaves_without_a_line(path: Path) -> None:
    path.write_text(NODE + "192.0.2.1\tb.example.com # mine\n" + line("gone.example.com") + "\n")
    hosts = provider(path, {"spec": {"clusterIP": "10.96.0.7"}})
    current = hosts.read()
    assert hosts.owned(current) == {"gone.example.com"}
    assert hosts.render(current, {"a.example.com", "b.example.com"}).hosts == {"a.example.com"}
    assert hosts.manager(current, str(hosts)) == f"something on this node writes {path} too"


def test_bytes_that_are_not_utf_8_stay(path: Path) -> None:
    content = b"\xff\xfe \xe9\r\n\0\r\n"
    path.write_bytes(content)
    hosts = provider(path, {"spec": {"clusterIP": "10.96.0.7"}})
    current = hosts.read()
    hosts.write(current, hosts.render(current, {"a.example.com"}))
    assert path.read_bytes() == content + line("a.example.com").encode() + b"\r\n"
    hosts_file.remove(str(path))
    assert path.read_bytes() == content


def test_removing_shows_before_and_after_and_a_dry_run_writes_nothing(path: Path) -> None:
    text = line("a.example.com") + "\n" + NODE
    path.write_text(text)
    assert hosts_file.remove(str(path), dry_run=True) == (text, NODE)
    assert path.read_text() == text
    assert hosts_file.remove(str(path)) == (text, NODE)
    assert path.read_text() == NODE
    written = path.stat().st_mtime_ns
    assert hosts_file.remove(str(path)) == (NODE, NODE)
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("destination", "name"),
    [
        ("hairpin-proxy.hairpin-proxy.svc.cluster.local", NAME),
        ("proxy.dns.svc.k8s.example.org", ServiceName("dns", "proxy")),
        ("proxy.dns.svc.local", ServiceName("dns", "proxy")),
    ],
)
def test_the_service_is_the_one_that_the_destination_names(destination: str, name: ServiceName) -> None:
    assert hosts_file.service(destination) == name


@pytest.mark.parametrize("destination", ["proxy.example.com", "proxy.dns.svc", "a.b", "a.b.c.svc.cluster.local"])
def test_a_destination_that_is_no_service_is_refused(destination: str) -> None:
    with pytest.raises(OperatorError, match=f"the destination {destination} names none; it takes SERVICE.NAMESPACE"):
        hosts_file.service(destination)


def test_cleanup_shows_what_it_took_out_and_asks_no_api_server(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_bytes(NODE.encode() + line("a.example.com").encode() + b"\n# \xff\n")
    argv = ["cleanup", "--etc-hosts", str(path)]
    assert main([*argv, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{path} would be cleaned up, but this is a dry run:\n--- current\n+++ desired\n")
    assert f"\n-{line('a.example.com')}\n # \\udcff\n" in shown
    assert TAG.encode() in path.read_bytes()

    assert main(argv) == 0
    assert capsys.readouterr().out.startswith(f"{path} cleaned up:\n")
    assert path.read_bytes() == NODE.encode() + b"# \xff\n"

    assert main(argv) == 0
    assert capsys.readouterr().out == f"{path} has no line of hairpin-proxy\n"


def test_cleanup_of_what_is_not_there_fails_with_1(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.unlink()
    assert main(["cleanup", "--etc-hosts", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"hairpin-proxy: error: {path} cannot be read: No such file or directory")
