"""The command line: flags and environment in, exit status out."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import fill
from types import FrameType
from typing import TYPE_CHECKING, Final

from exporter import logs
from exporter._version import __version__
from exporter.errors import ExporterError, SettingsError
from exporter.settings.settings import Option, Settings, options, unknown_variables
from exporter.store.shared import SharedStats
from exporter.web.healthcheck import probe

if TYPE_CHECKING:
    from exporter.feeds import Feed
    from exporter.security.reload import WebFile

logger = logging.getLogger("exporter")


@dataclass(frozen=True, slots=True)
class _Command:
    """A command as ``--help`` tells of it, and which settings it ``takes``."""

    summary: str
    description: str
    status: str
    examples: Sequence[str]
    takes: Callable[[Option], bool]


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
        lambda option: not option.demo_only,
    ),
    "demo": _Command(
        "serve four recorded and eight simulated streams",
        "Play the feed of a made-up clipper: four recorded streams in a loop and eight simulated ones, with raids,"
        " bursts of chat, triggers, recordings and clips.",
        _SERVED,
        ["demo", "demo --demo.seed=7 --demo.speed=10"],
        lambda _: True,
    ),
    "health": _Command(
        "ask whether the exporter of this machine answers",
        "Ask the exporter that runs on this machine, or in this container, with the same settings whether it"
        " answers, within seconds: /-/healthy, or with TLS the beginning of a handshake, for which no certificate"
        " is needed. What was given to it as a flag has to be given here as well.",
        "0 if it answers, 1 if it does not",
        ["health", "health --web.listen-address=:9400 --web.config.file=web.yml"],
        lambda option: option.flag in {"--web.listen-address", "--web.config.file"},
    ),
}
_EPILOGUE: Final = """\
every flag may also be given as the environment variable beside it; the flag wins.
exit status: {status}, 2 for flags or variables that cannot be used.

examples:
{examples}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 as asked, 1 cannot serve or does not answer, 2 unusable settings."""
    given = vars(_parser().parse_args(arguments))
    command = given.pop("command")
    try:
        settings = Settings.read(given, os.environ)
        if command == "health":
            print(f"{probe(settings)} answers")
            return 0
        token = settings.push_token()
        web_config = settings.web_config()
    except SettingsError as problem:
        for mistake in problem.mistakes:
            print(f"clipper-exporter: {mistake}", file=sys.stderr)
        return 2
    except ExporterError as problem:  # nobody answers
        print(f"clipper-exporter: {problem}", file=sys.stderr)
        return 1
    logs.configure(settings.log_level, settings.log_format)
    for name in unknown_variables(os.environ):
        logger.warning("environment variable %s is not known: is it misspelt?", name)
    try:
        _run(command, settings, token, web_config)
    except ExporterError as problem:
        logger.error("%s", problem)  # noqa: TRY400 - a message for a person, who is not helped by a traceback
        return 1
    return 0


def _run(command: str, settings: Settings, token: str | None, web_config: WebFile | None) -> None:
    # Imported late: --help and --version answer without loading a web server.
    from exporter.web.server import serve  # noqa: PLC0415

    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        # Nothing that takes a lock, such as an Event or a logger: the thread interrupted here may hold it.
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    store = SharedStats.share(SharedStats.create(**settings.store_options, strict=False))
    feeds: list[Feed] = []
    if command == "demo":
        from exporter.feeds import demo_feeds  # noqa: PLC0415

        feeds = demo_feeds(store, seed=settings.demo_seed, start=time.time(), speed=settings.demo_speed)
    listen = settings.listen_address
    with serve(
        listen.port,
        listen.host,
        stats=store,
        telemetry_path=settings.telemetry_path,
        push_token=token,
        body_bytes=settings.max_body_bytes,
        limits=settings.http_limits,
        web_config=web_config,
        cors_origins=settings.cors_origins,
        storage=settings.storage_path or None,
        links={"Prometheus": settings.prometheus_url, "Grafana": settings.grafana_url},
    ) as server:
        logger.info("clipper-exporter %s listens on %s", __version__, server.url)
        logger.info("pushing: %s", server.who_may_push)
        logger.info("storage: %s", settings.storage_path or "none, counters begin at 0 at every start")
        logger.info("metrics: %s%s", server.url, settings.telemetry_path)
        # In short waits: the feeds are played from here, and a signal may come just before a wait.
        while not received:
            if not server.running:
                raise ExporterError("the server ended by itself; its last log lines say why")
            now = time.time()
            for feed in feeds:
                feed.advance(now)
            time.sleep(0.1)
        logger.info("stopping on %s", signal.Signals(received[0]).name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clipper-exporter",
        description="Prometheus exporter for live-stream clippers.",
        epilog="clipper-exporter COMMAND --help lists the flags of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clipper-exporter {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for name, told in _COMMANDS.items():
        examples = "\n".join(f"  clipper-exporter {example}" for example in told.examples)
        command = commands.add_parser(
            name,
            help=told.summary,
            description=fill(told.description, 79),
            epilog=_EPILOGUE.format(status=told.status, examples=examples),
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for option in filter(told.takes, options().values()):
            _add(command, option)
    return parser


def _add(command: argparse.ArgumentParser, option: Option) -> None:
    text = f"{option.help} Default: {option.default or 'none'}. ({option.variable})"
    # The destination is the flag itself: what was given goes to Settings as it was typed.
    command.add_argument(option.flag, dest=option.flag, metavar=option.metavar, help=text.replace("%", "%%"))
