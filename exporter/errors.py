"""The exceptions of this package.

::

    ExporterError
    ├── InvalidUpdate   (ValueError)  an update that the store refuses
    │   └── InvalidBatch              a batch that is refused as a whole
    ├── SettingsError   (ValueError)  invalid flags, variables or keywords
    ├── FeedError       (ValueError)  a recording that cannot be played
    ├── ListenError     (OSError)     an address that cannot be listened on
    └── StorageError    (OSError)     a folder or file that cannot store counters
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60


def shown(value: object) -> str:
    """Return a value as text for messages: a shortened ``repr()``."""
    return _repr.repr(value)


class ExporterError(Exception):
    """The root of this package's exceptions."""


class InvalidUpdate(ExporterError, ValueError):
    """An update that the store refuses; the store is unchanged.

    ``field`` is the wrong field (``"viewers"``), ``value`` its value, ``expected`` describes a valid value, and
    ``reason`` is the value of the ``reason`` label that counts the refusal. ``message`` replaces the usual text.
    """

    def __init__(self, field: str, value: object, expected: str, reason: str, message: str = "") -> None:
        super().__init__(f"{field}: {message or f'expected {expected}, got {shown(value)}'}")
        self.field = field
        self.value = value
        self.expected = expected
        self.reason = reason


class InvalidBatch(InvalidUpdate):
    """A batch that is refused as a whole; ``mistakes`` has a line for each mistake, ``reason`` is that of the first."""

    def __init__(self, mistakes: Sequence[str], reason: str = "malformed") -> None:
        ExporterError.__init__(self, "\n".join(mistakes))
        self.mistakes = tuple(mistakes)
        self.reason = reason


class SettingsError(ExporterError, ValueError):
    """Invalid settings; ``mistakes`` has a line for each mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class FeedError(ExporterError, ValueError):
    """A recording that cannot be played; the message names the file, line and value."""


class ListenError(ExporterError, OSError):
    """An address that cannot be listened on: in use, not of this host, or not permitted."""


class StorageError(ExporterError, OSError):
    """A folder or file that cannot store counters; the message names it and a remedy.

    ``reason`` is the value of the ``reason`` label that counts the error.
    """

    def __init__(self, path: object, problem: str, reason: str) -> None:
        ExporterError.__init__(self, f"storage {path}: {problem}")
        self.reason = reason
