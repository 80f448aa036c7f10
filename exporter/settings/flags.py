"""The table of flags: each command-line option with its environment variable, declared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from exporter import logs
from exporter.settings import values
from exporter.settings.options import HttpLimits, ServeOptions
from exporter.store.shared import TRIGGER_TYPES
from exporter.store.validation import Limits

PREFIX: Final = "CLIPPER_EXPORTER_"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a part: ``serve``, ``store``, ``log`` or ``demo``.

    It sets a field of the part, or ``field.key``. Without a ``default``, an empty variable counts as not set.
    """

    flag: str
    metavar: str
    variable: str
    part: str
    sets: str
    parse: Callable[[str], Any]
    default: str | None
    help: str

    @property
    def value(self) -> Any:
        """The value of the default."""
        return None if self.default is None else self.parse(self.default)


def _option(usage: str, field: str, parse: Callable[[str], Any], default: object = None) -> Callable[[str], Option]:
    flag, metavar = usage.split()
    variable = PREFIX + flag.removeprefix("--").upper().replace(".", "_").replace("-", "_")
    part, _, sets = field.partition(".")
    text = None if default is None else str(default)
    return partial(Option, flag, metavar, variable, part, sets, parse, text)


_SERVE: Final = ServeOptions()
_HTTP: Final = HttpLimits()
_STORE: Final = Limits()

TABLE: Final = (
    _option("--web.listen-address HOST:PORT", "serve.listen", values.address, _SERVE.listen)(
        "Address to listen on; with port 0, a port that is free."
    ),
    _option("--web.telemetry-path PATH", "serve.telemetry_path", values.path, _SERVE.telemetry_path)(
        "Path that Prometheus scrapes."
    ),
    _option("--web.config.file FILE", "serve.web_config", values.file)(
        "File that turns on TLS and passwords, in the format of Prometheus's own exporters."
    ),
    _option("--web.cors-origin ORIGINS", "serve.cors_origins", values.origins, "")(
        "Origins, separated by commas, whose pages may read the numbers; * for all."
    ),
    _option("--stats.trigger-types NAMES", "store.trigger_types", values.names, ",".join(TRIGGER_TYPES))(
        "Trigger types whose counters start at 0, so that increase() sees the first event."
    ),
    _option("--stats.stale-after DURATION", "store.stale_after", values.duration, "5m")(
        "Time without an update after which a streamer is dropped; 0 for never."
    ),
    _option("--stats.time-zone ZONE", "store.time_zone", values.zone, "local")(
        "Time zone whose midnight sets the clips of today to 0."
    ),
    _option("--limit.streamers N", "store.limits.streamers", values.counted, _STORE.streamers)(
        "Streamers held at once."
    ),
    _option("--limit.trigger-types N", "store.limits.trigger_types", values.counted, _STORE.trigger_types)(
        "Trigger types known at once."
    ),
    _option("--limit.name-length N", "store.limits.name_length", values.counted, _STORE.name_length)(
        "Characters in a streamer's or type's name."
    ),
    _option("--limit.details-bytes N", "store.limits.details_bytes", values.counted, _STORE.details_bytes)(
        "Size of a trigger's details as JSON."
    ),
    _option("--push.token-file FILE", "serve.push_token", values.token_in)(
        "File with the token that a push must bring; without one only this machine may push."
    ),
    _option("--limit.body-bytes N", "serve.body_bytes", values.counted, _SERVE.body_bytes)(
        "Size of the body of one push."
    ),
    _option("--limit.header-bytes N", "serve.limits.header_bytes", values.counted, _HTTP.header_bytes)(
        "Size of a request's line and headers."
    ),
    _option("--limit.header-time DURATION", "serve.limits.header_seconds", values.positive, "10s")(
        "Time in which a request's line and headers, and a TLS handshake, must arrive."
    ),
    _option("--limit.connections N", "serve.limits.connections", values.counted, _HTTP.connections)(
        "Connections open at once; above, idle ones make room for new ones."
    ),
    _option("--limit.subscribers N", "serve.limits.subscribers", values.counted, _HTTP.subscribers)(
        "Clients that get live updates at once; fewer than connections, so that scrapes get in."
    ),
    _option("--storage.path FOLDER", "serve.storage", values.folder)(
        "Folder in which counters outlive restarts and crashes; without one they begin at 0 again."
    ),
    _option("--web.prometheus-url URL", "serve.links.Prometheus", values.url)(
        "Address of Prometheus, to which the page links."
    ),
    _option("--web.grafana-url URL", "serve.links.Grafana", values.url)("Address of Grafana, to which the page links."),
    _option("--log.level LEVEL", "log.level", values.level, "info")(f"Lowest level to log: {', '.join(logs.LEVELS)}."),
    _option("--log.format FORMAT", "log.format", values.log_format, "logfmt")(f"One of {', '.join(logs.FORMATS)}."),
    _option("--demo.seed N", "demo.seed", values.integer, 4)("The same seed plays the same simulated streams."),
    _option("--demo.speed FACTOR", "demo.speed", values.factor, 1)("Speed at which the recorded streams are played."),
)
