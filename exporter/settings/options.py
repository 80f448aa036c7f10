"""How a server serves: the options that ``serve()`` and the command line both build, checked as a whole."""

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
    """Check the fields of frozen ``options`` and keep what the checks return; returns the mistakes."""
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
    """How much the web server takes on before it refuses.

    ``connections`` and live ``subscribers`` are counted at once; there are fewer of the latter, so that a scrape finds
    a place. ``header_bytes`` is the size of a request's line and headers, ``header_seconds`` what they, and before them
    the TLS handshake, may take to arrive. Raises :class:`~exporter.errors.SettingsError`.
    """

    connections: int = 512  # with what else is open, below the 1,024 files that many systems allow a process
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
    """The keywords of ``serve()``: the fields of :class:`ServeOptions` beside ``port`` and ``address``."""

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
    """How a server serves. Raises :class:`~exporter.errors.SettingsError`, which holds every mistake.

    ``port`` 0 is any free one, ``address`` ``""`` every address of the machine. ``telemetry_path`` is where Prometheus
    scrapes. A push must bring the ``push_token`` if there is one, and may hold ``body_bytes``. ``links`` are addresses
    that the page leads to, by the text of their links. ``web_config`` is a file that turns on TLS and passwords.
    Pages of ``cors_origins`` may read the numbers, those of every origin if it is ``["*"]``. ``storage`` is the folder
    in which counters outlive restarts.
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
