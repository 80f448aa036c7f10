"""Checks of option values. A check returns the value to use, or raises ``ValueError`` with the problem.

The parsers of flags and variables use these checks, and so does :class:`~exporter.settings.options.ServeOptions` for
the keywords of ``serve()``. The caller adds the name of the option to the message.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Final

_ORIGIN: Final = re.compile(r"https?://[^\s/?#@,*]+")
_URL: Final = re.compile(r"https?://[^\s\"'<>]+")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-]")
_RESERVED: Final = re.compile(r"/(-|api|socket\.io)(/|$)")


def count(value: object) -> int:
    """Check a whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is not a whole number of at least 1")
    return value


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


def path(value: object) -> str:
    """Check the path of scrapes, which must differ from all other routes."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError(f"{value!r} is not a path such as /metrics")
    # Each file of the page has its own path at the root.
    page = {f"/{file.name}" for file in (resources.files("exporter") / "static").iterdir()}
    if _RESERVED.match(value) or value in page:
        raise ValueError(f"{value!r} is the path of another route; choose a path such as /metrics")
    return value


def url(value: object) -> str:
    """Check a URL."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise ValueError(f"{value!r} is not a URL that begins with http:// or https://")
    return value


def links(value: Mapping[str, str]) -> dict[str, str]:
    """Check the URLs of links, by their text; links without a URL are left out."""
    return {name: url(address) for name, address in value.items() if address}


def origins(value: Iterable[object]) -> tuple[str, ...]:
    """Check web origins, or ``*``."""
    found = tuple(value)
    texts = tuple(each for each in found if isinstance(each, str))
    if found != ("*",) and not all(isinstance(each, str) and _ORIGIN.fullmatch(each) for each in found):
        given = ",".join(map(str, found))
        raise ValueError(f"{given!r} is not a list of origins such as https://grafana.example:3000, nor * for all")
    return texts


def folder(value: object) -> str:
    """Check the name of a folder."""
    return _name_of("folder", value)


def file(value: object) -> str:
    """Check the name of a file."""
    return _name_of("file", value)


def _name_of(kind: str, value: object) -> str:
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


def below_connections(subscribers: int, connections: int) -> int:
    """Check that live subscribers leave connections for scrapes."""
    if subscribers >= connections:
        raise ValueError(f"{subscribers} live subscribers leave no connection for scrapes (connections: {connections})")
    return subscribers
