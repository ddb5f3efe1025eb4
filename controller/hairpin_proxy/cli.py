"""The command line: flags and their environment twins in, exit codes out. One function a command."""

import argparse
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace

from hairpin_proxy import __version__, reconcile, selection
from hairpin_proxy.doctor.report import FORMS, report
from hairpin_proxy.errors import FinalError, OperatorError
from hairpin_proxy.leaving.installation import CommandLine
from hairpin_proxy.names import NAMESPACE
from hairpin_proxy.observe.log import configure, log, one_line
from hairpin_proxy.reconcile import Stop
from hairpin_proxy.settings import Flag, Option, SettingError, Settings, options, resolve

OK, FAILED, USAGE = 0, 1, 2
"""Exit codes: done; not done; not even tried, for a setting is wrong."""

_AGAIN = 0.5
"""Seconds after which a poll is given up once more that goes on all the same."""

_INSTALLED = ("cluster_domain", "provider", "configmap", "configmap_key", "destination", "adopt_destination")
"""What `cleanup` takes over from the installed controller."""

Meanings = Mapping[str, str | None]
"""The settings that a command has, and what they mean to it if that is not what they mean to `run`."""

_CLEANUP: Meanings = {
    "dry_run": "show the steps, and make none",
    "kubeconfig": None,
    "context": None,
    "install_namespace": f"where hairpin-proxy is installed; without it {NAMESPACE}",
    **dict.fromkeys(_INSTALLED, "as the installed controller has it; without it, read from its Deployment"),
    "etc_hosts": "take our lines out of this hosts file of a node instead",
}

_DOCTOR: Meanings = {
    "kubeconfig": None,
    "context": None,
    "install_namespace": f"where hairpin-proxy is installed; without it the pod's own, or {NAMESPACE}",
    **dict.fromkeys(_INSTALLED, "as the installed controller has it; without it, read from its Deployment"),
}

_RENDER: Meanings = {
    "install_namespace": "where hairpin-proxy is installed, which the default destination follows",
    "source": None,
    "hosts_from": None,
    "ingress_class": None,
    "gateway_class": None,
    "namespace": None,
    "namespace_selector": None,
    "allow_domain": None,
    "deny_domain": None,
    "max_hosts_per_namespace": None,
    "domain_per_namespace_annotation": None,
    "cluster_domain": None,
    "provider": "what to show: corefile, or import (the key that the Corefile imports, as if nothing were in it yet), "
    "or auto, which is corefile and says so where `run` would choose import",
    "rules": None,
    "destination": None,
    "adopt_destination": None,
    "coredns_version": "the CoreDNS that the rules are for; without it a current one",
}

Flags = dict[str, Flag]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    flags = vars(_parser().parse_args(argv))
    command: Callable[[Flags], int] = flags.pop("command")
    try:
        return command(flags)
    except SettingError as error:
        return _refused(error, USAGE)
    except KeyboardInterrupt:
        return _refused("interrupted; it can be run again", FAILED)


def _hear(stop: Stop) -> None:
    """From now on SIGTERM and SIGINT set it."""

    def heard(_number: int, _frame: object) -> None:
        # What is raised while a finalizer runs is swallowed by the interpreter.
        if stop.is_polling:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, heard)


def run(flags: Flags) -> int:
    """The controller: polls until SIGTERM or SIGINT, or once."""
    settings = resolve(flags, os.environ)
    stop = Stop()
    _hear(stop)
    configure(settings.log_level, settings.log_format)
    log.info("hairpin-proxy %s starts: %s%s", __version__, _said(settings), selection.warning(settings))
    # Not before the signals are heard: the Kubernetes client takes a third of a second to import.
    from hairpin_proxy import wiring  # noqa: PLC0415

    try:
        controller = wiring.controller(settings)
    except OperatorError as error:
        log.error("%s", error)
        return USAGE
    try:
        succeeded = not stop.wait(_delay(settings)) and reconcile.run(
            controller.poll, interval=settings.interval, once=settings.once, stop=stop, pause=controller.pause
        )
    except FinalError as error:
        log.error("hairpin-proxy ends: %s", error)
        return FAILED
    finally:
        # The interpreter gives up its handlers before it has ended, which can take long: SIGALRM would kill it.
        signal.setitimer(signal.ITIMER_REAL, 0)
    if not settings.once:
        controller.leave()
    log.info("hairpin-proxy ends")
    return OK if succeeded or not settings.once else FAILED


def cleanup(flags: Flags) -> int:
    """Takes everything of ours out of the cluster's DNS, or every line of ours out of a node's hosts file."""
    wait = bool(flags.pop("wait"))
    settings = resolve(flags, os.environ)
    try:
        steps = _node_steps(settings) if settings.etc_hosts else _cleanup_steps(flags, settings, wait=wait)
        for step in steps:
            print(_printable(step), flush=True)
    except OperatorError as error:
        return _refused(error, FAILED)
    return OK


def _node_steps(settings: Settings) -> Iterable[str]:
    from hairpin_proxy.leaving import node  # noqa: PLC0415 (see run)

    return node.cleanup(str(settings.etc_hosts), dry_run=settings.dry_run)


def _cleanup_steps(flags: Flags, settings: Settings, *, wait: bool) -> Iterable[str]:
    """What the installed controller works on is read from its Deployment. A flag wins over that, and that over ours."""
    from hairpin_proxy import wiring  # noqa: PLC0415 (see run)

    installed = wiring.installed(settings)
    target = _as_installed(flags, installed, os.environ)
    target = replace(settings, **{name: getattr(target, name) for name in _INSTALLED})
    guessed = not installed.known and not flags.get("configmap")
    return wiring.cleanup(target, wait=wait, guessed=guessed)


def _as_installed(flags: Flags, installed: CommandLine, environment: Mapping[str, str]) -> Settings:
    """The installed controller's settings, but for what flags say, and else those of an environment.

    Raises SettingError, or OperatorError for what is not known here.
    """
    try:
        theirs = vars(_parser().parse_args(["run", *installed.flags]))
    except SystemExit as refused:
        raise OperatorError(
            f"the installed controller has flags that are not known here: {installed.flags}"
        ) from refused
    given = {name: value for name, value in flags.items() if value is not None}
    for option in options():
        if option.name in _INSTALLED and option.env in installed.elsewhere and option.name not in given:
            raise OperatorError(f"the Deployment takes {option.env} from another object; give it as {option.flag}")
    return resolve({**theirs, **given}, {**environment, **installed.environment})


def doctor(flags: Flags) -> int:
    """Looks at each station of the way that a request goes."""
    form = str(flags.pop("output"))
    settings = resolve(flags, os.environ)
    configure("error")
    from hairpin_proxy import wiring  # noqa: PLC0415 (see run)
    from hairpin_proxy.doctor import findings  # noqa: PLC0415
    from hairpin_proxy.doctor.examine import examine, nothing_seen  # noqa: PLC0415

    try:
        settings = wiring.located(settings)
        installed = wiring.installed_for_doctor(settings)
        given, refused = flags | {"install_namespace": settings.install_namespace}, None
        own = os.environ if settings.install_namespace == wiring.own_namespace(settings) else {}
        try:
            target = _as_installed(given, installed, own)
        except SettingError as error:
            target, refused = _as_installed(given, CommandLine(), {}), str(error)
        target = replace(target, kubeconfig=settings.kubeconfig, context=settings.context)
        results = examine(wiring.scene(target, refused))
    except OperatorError as error:
        if form != "json":
            return _refused(error, findings.UNKNOWN)
        results = nothing_seen(str(error))
    return _output(report(results, form).encode()) or findings.exit_code(results)


def render(flags: Flags) -> int:
    """Shows what `run` would write, from files."""
    corefile, ingresses = str(flags.pop("corefile")), str(flags.pop("ingresses"))
    diff, explain = bool(flags.pop("diff")), bool(flags.pop("explain"))
    for flag, path in (("--corefile", corefile), ("--ingresses", ingresses)):
        if not path:
            raise SettingError(f"{flag} is ''; it takes a file, or - for standard input")
    if corefile == ingresses == "-":
        raise SettingError("--corefile and --ingresses are both -; only one of them can be standard input")
    settings = resolve(flags, {option.env: os.environ.get(option.env, "") for option in _options(_RENDER)})
    from hairpin_proxy import offline  # noqa: PLC0415 (see run)

    try:
        if explain:
            rendered = offline.explain(corefile, ingresses, settings)
        else:
            rendered = offline.render(corefile, ingresses, settings, as_diff=diff)
    except OperatorError as error:
        return _refused(error, FAILED)
    for warning in rendered.warnings:
        _say(f"hairpin-proxy: warning: {one_line(warning)}")
    return _output(rendered.content)


def _output(content: bytes) -> int:
    """Writes it to standard output as it is."""
    try:
        with open(1, "wb", closefd=False) as stdout:
            stdout.write(content)
    except BrokenPipeError:
        return FAILED  # whoever reads it has seen enough
    except OSError as error:
        return _refused(f"standard output cannot be written: {error.strerror}", FAILED)
    return OK


def _refused(problem: object, code: int) -> int:
    _say(f"hairpin-proxy: error: {problem}")
    return code


def _say(text: str) -> None:
    if sys.stderr:  # without which print takes standard output
        print(text, file=sys.stderr)


def _printable(text: str) -> str:
    """Text that any standard output takes, also if what was read is not UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def _delay(settings: Settings) -> float:
    """Seconds until the first poll: each node has a controller of its own, and they often start together."""
    if settings.once or not settings.etc_hosts:
        return 0
    delay = random.SystemRandom().uniform(0, settings.interval)
    log.info("the first poll comes in %.1f seconds, so that not all nodes poll at the same time", delay)
    return delay


def _said(settings: Settings) -> str:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return " ".join(f"{name}={_said_value(value)}" for name, value in values.items())


def _said_value(value: object) -> str:
    return ",".join(map(str, value)) if type(value) is tuple else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hairpin-proxy",
        description="Lets pods reach their own cluster's public host names behind a PROXY-protocol load balancer.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_command(
        commands, run, options(), "keep a rule in the Corefile for each host of the cluster's Ingresses or Gateways",
        "Keeps a rule in the Corefile for each host that the cluster's Ingresses name under tls, or as the settings "
        "say; with --etc-hosts, a line in a node's hosts file.",
    )  # fmt: skip
    parser_of_cleanup = _add_command(
        commands, cleanup, _options(_CLEANUP),
        "take everything of hairpin-proxy out of the cluster's DNS, or out of a node's hosts file",
        "Stops the controller, takes its rules out of the Corefile, and lets go of what waits to be deleted; shows "
        "each step. What it works on is read from the installed Deployment. With --etc-hosts, takes every line of "
        "hairpin-proxy out of that hosts file instead, and asks no API server.",
    )  # fmt: skip
    parser_of_cleanup.add_argument(
        "--wait", action="store_true", help="return when CoreDNS has had the time to read it"
    )
    parser_of_doctor = _add_command(
        commands, doctor, _options(_DOCTOR), "say what is wrong, station by station, and what to do",
        "Looks at each station of the way that a request goes, from the load balancer to the ingress controller, and "
        "says what works, what does not, and what to do about it. Changes nothing. What it looks for is read from the "
        "installed Deployments. Pods can be asked from the controller's own, or from a machine that reaches them. Ends "
        "with 1 if a check fails, else with 2 if one could not be made, else with 0.",
    )  # fmt: skip
    parser_of_doctor.add_argument("--output", choices=FORMS, default=FORMS[0], help="for people, or for programs")
    parser_of_render = _add_command(
        commands, render, [], "show offline what `run` would write",
        "Shows offline what `run` would write: reads a Corefile and Ingresses from files, asks no API server, and "
        "prints the new Corefile, byte for byte the old one but for the rules. Which hosts are left out, and what "
        "else there is to know, goes to standard error. Ends with 0, or with 1 and no output if the rules cannot be "
        "written.",
    )  # fmt: skip
    parser_of_render.add_argument("--corefile", metavar="FILE", required=True, help="the Corefile; - is standard input")
    parser_of_render.add_argument(
        "--ingresses", metavar="FILE", required=True,
        help="what `kubectl get ingress -A -o json` (or -o yaml) prints, or manifests: Ingresses, IngressClasses, "
        "Gateways and their routes, Namespaces; other kinds are passed over; - is standard input",
    )  # fmt: skip
    shown = parser_of_render.add_mutually_exclusive_group()
    shown.add_argument(
        "--diff", action="store_true", help="print what changes, as `patch -p0` and `git apply -p0` take it"
    )
    shown.add_argument(
        "--explain", action="store_true", help="print each host that is left out, with the object that asks for it and "
        "the reason, in place of the Corefile",
    )  # fmt: skip
    for option in _options(_RENDER):
        _add(parser_of_render, option)
    return parser


def _options(meanings: Meanings) -> list[Option]:
    found = [option for option in options() if option.name in meanings]
    return [option._replace(meaning=meanings[option.name] or option.meaning) for option in found]


def _add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    command: Callable[[Flags], int],
    settings: Iterable[Option],
    summary: str,
    description: str,
) -> argparse.ArgumentParser:
    """Adds the command that is called as the function is."""
    parser = commands.add_parser(
        command.__name__,
        allow_abbrev=False,
        help=summary,
        description=description,
        epilog="A flag wins over its environment variable; a variable that is set but empty counts as not set. One "
        "of a flag that can be given several times takes several values, with commas or white space between them.",
    )
    parser.set_defaults(command=command)
    for option in settings:
        _add(parser, option)
    return parser


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    meaning = f"{option.meaning} (env {option.env}, default {_shown(option.default)})"
    if option.repeats:
        parser.add_argument(option.flag, metavar=option.metavar, help=meaning, action="append")
    elif option.metavar:
        parser.add_argument(option.flag, metavar=option.metavar, help=meaning)
    else:
        parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, default=None, help=meaning)


def _shown(default: object) -> str:
    if default is None or default == ():
        return "none"
    if type(default) is tuple:
        return _said_value(default)
    return (
        f"{default:g}"
        if isinstance(default, float)
        else str(default).lower()
        if isinstance(default, bool)
        else str(default)
    )
