"""The command line: flags and their environment twins in, exit codes out. One function a command."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields

from hairpin_proxy import __version__, reconcile
from hairpin_proxy.errors import OperatorError
from hairpin_proxy.observe.log import configure, log
from hairpin_proxy.reconcile import Stop
from hairpin_proxy.settings import Option, SettingError, Settings, options, resolve

OK, FAILED, USAGE = 0, 1, 2
"""Exit codes: done; not done; not even tried, for a setting is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = vars(_parser().parse_args(argv))
    try:
        settings = resolve(arguments, os.environ)
    except SettingError as error:
        print(f"hairpin-proxy: error: {error}", file=sys.stderr)
        return USAGE
    return run(settings)


def run(settings: Settings) -> int:
    """The controller: polls until SIGTERM or SIGINT, or once."""
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    configure(settings.log_level)
    log.info("hairpin-proxy %s starts: %s", __version__, _said(settings))
    # Not before the signals are heard: the Kubernetes client takes a third of a second to import.
    from hairpin_proxy import wiring  # noqa: PLC0415

    try:
        poll = wiring.poll(settings)
    except OperatorError as error:
        log.error("%s", error)
        return USAGE
    succeeded = reconcile.run(poll, interval=settings.interval, once=settings.once, stop=stop)
    log.info("hairpin-proxy ends")
    return OK if succeeded or not settings.once else FAILED


def _said(settings: Settings) -> str:
    return " ".join(f"{field.name}={getattr(settings, field.name)}" for field in fields(settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hairpin-proxy",
        description="Lets pods reach their own cluster's public host names behind a PROXY-protocol load balancer.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "run",
        allow_abbrev=False,
        help="keep a rule in the Corefile for each TLS host of the cluster's Ingresses",
        description="Keeps one rewrite rule in the Corefile for each TLS host of the cluster's Ingresses.",
        epilog="A flag wins over its environment variable; a variable that is set but empty counts as not set.",
    )
    for option in options():
        _add(command, option)
    return parser


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    meaning = f"{option.meaning} (env {option.env}, default {_shown(option.default)})"
    if option.metavar:
        parser.add_argument(option.flag, metavar=option.metavar, help=meaning)
    else:
        parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, default=None, help=meaning)


def _shown(default: object) -> str:
    if default is None:
        return "none"
    return (
        f"{default:g}"
        if isinstance(default, float)
        else str(default).lower()
        if isinstance(default, bool)
        else str(default)
    )
