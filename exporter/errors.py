"""Every exception this package raises on purpose.

::

    ExporterError
    ├── InvalidUpdate   (ValueError)  an update the store refuses
    │   └── InvalidBatch              several at once, refused as a whole
    ├── SettingsError   (ValueError)  flags or environment that cannot be used
    ├── FeedError       (ValueError)  a recording that cannot be played
    ├── ListenError     (OSError)     an address that cannot be listened on
    └── StorageError    (OSError)     a folder or file that counters cannot be kept in
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60


def shown(value: object) -> str:
    """A value as messages show it: as Python writes it, and short."""
    return _repr.repr(value)


class ExporterError(Exception):
    """The root of this package's exceptions."""


class InvalidUpdate(ExporterError, ValueError):
    """An update the store refuses; the store is as it was before.

    ``field`` names what is wrong (``"viewers"``), ``value`` is what was given, ``expected`` says what would be right,
    and ``reason`` is the value of the ``reason`` label that the refusal is counted under.
    """

    def __init__(self, field: str, value: object, expected: str, reason: str) -> None:
        super().__init__(f"{field}: expected {expected}, got {shown(value)}")
        self.field = field
        self.value = value
        self.expected = expected
        self.reason = reason


class InvalidBatch(InvalidUpdate):
    """A batch of updates, refused as a whole; ``mistakes`` holds a line for each, ``reason`` that of the first."""

    def __init__(self, mistakes: Sequence[str], reason: str = "malformed") -> None:
        ExporterError.__init__(self, "\n".join(mistakes))
        self.mistakes = tuple(mistakes)
        self.reason = reason


class SettingsError(ExporterError, ValueError):
    """Settings that cannot be used; ``mistakes`` holds one line for each, all of them."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class FeedError(ExporterError, ValueError):
    """A recording that cannot be played: names the file, the line, the value, and what would be right."""


class ListenError(ExporterError, OSError):
    """An address that cannot be listened on: in use, not of this host, or not permitted."""


class StorageError(ExporterError, OSError):
    """A folder or file that counters cannot be kept in: names it and what to do.

    ``reason`` is the value of the ``reason`` label that it is counted under.
    """

    def __init__(self, path: object, problem: str, reason: str) -> None:
        ExporterError.__init__(self, f"storage {path}: {problem}")
        self.reason = reason
