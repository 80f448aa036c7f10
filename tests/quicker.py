"""The shipped configuration with shorter durations, so that tests wait for less and everything else is as shipped."""

from __future__ import annotations

import re
from typing import Any

import yaml

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = r"(?:\d+(?:ms|[smh]))+"
_IN_PROMQL = re.compile(rf"(?<=\[){_DURATION}(?=\])|(?<=offset ){_DURATION}")


def quicker(text: str, factor: int) -> str:
    """Return the YAML ``text`` with every duration divided by ``factor``, also those within PromQL."""
    if factor == 1:
        return text
    result: str = yaml.safe_dump(_divided(yaml.safe_load(text), factor), sort_keys=False)
    return result


def _divided(value: Any, factor: int) -> Any:
    if isinstance(value, dict):
        return {key: _divided(each, factor) for key, each in value.items()}
    if isinstance(value, list):
        return [_divided(each, factor) for each in value]
    if not isinstance(value, str):
        return value
    if re.fullmatch(_DURATION, value):
        return _quotient(value, factor)
    return _IN_PROMQL.sub(lambda found: _quotient(found[0], factor), value)


def _quotient(duration: str, factor: int) -> str:
    whole = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smh])", duration))
    return f"{whole // factor}ms"
