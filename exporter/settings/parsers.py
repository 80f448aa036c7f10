"""From the text of a flag or a variable to its value. Each parser raises ``ValueError`` that says what was expected."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

# Units and their order are Prometheus's: https://prometheus.io/docs/prometheus/latest/configuration/configuration/
_UNITS: Final = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION: Final = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))
_ORIGIN: Final = re.compile(r"https?://[^\s/?#@,*]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; an empty ``host`` is every address of the machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def near(self) -> Address:
        """The address that leads from this machine to whoever listens on this one."""
        with suppress(ValueError):  # a name is as good from here as from elsewhere
            if not self.host or ipaddress.ip_address(self.host).is_unspecified:
                return Address("::1" if ":" in self.host else "127.0.0.1", self.port)
        return self


def address(text: str) -> Address:
    """``host:port``, as :class:`Address`."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535 or (":" in host and not bracketed):
        raise ValueError("host:port, such as 127.0.0.1:9309, [::1]:9309 or :9309 for every address")
    return Address(host.strip("[]"), int(port))


def path(text: str) -> str:
    """A path of ours that no other route has."""
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-]", text) or re.match(r"/(-|api|socket\.io)(/|$)", text):
        raise ValueError("a path such as /metrics, and not under /-, /api or /socket.io, which are taken")
    return text


def url(text: str) -> str:
    """An address of the web, or nothing."""
    if text and not re.fullmatch(r"https?://[^\s\"'<>]+", text):
        raise ValueError("an address that begins with http:// or https://")
    return text


def duration(text: str) -> float:
    """A duration as Prometheus writes it, in seconds; 0 is one."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if not text or match is None:
        raise ValueError("a duration such as 90s, 5m or 1h30m, or 0")
    return math.fsum(int(many or 0) * unit for many, unit in zip(match.groups(), _UNITS.values(), strict=True))


def positive(text: str) -> float:
    """A duration above 0, in seconds."""
    seconds = duration(text)
    if not seconds:
        raise ValueError("a duration above 0, such as 10s")
    return seconds


def origins(text: str) -> tuple[str, ...]:
    """Origins of the web, or ``*``, separated by commas."""
    found = _listed(text)
    if found != ("*",) and not all(_ORIGIN.fullmatch(origin) for origin in found):
        raise ValueError("origins such as https://grafana.example:3000, separated by commas, or * for all")
    return found


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < 1:
        raise ValueError("a whole number of at least 1")
    return int(text)


def whole(text: str) -> int:
    """A whole number."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("a whole number")
    return int(text)


def factor(text: str) -> float:
    """A number above 0."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) <= 0:
        raise ValueError("a number above 0, such as 1 or 2.5")
    return float(text)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    found = _listed(text)
    if not all(found) or len(set(found)) != len(found) or "\N{REPLACEMENT CHARACTER}" in _utf8(text):
        raise ValueError("names separated by commas, none empty, none twice, in UTF-8")
    return found


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",")) if text.strip() else ()


def _utf8(text: str) -> str:
    # Arguments and variables that are not valid UTF-8 reach Python as text that cannot be encoded.
    return text.encode(errors="surrogateescape").decode(errors="replace")


def zone(text: str) -> tzinfo | None:
    """A time zone; ``None`` is the machine's own."""
    if text == "local":
        return None
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - slow to import, and few name a zone

    try:
        return ZoneInfo(text)
    except (OSError, ValueError, LookupError):
        raise ValueError("local, or a name of the IANA time zone database such as Europe/Berlin") from None


def one_of(*choices: str) -> Callable[[str], str]:
    """Make the parser of one of ``choices``."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return parse
