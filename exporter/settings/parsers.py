"""Parsers of flags and variables. A parser returns the value, or raises ``ValueError`` with the problem."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Final

from exporter.settings import checks
from exporter.settings.address import Address

# Units and their order are Prometheus's: https://prometheus.io/docs/prometheus/latest/configuration/configuration/
_UNITS: Final = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION: Final = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))


def address(text: str) -> Address:
    """Parse ``host:port`` to an :class:`Address`."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not re.fullmatch(r"[0-9]{1,9}", port) or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not host:port, such as 127.0.0.1:9309, [::1]:9309 or :9309 for every address")
    try:
        checks.port(int(port))
    except ValueError as problem:
        raise ValueError(f"port {problem}") from None
    return Address(checks.host(host.strip("[]")), int(port))


def duration(text: str) -> float:
    """Parse a duration in Prometheus's notation to seconds; ``0`` is allowed."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 5m or 1h30m, or 0")
    return math.fsum(int(many or 0) * unit for many, unit in zip(match.groups(), _UNITS.values(), strict=True))


def duration_text(seconds: float) -> str:
    """Return seconds in the notation of :func:`duration`."""
    unit = next((unit for unit, size in _UNITS.items() if seconds >= size and seconds % size == 0), "s")
    return f"{seconds / _UNITS[unit]:g}{unit}" if seconds else "0"


def positive(text: str) -> float:
    """Parse a duration above 0 to seconds."""
    seconds = duration(text)
    if not seconds:
        raise ValueError(f"{text!r} is not a duration above 0, such as 10s")
    return seconds


def origins(text: str) -> tuple[str, ...]:
    """Parse web origins separated by commas, or ``*``."""
    return checks.origins(_listed(text))


def count(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(f"{text!r} is not a whole number of at least 1")
    return checks.count(int(text))


def integer(text: str) -> int:
    """Parse a whole number."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def factor(text: str) -> float:
    """Parse a number above 0."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) <= 0:
        raise ValueError(f"{text!r} is not a number above 0, such as 1 or 2.5")
    return float(text)


def names(text: str) -> tuple[str, ...]:
    """Parse names separated by commas."""
    found = _listed(text)
    if not all(found) or len(set(found)) != len(found) or "\N{REPLACEMENT CHARACTER}" in _utf8(text):
        raise ValueError(f"{text!r} is not a list of different names, in UTF-8 and separated by commas")
    return found


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",")) if text.strip() else ()


def _utf8(text: str) -> str:
    # Arguments and variables that are not valid UTF-8 reach Python as text that cannot be encoded.
    return text.encode(errors="surrogateescape").decode(errors="replace")


def zone(text: str) -> tzinfo | None:
    """Parse the name of a time zone; ``None`` means the machine's own."""
    if text == "local":
        return None
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - slow to import, rarely needed

    try:
        return ZoneInfo(text)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"{text!r} is neither local nor an IANA time zone such as Europe/Berlin") from None


def token_in(file: str) -> str:
    """Return the token in ``file``."""
    path = Path(checks.file(file))
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as problem:
        raise ValueError(f"{file} cannot be read ({problem.strerror})") from None
    except UnicodeDecodeError:
        token = "not ASCII"  # noqa: S105 # nosec B105 # no token has a space
    return checks.token(token)


def level(text: str) -> str:
    """Parse a log level in upper or lower case; ``warning`` means ``warn``."""
    lower = text.lower()
    return "warn" if lower == "warning" else lower


def one_of(*choices: str, read: Callable[[str], str] = str) -> Callable[[str], str]:
    """Return a parser that accepts one of ``choices``, after ``read`` has converted the text."""

    def parse(text: str) -> str:
        value = read(text)
        if value not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return value

    return parse
