"""What the value of an option may be. A check returns the value to keep, or raises ``ValueError`` with the problem.

Both doors use these checks: the parsers of flags and variables, and :class:`~exporter.settings.options.ServeOptions`
for the keywords of ``serve()``. The caller names the option; the check says what is wrong with the value.
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
_TAKEN: Final = re.compile(r"/(-|api|socket\.io)(/|$)")


def count(value: object) -> int:
    """Check a whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is not a whole number of at least 1")
    return value


def port(value: object) -> int:
    """Check a port; 0 is any free one."""
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a whole number")
    if not 0 <= value <= 65535:
        raise ValueError(f"{value} is {'below 0' if value < 0 else 'above 65535'}")
    return value


def host(value: object) -> str:
    """Check the name or the IP address of this machine; ``""`` is every address."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ValueError(f"{value!r} is not an IP address or the name of a host")
    if ":" in value:
        try:
            ipaddress.IPv6Address(value)
        except ValueError:
            raise ValueError(f"{value!r} is not an IPv6 address, and a port does not belong here") from None
    return value


def path(value: object) -> str:
    """Check the path of scrapes: no other route may have it."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError(f"{value!r} is not a path such as /metrics")
    # The page loads its files from beside itself; each has a path of its own.
    page = {f"/{file.name}" for file in (resources.files("exporter") / "static").iterdir()}
    if _TAKEN.match(value) or value in page:
        raise ValueError(f"{value!r} is taken by another route: choose a path such as /metrics")
    return value


def url(value: object) -> str:
    """Check an address of the web."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise ValueError(f"{value!r} is not an address that begins with http:// or https://")
    return value


def links(value: Mapping[str, str]) -> dict[str, str]:
    """Check addresses of the web by the text of their links; one without an address is left out."""
    return {name: url(address) for name, address in value.items() if address}


def origins(value: Iterable[object]) -> tuple[str, ...]:
    """Check origins of the web, or ``*``."""
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
    """Check the token that a push must bring."""
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        # The message leaves the token out: it is a secret.
        raise ValueError("the token is not one word of printable ASCII characters")
    return value


def below_connections(subscribers: int, connections: int) -> int:
    """Check that live subscribers leave a connection to scrapes."""
    if subscribers >= connections:
        raise ValueError(f"{subscribers} live subscribers leave none of {connections} connections to scrapes")
    return subscribers
