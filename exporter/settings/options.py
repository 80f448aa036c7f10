"""The options of each part; ``serve()`` and the command line build and check the same."""

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
    """Replace the fields of frozen ``options`` with the checked values; raises :class:`SettingsError`."""
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
    """The limits of the web server.

    ``connections`` and live ``subscribers`` may be open at once; subscribers must be fewer, so that scrapes get a
    connection. ``header_bytes`` limits the request line and headers, ``header_seconds`` the time for them and for the
    TLS handshake. Raises :class:`~exporter.errors.SettingsError`.
    """

    # With other open files, below the limit of 1,024 per process that many systems have.
    connections: int = _field(values.count, default=512)
    subscribers: int = _field(values.count, default=256)
    header_bytes: int = _field(values.count, default=16 * 1024)
    header_seconds: float = _field(values.seconds, default=10.0)

    def __post_init__(self) -> None:
        _check(self)
        if self.subscribers >= self.connections:
            problem = f"leave no connection for scrapes (connections: {self.connections})"
            raise SettingsError([f"subscribers: {self.subscribers} live subscribers {problem}"])


def _http_limits(value: object) -> HttpLimits:
    if value is not None and not isinstance(value, HttpLimits):
        raise TypeError(f"{value!r} is not HttpLimits")
    return value or HttpLimits()


class ServeKeywords(TypedDict, total=False):
    """The keywords of ``serve()``: the fields of :class:`ServeOptions` except ``port`` and ``address``."""

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
    """The options of a server. Raises :class:`~exporter.errors.SettingsError` with all mistakes.

    ``port`` 0 means a free port, ``address`` ``""`` every address of the machine. ``telemetry_path`` is the path that
    Prometheus scrapes. If ``push_token`` is set, pushes must send it; their bodies may have ``body_bytes`` at most.
    ``links`` are URLs shown on the page, by their text. ``web_config`` is a file that turns on TLS and passwords.
    Pages of ``cors_origins`` may read the numbers, or pages of every origin if it is ``["*"]``. ``storage`` is a folder
    that keeps counters across restarts.
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
    """The options of the process's store."""

    limits: Limits
    trigger_types: tuple[str, ...]
    stale_after: float
    time_zone: tzinfo | None

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of :meth:`SharedStats.create <exporter.store.shared.SharedStats.create>`."""
        return dict(vars(self))


@dataclass(frozen=True)
class LogOptions:
    """The options of the log."""

    level: str
    format: str


@dataclass(frozen=True)
class DemoOptions:
    """The options of the demo."""

    seed: int
    speed: float
