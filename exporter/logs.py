"""Logging: the formats of the command line, and a rate limit for repeated problems."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

FORMATS: Final = ("logfmt", "json")
LEVELS: Final = ("debug", "info", "warn", "error")


class RateLimited:
    """Logs each kind of problem at most once in ``every`` seconds, with the number of lines left out.

    A clipper that passes an invalid number may do so thousands of times a minute, and its log must stay readable. Takes
    no lock, because a signal handler may interrupt its own thread in here. A race only logs a line too many.
    """

    def __init__(
        self, logger: logging.Logger, every: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._every = every
        self._clock = clock
        self._logged: dict[str, tuple[float, int]] = {}

    def warning(self, kind: str, message: str) -> None:
        """Log ``message``, unless its ``kind`` was logged less than ``every`` seconds ago."""
        now = self._clock()
        last, untold = self._logged.get(kind, (-self._every, 0))
        if now - last < self._every:
            self._logged[kind] = (last, untold + 1)
            return
        self._logged[kind] = (now, 0)
        if untold:
            message += f" ({untold} more of this kind since the last such line)"
        self._logger.warning("%s", message)


class _Formatter(logging.Formatter):
    """One line per record with the keys that Prometheus's own programs use: ts, level, logger, msg."""

    def __init__(self, encode: Callable[[dict[str, str]], str]) -> None:
        super().__init__()
        self._encode = encode

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return self._encode(fields)


def _logfmt(fields: dict[str, str]) -> str:
    # Quotes a value, with newlines escaped, unless it is one plain word, so that a record is always one line.
    def quoted(value: str) -> str:
        plain = value.isascii() and value.isprintable() and not set(value) & set(' ="\\')
        return value if plain and value else json.dumps(value, ensure_ascii=True)

    return " ".join(f"{key}={quoted(value)}" for key, value in fields.items())


def configure(level: str, style: str) -> None:
    """Send records of ``level`` (of :data:`LEVELS`) and above to standard error in ``style`` (of :data:`FORMATS`)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(_logfmt if style == "logfmt" else json.dumps))
    logging.basicConfig(level=level.upper().replace("WARN", "WARNING"), handlers=[handler], force=True)
