"""The web configuration file: TLS, passwords and headers, in the format of Prometheus's own exporters.

Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. Options that Python's
``ssl`` or this server does not support are refused, never ignored. No message shows a hash or a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.errors import SettingsError, shown
from exporter.security.tls import CIPHERS, CLIENT_AUTH, CURVES, TLS13_CIPHERS, VERSIONS, Tls, TlsConfig, load

_HASH: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_ANY_HASH: Final = re.compile(r"'?\$2[abxy]?\$[./$A-Za-z0-9]*'?")  # or a part of one
_MAPPING: Final = "tag:yaml.org,2002:map"


class _Secret(ValueError):
    """A mistake whose message must not show the value."""


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A valid web configuration: ``headers`` of every response, ``users`` as bcrypt hashes by name."""

    tls_config: TlsConfig | None = None
    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def parse(text: str | bytes, folder: Path, loading: Callable[[list[Path]], None] | None = None) -> WebConfig:
    """Parse a web configuration; paths in it are relative to ``folder``.

    ``loading`` is called with the files that it names, just before they are read. Raises
    :class:`~exporter.errors.SettingsError` with all mistakes, including those in the certificates.
    """
    mistakes: list[str] = []
    sections = _section("", _yaml(text), _SECTIONS, mistakes)
    given = _section("tls_server_config", sections.get("tls_server_config", {}), _TLS, mistakes)
    tls_config = _tls_config(given, _missing(sections.get("tls_server_config")), folder, mistakes)
    if tls_config is not None and loading is not None:
        loading(tls_config.files)
    tls = load(tls_config, mistakes) if tls_config is not None else None
    server = _section("http_server_config", sections.get("http_server_config", {}), _HTTP, mistakes)
    headers = _section("http_server_config.headers", server.get("headers", {}), _HEADERS, mistakes)
    users = _users(sections.get("basic_auth_users", {}), mistakes)
    if mistakes:
        raise _refusal(mistakes)
    return WebConfig(tls_config, tls, headers, users)


def asks_for_tls(text: str | bytes) -> bool:
    """Return whether a web configuration turns on TLS, valid or not.

    Raises :class:`~exporter.errors.SettingsError` if it is not YAML.
    """
    sections = _section("", _yaml(text), _SECTIONS, [])
    return bool(_section("tls_server_config", sections.get("tls_server_config"), _TLS, []))


class _Loader(yaml.SafeLoader):
    """Loads plain YAML and refuses duplicate keys."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    keys = [loader.construct_object(key) for key, _ in node.value]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            place = node.value[number][0].start_mark
            raise yaml.MarkedYAMLError(problem=f"duplicate key {shown(key)}", problem_mark=place)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(_MAPPING, _mapping)


def _yaml(text: str | bytes) -> object:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 # nosec B506 # _Loader is a SafeLoader
    except yaml.MarkedYAMLError as problem:
        # The exception's own text quotes the line, which may hold a hash.
        place = problem.problem_mark
        where = f"line {place.line + 1}, column {place.column + 1}: " if place is not None else ""
        raise _refusal([f"{where}{problem.problem}"]) from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        raise SettingsError(["not YAML in UTF-8"]) from None


Parser = Callable[[object], Any]


def _section(name: str, data: object, keys: Mapping[str, Parser], mistakes: list[str]) -> dict[str, Any]:
    """Return the parsed values of a mapping; an empty value counts as missing."""
    where = f"{name}: " if name else ""
    if data is None:
        return {}
    if not isinstance(data, dict):
        mistakes.append(f"{where}expected a mapping with any of {', '.join(keys)}")
        return {}
    values = {}
    for key, value in data.items():
        if key not in keys:
            mistakes.append(f"{where}unknown key {shown(key)} (known: {', '.join(keys)})")
        elif value is not None and value != "":
            try:
                values[key] = keys[key](value)
            except _Secret as problem:
                mistakes.append(f"{name}{'.' if name else ''}{key}: {problem}")
            except ValueError as problem:
                mistakes.append(f"{name}{'.' if name else ''}{key}: expected {problem}, got {shown(value)}")
    return values


def _refusal(mistakes: list[str]) -> SettingsError:
    # A hash may be in the wrong place: in another section, in a list, or swapped with the name.
    return SettingsError([_ANY_HASH.sub("(a hash)", line) for line in mistakes])


def _as_is(value: object) -> object:
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("text on one line")
    return value


def _header(value: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError("ASCII text on one line")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError("a list of strings")
    return tuple(value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - every parser here raises ValueError
    return value


def _one_of(*choices: str, why: str = "") -> Callable[[object], str]:
    def parse_choice(value: object) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}{why}")
        return str(value)

    return parse_choice


def _some_of(*choices: str, at_most: int = 99, why: str = "") -> Callable[[object], tuple[str, ...]]:
    def parse_choices(value: object) -> tuple[str, ...]:
        texts = _texts(value)
        if len(texts) > at_most or not set(texts) <= set(choices):
            raise ValueError(f"a list of {'one' if at_most == 1 else 'any'} of {', '.join(choices)}{why}")
        return texts

    return parse_choices


def _unsupported(what: str) -> Parser:
    def refuse(_: object) -> object:
        raise _Secret(what)

    return refuse


_FROM_FILES: Final = "not supported, because Python's ssl reads it only from a file; use {}_file"
_TLS: Final[dict[str, Parser]] = {
    "cert_file": _text,
    "key_file": _text,
    "client_ca_file": _text,
    "client_auth_type": _one_of(*CLIENT_AUTH, why=" (Python's ssl cannot ask for a certificate without verifying it)"),
    "client_allowed_sans": _texts,
    "min_version": _one_of(*VERSIONS, why=" (older ones are no longer safe: RFC 8996)"),
    "max_version": _one_of(*VERSIONS, why=" (older ones are no longer safe: RFC 8996)"),
    "cipher_suites": _some_of(*CIPHERS, *TLS13_CIPHERS),
    "curve_preferences": _some_of(*CURVES, at_most=1, why=" (Python's ssl takes only one)"),
    "prefer_server_cipher_suites": _boolean,
    **{key: _unsupported(_FROM_FILES.format(key)) for key in ("cert", "key", "client_ca")},
}
# http2 only offers HTTP/2 to TLS clients. This server speaks HTTP/1.1, which every client does, so both values hold.
_HTTP: Final[dict[str, Parser]] = {"http2": _boolean, "headers": _as_is}
_HEADERS: Final[dict[str, Parser]] = {
    "Content-Security-Policy": _header,
    "Strict-Transport-Security": _header,
    "X-Content-Type-Options": _one_of("nosniff"),
    "X-Frame-Options": _one_of("deny", "sameorigin"),
    "X-XSS-Protection": _header,
}
_SECTIONS: Final[dict[str, Parser]] = {
    "tls_server_config": _as_is,
    "http_server_config": _as_is,
    "basic_auth_users": _as_is,
    "rate_limit": _unsupported("not supported; this exporter has its own limits (--limit.*)"),
}


def _missing(data: object) -> list[str]:
    """Return the required files that are not named; a wrong name is a mistake that is already reported."""
    return [key for key in ("cert_file", "key_file") if isinstance(data, dict) and not data.get(key)]


def _tls_config(given: dict[str, Any], missing: list[str], folder: Path, mistakes: list[str]) -> TlsConfig | None:
    """Return the whole section, or add mistakes if its values contradict each other or are missing."""
    if not given:
        return None
    config = TlsConfig(
        **{"cert_file": folder, "key_file": folder}
        | {key: folder / value if key.endswith("_file") else value for key, value in given.items()}
    )
    wrong = [f"{key}: required" for key in missing]
    if config.client_ca_file is None and config.client_auth_type != "NoClientCert":
        wrong.append(f"client_ca_file: required by client_auth_type {config.client_auth_type}")
    if config.client_ca_file is not None and config.client_auth_type == "NoClientCert":
        wrong.append("client_auth_type: must be RequireAndVerifyClientCert if client_ca_file is set")
    if config.client_allowed_sans and config.client_auth_type != "RequireAndVerifyClientCert":
        wrong.append("client_auth_type: must be RequireAndVerifyClientCert if client_allowed_sans is set")
    if VERSIONS[config.min_version] > VERSIONS[config.max_version]:
        wrong.append(f"min_version: {config.min_version} is above max_version ({config.max_version})")
    if config.cipher_suites and config.min_version == "TLS12" and CIPHERS.keys().isdisjoint(config.cipher_suites):
        wrong.append("cipher_suites: none is for TLS 1.2; add one, or set min_version: TLS13")
    mistakes += [f"tls_server_config.{line}" for line in wrong]
    return None if wrong or not {"cert_file", "key_file"} <= given.keys() else config


def _users(data: object, mistakes: list[str]) -> dict[str, bytes]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        mistakes.append("basic_auth_users: expected a mapping of names to bcrypt hashes")
        return {}
    users = {}
    for name, password in data.items():
        if not isinstance(name, str) or not name or ":" in name:
            mistakes.append(f"basic_auth_users: expected a name without a colon, got {shown(name)}")
        elif not isinstance(password, str) or not _HASH.fullmatch(password):
            mistakes.append(f"basic_auth_users.{shown(name)}: not a bcrypt hash; make one with htpasswd -nBC 10")
        else:
            users[name] = password.encode()
    return users
