"""The options of a server, built and checked by ``serve()`` and the command line alike."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from exporter.errors import SettingsError
from exporter.settings import checks, parsers
from exporter.settings.address import Address

_BODY_BYTES: Final = 4 * 1024 * 1024  # a batch of ten thousand streamers is a fourth of it


def _checked(options: Any, by_field: Mapping[str, Callable[[Any], Any]]) -> list[str]:
    """Replace the fields of frozen ``options`` with the checked values; returns the mistakes."""
    mistakes = []
    for name, check in by_field.items():
        try:
            object.__setattr__(options, name, check(getattr(options, name)))
        except (ValueError, TypeError) as problem:
            mistakes.append(f"{name}: {problem}")
    return mistakes


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is not a number of seconds above 0")
    return value


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The limits of the web server.

    ``connections`` and live ``subscribers`` may be open at once; subscribers must be fewer, so that scrapes get a
    connection. ``header_bytes`` limits the request line and headers, ``header_seconds`` the time for them and for the
    TLS handshake. Raises :class:`~exporter.errors.SettingsError`.
    """

    connections: int = 512  # with other open files, below the limit of 1,024 per process that many systems have
    subscribers: int = 256
    header_bytes: int = 16 * 1024
    header_seconds: float = 10.0

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("connections", "subscribers", "header_bytes"), checks.count)
        mistakes = _checked(self, {**counts, "header_seconds": _seconds})
        if not mistakes:
            mistakes = _checked(self, {"subscribers": lambda value: checks.below_connections(value, self.connections)})
        if mistakes:
            raise SettingsError(mistakes)


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


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def _limits(value: object) -> HttpLimits:
    if not isinstance(value, HttpLimits):
        raise TypeError(f"{value!r} is not HttpLimits")
    return value


_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "port": checks.port,
    "address": checks.host,
    "telemetry_path": checks.path,
    "push_token": _or_none(checks.token),
    "body_bytes": checks.count,
    "links": lambda value: checks.links(value or {}),
    "web_config": _or_none(checks.file),
    "cors_origins": lambda value: parsers.origins(value) if isinstance(value, str) else checks.origins(value),
    "limits": lambda value: HttpLimits() if value is None else _limits(value),
    "storage": _or_none(checks.folder),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of a server. Raises :class:`~exporter.errors.SettingsError` with all mistakes.

    ``port`` 0 means a free port, ``address`` ``""`` every address of the machine. ``telemetry_path`` is the path that
    Prometheus scrapes. If ``push_token`` is set, pushes must send it; their bodies may have ``body_bytes`` at most.
    ``links`` are URLs shown on the page, by their text. ``web_config`` is a file that turns on TLS and passwords.
    Pages of ``cors_origins`` may read the numbers, or pages of every origin if it is ``["*"]``. ``storage`` is a folder
    that keeps counters across restarts.
    """

    port: int = 9309
    address: str = "127.0.0.1"
    telemetry_path: str = "/metrics"
    push_token: str | None = field(default=None, repr=False)
    body_bytes: int = _BODY_BYTES
    links: Mapping[str, str] = field(default_factory=dict)
    web_config: str | None = None
    cors_origins: tuple[str, ...] = ()
    limits: HttpLimits = field(default_factory=HttpLimits)
    storage: str | None = None

    def __post_init__(self) -> None:
        mistakes = _checked(self, _CHECKS)
        if mistakes:
            raise SettingsError(mistakes)

    @property
    def listen(self) -> Address:
        """Where to listen."""
        return Address(self.address, self.port)


FIELDS: Final = frozenset(each.name for each in dataclasses.fields(ServeOptions))
