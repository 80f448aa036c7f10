"""The table of flags: each command-line option with its environment variable, declared once.

A row names the field that it sets and the part that holds the field: ``serve`` is a
:class:`~exporter.settings.options.ServeOptions`, ``store`` a :class:`StoreOptions`, and so on. Fields hold
the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import tzinfo
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, Literal

from exporter import logs
from exporter.settings import checks, parsers
from exporter.settings.environment import PREFIX
from exporter.settings.options import ServeOptions
from exporter.store.shared import STALE_AFTER, TRIGGER_TYPES
from exporter.store.validation import Limits

Part = Literal["serve", "store", "log", "demo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """The options of the process's store."""

    limits: Limits = field(default_factory=Limits)
    trigger_types: tuple[str, ...] = TRIGGER_TYPES
    stale_after: float = STALE_AFTER
    time_zone: tzinfo | None = None

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of :meth:`SharedStats.create <exporter.store.shared.SharedStats.create>`."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """The options of the log."""

    level: str = "info"
    format: str = "logfmt"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of the demo."""

    seed: int = 4
    speed: float = 1.0


DEFAULTS: Final[Mapping[Part, Any]] = {
    "serve": ServeOptions(),
    "store": StoreOptions(),
    "log": LogOptions(),
    "demo": DemoOptions(),
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type of value: ``parse`` converts it from text, ``text`` converts it back."""

    metavar: str
    parse: Callable[[str], Any]
    text: Callable[[Any], str] = str


@dataclass(frozen=True)
class Option:
    """One option: ``sets`` is a field of ``part``, or ``name.key`` for a ``key`` of a field that holds several.

    An ``optional`` one has no default, and an empty variable counts as not set.
    """

    flag: str
    part: Part
    sets: str
    kind: _Kind
    help: str
    optional: bool = False

    @property
    def variable(self) -> str:
        """The environment variable: the flag in upper case, with underscores."""
        return PREFIX + self.flag.removeprefix("--").upper().replace(".", "_").replace("-", "_")

    @property
    def demo_only(self) -> bool:
        """True for an option of the demo only."""
        return self.part == "demo"

    @property
    def metavar(self) -> str:
        """The name of the value in ``--help``."""
        return self.kind.metavar

    @cached_property
    def default(self) -> str:
        """The default as text; empty if there is none."""
        return "" if self.optional else self.kind.text(attrgetter(self.sets)(DEFAULTS[self.part]))

    def is_set_by(self, keywords: Collection[str]) -> bool:
        """Return whether ``keywords`` of ``serve()`` override this option entirely."""
        names = {"address", "port"} if self.sets == "listen" else {self.sets.partition(".")[0]}
        return names <= set(keywords)

    def parse(self, text: str) -> Any:
        """Return the parsed value; raises ``ValueError`` with the problem."""
        return self.kind.parse(text)


_ADDRESS: Final = _Kind("HOST:PORT", parsers.address)
_COUNT: Final = _Kind("N", parsers.count)
_NUMBER: Final = _Kind("N", parsers.integer)
_FACTOR: Final = _Kind("FACTOR", parsers.factor, "{:g}".format)
_DURATION: Final = _Kind("DURATION", parsers.duration, parsers.duration_text)
_POSITIVE: Final = _Kind("DURATION", parsers.positive, parsers.duration_text)
_FILE: Final = _Kind("FILE", checks.file)
_URL: Final = _Kind("URL", checks.url)


TABLE: Final = (
    Option(
        "--web.listen-address", "serve", "listen", _ADDRESS, "Address to listen on; with port 0, a port that is free."
    ),
    Option(
        "--web.telemetry-path", "serve", "telemetry_path", _Kind("PATH", checks.path), "Path that Prometheus scrapes."
    ),
    Option(
        "--web.config.file",
        "serve",
        "web_config",
        _FILE,
        "File that turns on TLS and passwords, in the format of Prometheus's own exporters.",
        optional=True,
    ),
    Option(
        "--web.cors-origin",
        "serve",
        "cors_origins",
        _Kind("ORIGINS", parsers.origins, ",".join),
        "Origins, separated by commas, whose pages may read the numbers; * for all.",
    ),
    Option(
        "--stats.trigger-types",
        "store",
        "trigger_types",
        _Kind("NAMES", parsers.names, ",".join),
        "Trigger types whose counters start at 0, so that increase() sees the first event.",
    ),
    Option(
        "--stats.stale-after",
        "store",
        "stale_after",
        _DURATION,
        "Time without an update after which a streamer is dropped; 0 for never.",
    ),
    Option(
        "--stats.time-zone",
        "store",
        "time_zone",
        _Kind("ZONE", parsers.zone, lambda zone: "local" if zone is None else str(zone)),
        "Time zone whose midnight sets the clips of today to 0.",
    ),
    Option("--limit.streamers", "store", "limits.streamers", _COUNT, "Streamers held at once."),
    Option("--limit.trigger-types", "store", "limits.trigger_types", _COUNT, "Trigger types known at once."),
    Option("--limit.name-length", "store", "limits.name_length", _COUNT, "Characters in a streamer's or type's name."),
    Option("--limit.details-bytes", "store", "limits.details_bytes", _COUNT, "Size of a trigger's details as JSON."),
    Option(
        "--push.token-file",
        "serve",
        "push_token",
        _Kind("FILE", parsers.token_in),
        "File with the token that a push must bring; without one only this machine may push.",
        optional=True,
    ),
    Option("--limit.body-bytes", "serve", "body_bytes", _COUNT, "Size of the body of one push."),
    Option("--limit.header-bytes", "serve", "limits.header_bytes", _COUNT, "Size of a request's line and headers."),
    Option(
        "--limit.header-time",
        "serve",
        "limits.header_seconds",
        _POSITIVE,
        "Time in which a request's line and headers, and a TLS handshake, must arrive.",
    ),
    Option(
        "--limit.connections",
        "serve",
        "limits.connections",
        _COUNT,
        "Connections open at once; above, idle ones make room for new ones.",
    ),
    Option(
        "--limit.subscribers",
        "serve",
        "limits.subscribers",
        _COUNT,
        "Clients that get live updates at once; fewer than connections, so that scrapes get in.",
    ),
    Option(
        "--storage.path",
        "serve",
        "storage",
        _Kind("FOLDER", checks.folder),
        "Folder in which counters outlive restarts and crashes; without one they begin at 0 again.",
        optional=True,
    ),
    Option(
        "--web.prometheus-url",
        "serve",
        "links.Prometheus",
        _URL,
        "Address of Prometheus, to which the page links.",
        optional=True,
    ),
    Option(
        "--web.grafana-url",
        "serve",
        "links.Grafana",
        _URL,
        "Address of Grafana, to which the page links.",
        optional=True,
    ),
    Option(
        "--log.level",
        "log",
        "level",
        _Kind("LEVEL", parsers.one_of(*logs.LEVELS, read=parsers.level)),
        f"Lowest level to log: {', '.join(logs.LEVELS)}.",
    ),
    Option(
        "--log.format",
        "log",
        "format",
        _Kind("FORMAT", parsers.one_of(*logs.FORMATS)),
        f"One of {', '.join(logs.FORMATS)}.",
    ),
    Option("--demo.seed", "demo", "seed", _NUMBER, "The same seed plays the same simulated streams."),
    Option("--demo.speed", "demo", "speed", _FACTOR, "Speed at which the recorded streams are played."),
)
