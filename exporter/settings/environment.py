"""The variables that have no flag: ``shared_stats`` reads them, which is made when the package is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exporter.errors import SettingsError

PREFIX: Final = "CLIPPER_EXPORTER_"
STRICT: Final = "CLIPPER_EXPORTER_STRICT"
URL: Final = "CLIPPER_EXPORTER_URL"
TOKEN: Final = "CLIPPER_EXPORTER_TOKEN"  # noqa: S105 - a name, not a token
TOKEN_FILE: Final = "CLIPPER_EXPORTER_TOKEN_FILE"  # noqa: S105
WITHOUT_FLAG: Final = frozenset({STRICT, URL, TOKEN, TOKEN_FILE})


def is_strict(environ: Mapping[str, str]) -> bool:
    """Whether ``CLIPPER_EXPORTER_STRICT`` asks for refused updates to be raised instead of logged."""
    return environ.get(STRICT, "0") not in {"", "0"}


def read_token(source: str, file: str) -> str | None:
    """Read the token in ``file``, if one is named; raises :class:`~exporter.errors.SettingsError` about ``source``."""
    if not file:
        return None
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as problem:
        raise SettingsError([f"{source}: expected a file of ASCII text ({problem})"]) from None
    if not token or not token.isprintable() or " " in token:
        raise SettingsError([f"{source}: expected one word in the file"])
    return token
