"""Checks and parsers of option values.

Each function takes a value or its text, and returns the value to use, or raises ``ValueError`` with the problem. The
caller adds the name of the option to the message.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Final, TypeVar

from exporter import logs
from exporter.settings.address import Address

_T = TypeVar("_T")

# Units and their order are Prometheus's: https://prometheus.io/docs/prometheus/latest/configuration/configuration/
_UNITS: Final = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}


def _text(pattern: str, what: str, read: Callable[[str], _T]) -> Callable[[object], _T]:
    """Return a parser that accepts text of this pattern and converts it with ``read``."""

    def checked(value: object) -> _T:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not {what}")
        return read(value)

    return checked


def port(value: object) -> int:
    """Check a port; 0 means a free port."""
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a whole number")
    if not 0 <= value <= 65535:
        raise ValueError(f"{value} is {'below 0' if value < 0 else 'above 65535'}")
    return value


def host(value: object) -> str:
    """Check a host name or IP address to listen on; ``""`` means every address."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ValueError(f"{value!r} is not an IP address or host name")
    if ":" in value:
        try:
            ipaddress.IPv6Address(value)
        except ValueError:
            raise ValueError(f"{value!r} is not an IPv6 address (give the port separately)") from None
    return value


def _address(text: str) -> Address:
    name, _, number = text.rpartition(":")
    try:
        port(int(number))
    except ValueError as problem:
        raise ValueError(f"port {problem}") from None
    return Address(host(name.strip("[]")), int(number))


def _free_path(text: str) -> str:
    # Each file of the page has its own path at the root.
    page = {f"/{file.name}" for file in (resources.files("exporter") / "static").iterdir()}
    if re.match(r"/(-|api|socket\.io)(/|$)", text) or text in page:
        raise ValueError(f"{text!r} is the path of another route; choose a path such as /metrics")
    return text


def links(value: Mapping[str, str] | None) -> dict[str, str]:
    """Check the URLs of links, by their text; links without a URL are left out."""
    return {name: url(address) for name, address in (value or {}).items() if address}


def origins(value: str | Iterable[object]) -> tuple[str, ...]:
    """Check web origins, or ``*``; commas separate them in text."""
    found = _listed(value) if isinstance(value, str) else tuple(value)
    is_origin = re.compile(r"https?://[^\s/?#@,*]+").fullmatch
    if found != ("*",) and not all(isinstance(each, str) and is_origin(each) for each in found):
        given = ",".join(map(str, found))
        raise ValueError(f"{given!r} is not a list of origins such as https://grafana.example:3000, nor * for all")
    return tuple(map(str, found))


def names(text: str) -> tuple[str, ...]:
    """Parse names separated by commas."""
    found = _listed(text)
    # Python represents bytes of arguments and variables that are not UTF-8 as lone surrogates.
    if not all(found) or len(set(found)) != len(found) or re.search("[\ud800-\udfff]", text):
        raise ValueError(f"{text!r} is not a list of different names, in UTF-8 and separated by commas")
    return found


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",")) if text.strip() else ()


def file(value: object, kind: str = "file") -> str:
    """Check the name of a file, or of another ``kind`` of path."""
    name = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(name, str) or not name:
        raise ValueError(f"{value!r} does not name a {kind}")
    return name


def token(value: object) -> str:
    """Check the push token."""
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        # The token is a secret, so the message does not show it.
        raise ValueError("the token is not one word of printable ASCII characters")
    return value


def token_in(name: str) -> str:
    """Return the token in a file."""
    try:
        # Bytes that are not ASCII become a character that tokens cannot have.
        return token(Path(file(name)).read_text(encoding="ascii", errors="replace").strip())
    except OSError as problem:
        raise ValueError(f"{name} cannot be read ({problem.strerror})") from None


def count(value: object) -> int:
    """Check a whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is not a whole number of at least 1")
    return value


def seconds(value: object) -> float:
    """Check a number of seconds above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} is not a number of seconds above 0")
    return value


def _duration(text: str) -> float:
    return math.fsum(int(many) * _UNITS[unit] for many, unit in re.findall(r"(\d+)([a-z]+)", text))


def positive(text: str) -> float:
    """Parse a duration above 0 to seconds."""
    found = duration(text)
    if not found:
        raise ValueError(f"{text!r} is not a duration above 0, such as 10s")
    return found


def zone(text: str) -> tzinfo | None:
    """Parse the name of a time zone; ``None`` means the machine's own."""
    if text == "local":
        return None
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - slow to import, rarely needed

    try:
        return ZoneInfo(text)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"{text!r} is neither local nor an IANA time zone such as Europe/Berlin") from None


address: Final = _text(
    r"(\[.*\]|[^:]*):[0-9]{1,9}",
    "host:port, such as 127.0.0.1:9309, [::1]:9309 or :9309 for every address",
    _address,
)
path: Final = _text(r"/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-]", "a path such as /metrics", _free_path)
url: Final = _text(r"https?://[^\s\"'<>]+", "a URL that begins with http:// or https://", str)
folder: Final = partial(file, kind="folder")
counted: Final = _text(r"[0-9]{1,12}", "a whole number of at least 1", lambda text: count(int(text)))
integer: Final = _text(r"-?[0-9]{1,18}", "a whole number", int)
factor: Final = _text(r"(?=.*[1-9])[0-9]{1,6}(\.[0-9]{1,6})?", "a number above 0, such as 1 or 2.5", float)
duration: Final = _text(
    "0|(?=.)" + "".join(f"([0-9]{{1,9}}{unit})?" for unit in _UNITS),
    "a duration such as 90s, 5m or 1h30m, or 0",
    _duration,
)
level: Final = _text(
    rf"(?ai:{'|'.join(logs.LEVELS)}|warning)",
    f"one of {', '.join(logs.LEVELS)}",
    lambda text: text.lower().replace("warning", "warn"),
)
log_format: Final = _text("|".join(logs.FORMATS), f"one of {', '.join(logs.FORMATS)}", str)
