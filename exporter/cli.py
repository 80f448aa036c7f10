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
from exporter.web.healthcheck import probe

if TYPE_CHECKING:
    from exporter.feeds import Feed

logger = logging.getLogger("exporter")


@dataclass(frozen=True, slots=True)
class _Command:
    """A command as ``--help`` tells of it, and the options that it takes."""

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
        "ask whether the exporter of this machine answers",
        "Ask the exporter that runs on this machine, or in this container, with the same settings whether it"
        " answers, within seconds: /-/healthy, or with TLS the beginning of a handshake, for which no certificate"
        " is needed. What was given to it as a flag has to be given here as well.",
        "0 if it answers, 1 if it does not",
        ["health", "health --web.listen-address=:9400 --web.config.file=web.yml"],
        [option for option in TABLE if option.flag in {"--web.listen-address", "--web.config.file"}],
    ),
}
_EPILOGUE: Final = """\
every flag may also be given as the environment variable beside it; the flag wins.
exit status: {status}, 2 for flags or variables that cannot be used.

examples:{examples}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 as asked, 1 cannot serve or does not answer, 2 unusable settings."""
    command, given = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        if command == "health":
            print(f"{probe(Settings.read(given, os.environ, _COMMANDS[command].options).serve)} answers")
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
            logger.error("%s", problem)  # noqa: TRY400 - a message for a person, who is not helped by a traceback
        return 1
    return 0


def _run(command: str, settings: Settings) -> None:
    # Imported late: --help and --version answer without loading a web server.
    from exporter.web.server import start  # noqa: PLC0415

    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        # Nothing that takes a lock, such as an Event or a logger: the thread interrupted here may hold it.
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
        logger.info("storage: %s", settings.serve.storage or "none, counters begin at 0 at every start")
        logger.info("metrics: %s%s", server.url, settings.serve.telemetry_path)
        if sys.stderr.isatty():
            print(f"\nOpen {server.url}/ in a browser. Ctrl-C ends it.\n", file=sys.stderr)
        # In short waits: the feeds are played from here, and a signal may come just before a wait.
        while not received:
            if not server.running:
                raise ExporterError("the server ended by itself; its last log lines say why")
            now = time.time()
            for feed in feeds:
                feed.advance(now)
            time.sleep(0.1)
        logger.info("stopping on %s", signal.Signals(received[0]).name)


def _parse(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Parse the command and its flags, as text; a mistake ends the process with the usage of the command, and 2."""
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
        told = [each + nearest(each.partition("=")[0], known) for each in unknown]
        commands.choices[name].error(f"unrecognized arguments: {', '.join(told)}")
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
        # The destination is the flag itself: what was given goes to Settings as it was typed.
        parser.add_argument(option.flag, dest=option.flag, metavar=option.metavar, help=text)
