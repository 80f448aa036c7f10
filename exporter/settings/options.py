"""The options of a process, checked as a whole: ``serve()`` and the command line build the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import tzinfo
from typing import Any, TypedDict

from exporter.errors import SettingsError
from exporter.settings import values
from exporter.settings.address import Address
from exporter.store.validation import Limits


def _field(check: Callable[[Any], Any], **more: Any) -> Any:
    return field(metadata={"check": check}, **more)


def _check(options: Any) -> None:
    """Keep what the checks of the fields return; raises :class:`SettingsError`, which holds every mistake."""
    mistakes = []
    for each in fields(options):
        value = getattr(options, each.name)
        try:
            if value is not None or each.default is not None:
                object.__setattr__(options, each.name, each.metadata["check"](value))
        except (ValueError, TypeError) as problem:
            mistakes.append(f"{each.name}: {problem}")
    if mistakes:
        raise SettingsError(mistakes)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How much the web server takes on before it refuses.

    ``connections`` and live ``subscribers`` are counted at once; there are fewer of the latter, so that a scrape finds
    a place. ``header_bytes`` is the size of a request's line and headers, ``header_seconds`` what they, and before them
    the TLS handshake, may take to arrive. Raises :class:`~exporter.errors.SettingsError`.
    """

    # With what else is open, below the 1,024 files that many systems allow a process.
    connections: int = _field(values.count, default=512)
    subscribers: int = _field(values.count, default=256)
    header_bytes: int = _field(values.count, default=16 * 1024)
    header_seconds: float = _field(values.seconds, default=10.0)

    def __post_init__(self) -> None:
        _check(self)
        if self.subscribers >= self.connections:
            problem = f"{self.subscribers} live subscribers leave none of {self.connections} connections to scrapes"
            raise SettingsError([f"subscribers: {problem}"])


def _http_limits(value: object) -> HttpLimits:
    if value is not None and not isinstance(value, HttpLimits):
        raise TypeError(f"{value!r} is not HttpLimits")
    return value or HttpLimits()


class ServeKeywords(TypedDict, total=False):
    """The keywords of ``serve()``: the fields of :class:`ServeOptions` beside ``port`` and ``address``."""

    telemetry_path: str
    push_token: str | None
    body_bytes: int
    links: Mapping[str, str] | None
    web_config: str | os.PathLike[str] | None
    cors_origins: Iterable[str]
    limits: HttpLimits | None
    storage: str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How a server serves. Raises :class:`~exporter.errors.SettingsError`, which holds every mistake.

    ``port`` 0 is any free one, ``address`` ``""`` every address of the machine. ``telemetry_path`` is where Prometheus
    scrapes. A push must bring the ``push_token`` if there is one, and may hold ``body_bytes``. ``links`` are addresses
    that the page leads to, by the text of their links. ``web_config`` is a file that turns on TLS and passwords.
    Pages of ``cors_origins`` may read the numbers, those of every origin if it is ``["*"]``. ``storage`` is the folder
    in which counters outlive restarts.
    """

    port: int = _field(values.port, default=9309)
    address: str = _field(values.host, default="127.0.0.1")
    telemetry_path: str = _field(values.path, default="/metrics")
    push_token: str | None = _field(values.token, default=None, repr=False)
    body_bytes: int = _field(values.count, default=4 * 1024 * 1024)  # ten thousand streamers are a fourth of it
    links: Mapping[str, str] = _field(values.links, default_factory=dict)
    web_config: str | None = _field(values.file, default=None)
    cors_origins: tuple[str, ...] = _field(values.origins, default=())
    limits: HttpLimits = field(default_factory=HttpLimits, metadata={"check": _http_limits})
    storage: str | None = _field(values.folder, default=None)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def listen(self) -> Address:
        """Where to listen."""
        return Address(self.address, self.port)


@dataclass(frozen=True)
class StoreOptions:
    """The options of the store of a process."""

    limits: Limits
    trigger_types: tuple[str, ...]
    stale_after: float
    time_zone: tzinfo | None

    def keywords(self) -> dict[str, Any]:
        """What :meth:`SharedStats.create <exporter.store.shared.SharedStats.create>` takes."""
        return dict(vars(self))


@dataclass(frozen=True)
class LogOptions:
    """What is logged, and how."""

    level: str
    format: str


@dataclass(frozen=True)
class DemoOptions:
    """Which streams the demo plays."""

    seed: int
    speed: float
