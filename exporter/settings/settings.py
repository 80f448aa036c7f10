"""Settings: every flag and environment variable, declared once, read and validated together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Final

from exporter import logs
from exporter.errors import SettingsError
from exporter.settings import environment
from exporter.settings.parsers import (
    Address,
    address,
    count,
    duration,
    factor,
    names,
    one_of,
    origins,
    path,
    positive,
    url,
    whole,
    zone,
)
from exporter.store.shared import TRIGGER_TYPES
from exporter.store.validation import Limits
from exporter.web.limits import BODY_BYTES, HttpLimits

if TYPE_CHECKING:
    from exporter.security.reload import WebFile

_LIMITS: Final = Limits()
_HTTP: Final = HttpLimits()


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as a person writes it: ``parse`` turns the text into the value or says what was expected."""

    flag: str
    default: str
    metavar: str
    help: str
    parse: Callable[[str], Any]
    demo_only: bool = False

    @property
    def variable(self) -> str:
        """The environment variable: the flag in capitals, with underscores."""
        return environment.PREFIX + self.flag.removeprefix("--").upper().replace(".", "_").replace("-", "_")


def _setting(
    flag: str, default: str, metavar: str, help_text: str, parse: Callable[[str], Any], *, demo_only: bool = False
) -> Any:
    option = Option(flag, default, metavar, help_text, parse, demo_only)
    return dataclasses.field(default=parse(default), metadata={"option": option})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be chosen, valid as a whole."""

    listen_address: Address = _setting(
        "--web.listen-address",
        "127.0.0.1:9309",
        "HOST:PORT",
        "Where to listen; port 0 takes a free one.",
        address,
    )
    telemetry_path: str = _setting("--web.telemetry-path", "/metrics", "PATH", "Where Prometheus scrapes.", path)
    web_config_file: str = _setting(
        "--web.config.file",
        "",
        "FILE",
        "File that turns on TLS and passwords, in the format of Prometheus's own exporters.",
        str,
    )
    cors_origins: tuple[str, ...] = _setting(
        "--web.cors-origin",
        "",
        "ORIGINS",
        "Origins, separated by commas, whose pages may read the numbers; * for all.",
        origins,
    )
    trigger_types: tuple[str, ...] = _setting(
        "--stats.trigger-types",
        ",".join(TRIGGER_TYPES),
        "NAMES",
        "Trigger types whose counters start at 0, so that increase() sees the first event.",
        names,
    )
    stale_after: float = _setting(
        "--stats.stale-after",
        "5m",
        "DURATION",
        "Drop a streamer that nothing has updated for this long; 0 for never.",
        duration,
    )
    time_zone: tzinfo | None = _setting(
        "--stats.time-zone", "local", "ZONE", "Whose midnight sets the clips of today to 0.", zone
    )
    max_streamers: int = _setting("--limit.streamers", str(_LIMITS.streamers), "N", "Streamers held at once.", count)
    max_trigger_types: int = _setting(
        "--limit.trigger-types", str(_LIMITS.trigger_types), "N", "Trigger types known at once.", count
    )
    max_name_length: int = _setting(
        "--limit.name-length",
        str(_LIMITS.name_length),
        "N",
        "Characters in a streamer's or type's name.",
        count,
    )
    max_details_bytes: int = _setting(
        "--limit.details-bytes",
        str(_LIMITS.details_bytes),
        "N",
        "Size of a trigger's details as JSON.",
        count,
    )
    push_token_file: str = _setting(
        "--push.token-file",
        "",
        "FILE",
        "File with the token that whoever pushes must give; without one only this machine may push.",
        str,
    )
    max_body_bytes: int = _setting("--limit.body-bytes", str(BODY_BYTES), "N", "Size of the body of one push.", count)
    max_header_bytes: int = _setting(
        "--limit.header-bytes", str(_HTTP.header_bytes), "N", "Size of a request's line and headers.", count
    )
    header_seconds: float = _setting(
        "--limit.header-time",
        f"{_HTTP.header_seconds:.0f}s",
        "DURATION",
        "Time in which a request's line and headers, and a TLS handshake, must arrive.",
        positive,
    )
    max_connections: int = _setting(
        "--limit.connections",
        str(_HTTP.connections),
        "N",
        "Connections open at once; above, idle ones make room for new ones.",
        count,
    )
    max_subscribers: int = _setting(
        "--limit.subscribers",
        str(_HTTP.subscribers),
        "N",
        "Clients that live updates are pushed to at once; fewer than connections, so that scrapes get in.",
        count,
    )
    storage_path: str = _setting(
        "--storage.path",
        "",
        "FOLDER",
        "Folder in which counters outlive restarts and crashes; without one they begin at 0 again.",
        str,
    )
    prometheus_url: str = _setting("--web.prometheus-url", "", "URL", "Where the page's link to Prometheus leads.", url)
    grafana_url: str = _setting("--web.grafana-url", "", "URL", "Where the page's link to Grafana leads.", url)
    log_level: str = _setting(
        "--log.level",
        "info",
        "LEVEL",
        f"Lowest level to log: {', '.join(logs.LEVELS)}.",
        one_of(*logs.LEVELS),
    )
    log_format: str = _setting(
        "--log.format", "logfmt", "FORMAT", f"One of {', '.join(logs.FORMATS)}.", one_of(*logs.FORMATS)
    )
    demo_seed: int = _setting(
        "--demo.seed", "4", "N", "The same seed plays the same simulated streams.", whole, demo_only=True
    )
    demo_speed: float = _setting(
        "--demo.speed", "1", "FACTOR", "How fast the recorded streams are played.", factor, demo_only=True
    )

    @property
    def limits(self) -> Limits:
        """The limits of the store."""
        return Limits(
            streamers=self.max_streamers,
            trigger_types=self.max_trigger_types,
            name_length=self.max_name_length,
            details_bytes=self.max_details_bytes,
        )

    @property
    def http_limits(self) -> HttpLimits:
        """The limits of the web server."""
        return HttpLimits(
            connections=self.max_connections,
            subscribers=self.max_subscribers,
            header_bytes=self.max_header_bytes,
            header_seconds=self.header_seconds,
        )

    @property
    def store_options(self) -> dict[str, Any]:
        """What ``SharedStats.create`` takes."""
        return {
            "limits": self.limits,
            "trigger_types": self.trigger_types,
            "stale_after": self.stale_after,
            "time_zone": self.time_zone,
        }

    def push_token(self) -> str | None:
        """Read the token from its file, if one is named; raises :class:`~exporter.errors.SettingsError`."""
        return environment.read_token("--push.token-file", self.push_token_file)

    def web_config(self) -> WebFile | None:
        """Read the web configuration, if a file is named; raises :class:`~exporter.errors.SettingsError`."""
        if not self.web_config_file:
            return None
        from exporter.security.reload import WebFile  # noqa: PLC0415 - what it needs is of no use without a file

        return WebFile(self.web_config_file)

    @classmethod
    def read(cls, flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
        """Read the settings from ``flags`` (text by flag), then ``environ``, then the defaults.

        Raises :class:`~exporter.errors.SettingsError`, which holds every mistake.
        """
        settings, mistakes = cls.read_what_is_right(flags, environ)
        if mistakes:
            raise SettingsError(mistakes)
        return settings

    @classmethod
    def read_what_is_right(
        cls, flags: Mapping[str, str], environ: Mapping[str, str]
    ) -> tuple[Settings, tuple[str, ...]]:
        """Read the settings, and the mistakes, in whose place the defaults stand."""
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for field, option in options().items():
            for source, given in (
                (option.flag, flags.get(option.flag)),
                (option.variable, environ.get(option.variable)),
            ):
                if given is None:
                    continue
                try:
                    values[field] = option.parse(given)
                except ValueError as problem:
                    mistakes.append(f"{source}: expected {problem}, got {given!r}")
                break
        contradictions = _contradictions(cls(**values))
        if contradictions:
            values = {field: value for field, value in values.items() if field not in _TOGETHER}
        return cls(**values), (*mistakes, *contradictions)


_TOGETHER: Final = ("trigger_types", "max_trigger_types", "max_name_length", "max_connections", "max_subscribers")


def _contradictions(settings: Settings) -> list[str]:
    """The mistakes that no setting makes alone."""
    mistakes = []
    given, limit = len(settings.trigger_types), settings.max_trigger_types
    if given > limit:
        mistakes.append(f"--stats.trigger-types: expected at most {limit} names (--limit.trigger-types), got {given}")
    mistakes += [
        f"--stats.trigger-types: expected names of at most {settings.max_name_length} characters, got {name!r}"
        for name in settings.trigger_types
        if len(name) > settings.max_name_length
    ]
    if settings.max_subscribers >= settings.max_connections:
        mistakes.append(
            f"--limit.subscribers: expected fewer than --limit.connections ({settings.max_connections}),"
            f" got {settings.max_subscribers}"
        )
    return mistakes


def options() -> dict[str, Option]:
    """Every option by the field of :class:`Settings` that it sets, in the order of ``--help``."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(Settings)}


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """The variables that begin as ours do and mean nothing: most likely misspelt."""
    known = {option.variable for option in options().values()} | environment.WITHOUT_FLAG
    return sorted(name for name in environ if name.startswith(environment.PREFIX) and name not in known)
