"""Environment variables without a flag, which only ``shared_stats`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.errors import SettingsError
from exporter.settings.parsers import token_in

PREFIX: Final = "CLIPPER_EXPORTER_"
STRICT: Final = "CLIPPER_EXPORTER_STRICT"
URL: Final = "CLIPPER_EXPORTER_URL"
TOKEN: Final = "CLIPPER_EXPORTER_TOKEN"  # noqa: S105 - a name, not a token
TOKEN_FILE: Final = "CLIPPER_EXPORTER_TOKEN_FILE"  # noqa: S105
WITHOUT_FLAG: Final = frozenset({STRICT, URL, TOKEN, TOKEN_FILE})


def is_strict(environ: Mapping[str, str]) -> bool:
    """Return whether ``CLIPPER_EXPORTER_STRICT`` is on: a refused update raises instead of being logged."""
    return environ.get(STRICT, "0") not in {"", "0"}


def read_token(source: str, file: str) -> str | None:
    """Return the token in ``file``; raises :class:`~exporter.errors.SettingsError`, which names ``source``."""
    if not file:
        return None
    try:
        return token_in(file)
    except ValueError as problem:
        raise SettingsError([f"{source}: {problem}"]) from None
