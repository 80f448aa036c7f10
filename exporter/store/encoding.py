"""Compact JSON, and arrays and objects joined from JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def compact(data: Any) -> str:
    """Encode ``data`` as JSON without spaces. Raises ``ValueError`` for NaN and infinities."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def array(items: Iterable[str]) -> str:
    """Return a JSON array of items that are JSON text."""
    return f"[{','.join(items)}]"


def members(values: Mapping[str, str]) -> str:
    """Put a JSON object together from its members: names, and values that are JSON text."""
    return "{" + ",".join(f"{compact(name)}:{value}" for name, value in values.items()) + "}"
