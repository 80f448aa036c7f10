"""The command line: flags and environment in, exit status out."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from types import FrameType
from typing import TYPE_CHECKING, Final

from exporter import logs
from exporter._version import __version__
from exporter.errors import ExporterError, SettingsError
from exporter.settings.flags import TABLE, Option
from exporter.settings.settings import Settings, nearest, warn_of_unknown_variables
from exporter.store.shared import SharedStats
from exporter.web.healthcheck import healthcheck

if TYPE_CHECKING:
    from exporter.feeds import Feed

logger = logging.getLogger("exporter")


@dataclass(frozen=True, slots=True)
class _Command:
    """A command: its text in ``--help``, and the options that it takes."""

    summary: str
    description: str
    status: str
    examples: Sequence[str]
    options: Sequence[Option]


_SERVED: Final = "0 after SIGTERM or Ctrl-C, 1 if it cannot serve"
_COMMANDS: Final = {
    "serve": _Command(
        "serve what clippers report",
        "Serve a store that starts empty. A clipper needs no command to serve its own numbers: it calls"
        " exporter.serve().",
        _SERVED,
        [
            "serve --web.listen-address=:9309 --log.format=json",
            "serve --storage.path=/var/lib/clipper-exporter --web.config.file=web.yml",
        ],
        [option for option in TABLE if option.part != "demo"],
    ),
    "demo": _Command(
        "serve four recorded and eight simulated streams",
        "Play the feed of a made-up clipper: four recorded streams in a loop and eight simulated ones, with raids,"
        " bursts of chat, triggers, recordings and clips.",
        _SERVED,
        ["demo", "demo --demo.seed=7 --demo.speed=10"],
        TABLE,
    ),
    "health": _Command(
        "check whether the exporter on this machine answers",
        "Check the exporter that runs with the same settings on this machine or in this container: with HTTP it must"
        " answer /-/healthy, with TLS it must start a handshake, which needs no certificate. Give this command the"
        " same flags and variables.",
        "0 if it answers, 1 if it does not",
        ["health", "health --web.listen-address=:9400 --web.config.file=web.yml"],
        [option for option in TABLE if option.flag in {"--web.listen-address", "--web.config.file"}],
    ),
}
_EPILOGUE: Final = """\
each flag can also be set by the environment variable beside it; the flag takes precedence.
exit status: {status}, 2 for invalid flags or variables.

examples:{examples}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 success, 1 cannot serve or does not answer, 2 invalid settings."""
    command, given = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        if command == "health":
            print(f"{healthcheck(Settings.read(given, os.environ, _COMMANDS[command].options).serve)} answers")
            return 0
        settings = Settings.read(given, os.environ)
        logs.configure(settings.log.level, settings.log.format)
        warn_of_unknown_variables(os.environ)
        _run(command, settings)
    except SettingsError as problem:
        for mistake in problem.mistakes:
            print(f"clipper-exporter: {mistake}", file=sys.stderr)
        return 2
    except ExporterError as problem:
        if command == "health":
            print(f"clipper-exporter: {problem}", file=sys.stderr)
        else:
            logger.error("%s", problem)  # noqa: TRY400 - a traceback does not help the operator
        return 1
    return 0


def _run(command: str, settings: Settings) -> None:
    # Imported late: --help and --version answer without loading a web server.
    from exporter.web.server import start  # noqa: PLC0415

    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        # Nothing that takes a lock, such as an Event or a logger: the interrupted thread may hold it.
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    store = SharedStats.share(SharedStats.create(**settings.store.keywords(), strict=False))
    feeds: list[Feed] = []
    if command == "demo":
        from exporter.feeds import demo_feeds  # noqa: PLC0415

        feeds = demo_feeds(store, seed=settings.demo.seed, start=time.time(), speed=settings.demo.speed)
    with start(settings.serve, store) as server:
        logger.info("clipper-exporter %s listens on %s", __version__, server.url)
        logger.info("pushing: %s", server.who_may_push)
        logger.info("storage: %s", settings.serve.storage or "none, counters start at 0 at every start")
        logger.info("metrics: %s%s", server.url, settings.serve.telemetry_path)
        if sys.stderr.isatty():
            print(f"\nOpen {server.url}/ in a browser. Ctrl-C ends it.\n", file=sys.stderr)
        # In short waits: this loop plays the feeds, and a signal may arrive just before a wait.
        while not received:
            if not server.running:
                raise ExporterError("the server stopped unexpectedly; its last log lines say why")
            now = time.time()
            for feed in feeds:
                feed.advance(now)
            time.sleep(0.1)
        logger.info("stopping on %s", signal.Signals(received[0]).name)


def _parse(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the command and its flags as text; a mistake prints the usage and exits with status 2."""
    parser = argparse.ArgumentParser(
        prog="clipper-exporter",
        description="Prometheus exporter for live-stream clippers.",
        epilog="clipper-exporter COMMAND --help lists the flags of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clipper-exporter {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for name, command in _COMMANDS.items():
        _add(commands, name, command)
    if arguments and (first := arguments[0].partition("=")[0]) in {option.flag for option in TABLE}:
        parser.error(f"{first} comes before the command: write clipper-exporter COMMAND {first}=...")
    parsed, unknown = parser.parse_known_args(arguments)
    given = vars(parsed)
    name = given.pop("command")
    if unknown:
        known = {option.flag for option in _COMMANDS[name].options}
        hints = [each + nearest(each.partition("=")[0], known) for each in unknown]
        commands.choices[name].error(f"unrecognized arguments: {', '.join(hints)}")
    return name, given


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: _Command) -> None:
    examples = "".join(f"\n  clipper-exporter {example}" for example in command.examples)
    parser = commands.add_parser(
        name,
        help=command.summary,
        description=fill(command.description, 79),
        epilog=_EPILOGUE.format(status=command.status, examples=examples),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option in command.options:
        text = f"{option.help} Default: {option.default or 'none'}. ({option.variable})".replace("%", "%%")
        # The destination is the flag itself, because Settings takes the text of each flag.
        parser.add_argument(option.flag, dest=option.flag, metavar=option.metavar, help=text)
