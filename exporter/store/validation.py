"""Checks of updates, which the store makes before it changes anything.

Each check takes the name of a field and its value. It returns the value to store, or raises
:class:`~exporter.errors.InvalidUpdate`, which describes a valid value.
"""

from __future__ import annotations

import json
import math
import numbers
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.errors import InvalidUpdate

LEVELS: Final = 100  # of details; Python can parse and write a few hundred, fewer in deep call stacks
_TEXTS: Final = re.compile(r'"(?:[^"\\]|\\.)*"')  # JSON strings, whose brackets do not count


class Reason(StrEnum):
    """Why updates are refused: the values of the ``reason`` label."""

    NAME = "invalid_name"
    NUMBER = "invalid_number"
    RECORDING = "invalid_recording"
    DETAILS = "invalid_details"
    STREAMERS = "too_many_streamers"
    TRIGGER_TYPES = "too_many_trigger_types"
    TIMESTAMP = "invalid_timestamp"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "wrong_media_type"
    UNAUTHORIZED = "unauthorized"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a store, all whole numbers of at least 1.

    ``streamers`` and ``trigger_types`` are held at once, the declared types included; ``name_length`` is in characters,
    for streamers and trigger types; ``details_bytes`` is the size of a trigger's details as UTF-8 JSON.
    """

    streamers: int = 200_000
    trigger_types: int = 64
    name_length: int = 128
    details_bytes: int = 4096

    def __post_init__(self) -> None:
        for field in self.__slots__:
            value = getattr(self, field)
            if type(value) is not int or value < 1:
                raise ValueError(f"{field}: expected a whole number of at least 1, got {value!r}")


def name(field: str, value: object, limits: Limits) -> str:
    """Check a streamer's or a trigger type's name: 1 to ``limits.name_length`` characters that UTF-8 can carry."""
    if not isinstance(value, str):
        raise InvalidUpdate(field, value, "text", Reason.NAME)
    if not 0 < len(value) <= limits.name_length:
        expected = f"text of 1 to {limits.name_length} characters"
        if value:
            expected += f" (this has {len(value)})"
        raise InvalidUpdate(field, value, expected, Reason.NAME)
    try:
        value.encode()
    except UnicodeEncodeError:
        # Such a name could be stored, but every later exposition would fail to encode it.
        raise InvalidUpdate(field, value, "text without lone surrogates", Reason.NAME) from None
    # Subclasses of str such as enums may print, compare or hash differently: keep the plain text.
    return str.__str__(value)


def number(field: str, value: object) -> int | float:
    """Check a gauge's value: a finite number of at least 0; numbers of other libraries become ``int`` or ``float``."""
    expected = "a finite number of at least 0"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidUpdate(field, value, expected, Reason.NUMBER)
    plain = int(value) if isinstance(value, numbers.Integral) else float(value)
    try:
        fits = plain >= 0 and math.isfinite(plain)
    except OverflowError:  # an int beyond what a sample, a 64-bit float, can hold
        fits = False
    if not fits:
        raise InvalidUpdate(field, value, expected, Reason.NUMBER)
    return plain + 0  # turns -0.0, which passes the check but would show its sign, into 0.0


def recording(field: str, value: object) -> bool:
    """Check a recording flag: ``True`` or ``False``."""
    if not isinstance(value, bool):
        raise InvalidUpdate(field, value, "True or False", Reason.RECORDING)
    return value


def details(field: str, value: object, limits: Limits) -> str:
    """Check a trigger's details, a dict that JSON can encode or ``None`` for ``{}``; returns JSON text.

    Text cannot change later, as the caller's dict can, and every reader can send it.
    """
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise InvalidUpdate(field, value, "a dict", Reason.DETAILS)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as problem:
        raise InvalidUpdate(field, value, f"a dict that JSON can hold ({problem})", Reason.DETAILS) from None
    if size > limits.details_bytes:
        expected = f"at most {limits.details_bytes} bytes as JSON (this has {size})"
        raise InvalidUpdate(field, value, expected, Reason.DETAILS)
    if _levels(text) > LEVELS:
        raise InvalidUpdate(field, value, f"a dict of at most {LEVELS} levels", Reason.DETAILS)
    return text


def _levels(text: str) -> int:
    """Return the nesting depth of JSON text, or its number of objects and lists if that is small."""
    opened = text.count("{") + text.count("[")
    if opened <= LEVELS:
        return opened
    level = deepest = 0
    for each in _TEXTS.sub("", text):
        level += (each in "{[") - (each in "}]")
        deepest = max(deepest, level)
    return deepest
