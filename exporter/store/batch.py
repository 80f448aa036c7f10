"""Batches of updates, the bodies of ``POST /api/stats``: parsed, with all mistakes listed by path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from exporter.errors import InvalidBatch, InvalidUpdate, shown
from exporter.store import validation
from exporter.store.journal import GAUGES
from exporter.store.validation import Limits, Reason

FUTURE: Final = 60.0  # seconds that a timestamp may be ahead, because clocks differ
_LISTED: Final = 100  # mistakes; a longer list does not help
_DIGITS: Final = 400  # of a whole number; more do not fit a sample, and are slow to parse
ID_LIMITS: Final = Limits()  # for ids and sources; their authors do not know the limits of this exporter

Event = tuple[str, str | None]
"""A streamer, and the event's id or ``None``."""


@dataclass(frozen=True, slots=True)
class TriggerUpdate:
    """A trigger of a batch: ``at`` is Unix time, ``None`` for now; ``details`` are JSON."""

    streamer: str
    type: str
    details: str
    at: float | None
    id: str | None


@dataclass(slots=True)
class Batch:
    """Updates to apply together. ``cleared`` is applied first: the same batch may update a cleared streamer."""

    viewer_counts: dict[str, float] = field(default_factory=dict)
    chat_velocities: dict[str, float] = field(default_factory=dict)
    recording_status: dict[str, bool] = field(default_factory=dict)
    triggers: list[TriggerUpdate] = field(default_factory=list)
    clips: list[Event] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)
    source: str = ""

    def gauges(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Yield the row field and the values by streamer of each gauge."""
        for name, gauge in GAUGES.items():
            yield gauge, getattr(self, name)

    @property
    def counted(self) -> bool:
        """True if it holds events, which are stored on disk; gauges are not."""
        return bool(self.triggers or self.clips or self.cleared)


class NotJson(InvalidBatch):
    """A body that is not JSON."""


def read(body: bytes, limits: Limits, now: float) -> Batch:
    """Parse the body of ``POST /api/stats``; ``now`` is Unix time.

    Raises :class:`NotJson`, or :class:`~exporter.errors.InvalidBatch` with all mistakes and their paths.
    """
    return _Reader(limits, now).read(_parse(body))


def _parse(body: bytes) -> Any:
    """Parse JSON (RFC 8259) strictly: without duplicate names, NaN and infinite numbers."""
    try:
        return json.loads(
            body.decode(), object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
        )
    except UnicodeDecodeError as problem:
        raise NotJson([f"body: not UTF-8: byte 0x{body[problem.start]:02x} at {problem.start}"]) from None
    except RecursionError:
        raise NotJson(["body: JSON is nested too deeply"]) from None
    except ValueError as problem:
        raise NotJson([f"body: not JSON: {problem}"]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"duplicate name {shown(twice)} in an object")
    return found


def _int(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"the number {text[:40]}... is too large")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


class _Reader:
    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._now = now
        self._mistakes: list[str] = []
        self._reason: str = Reason.MALFORMED

    def read(self, data: Any) -> Batch:
        batch = Batch()
        readers: dict[str, Callable[[str, Any], None]] = {
            "viewer_counts": partial(self._gauges, validation.number, batch.viewer_counts),
            "chat_velocities": partial(self._gauges, validation.number, batch.chat_velocities),
            "recording_status": partial(self._gauges, validation.recording, batch.recording_status),
            "triggers": partial(self._events, self._trigger, batch.triggers),
            "clips": partial(self._events, self._clip, batch.clips),
            "cleared": partial(self._events, self._name, batch.cleared),
            "source": partial(self._source, batch),
        }
        if not isinstance(data, dict):
            self._refuse("body", data, "an object")
            data = {}
        for key, value in data.items():
            if key in readers:
                readers[key](key, value)
            else:
                self._refuse(shown(key), value, f"one of {', '.join(readers)} as the name")
        if self._mistakes:
            raise InvalidBatch(self._mistakes, self._reason)
        return batch

    def _gauges(self, check: Callable[[str, object], Any], into: dict[str, Any], path: str, value: Any) -> None:
        if not isinstance(value, dict):
            self._refuse(path, value, "an object with a value for each streamer's name")
            return
        for streamer, each in value.items():
            at = f"{path}[{shown(streamer)}]"
            name = self._checked(self._name, at, streamer)
            into[name] = self._checked(check, at, each)

    def _events(self, read: Callable[[str, Any], Any], into: list[Any], path: str, value: Any) -> None:
        if not isinstance(value, list):
            self._refuse(path, value, "a list")
            return
        into += [self._checked(read, f"{path}[{at}]", each) for at, each in enumerate(value)]

    def _source(self, batch: Batch, path: str, value: Any) -> None:
        batch.source = self._checked(self._id, path, value)

    def _trigger(self, path: str, value: Any) -> TriggerUpdate:
        given = self._fields(path, value, required=("streamer", "type"), optional=("details", "timestamp", "id"))
        return TriggerUpdate(
            self._field(self._name, path, given, "streamer"),
            self._field(self._name, path, given, "type"),
            self._field(self._details, path, given, "details") or "{}",
            self._field(self._time, path, given, "timestamp"),
            self._field(self._id, path, given, "id"),
        )

    def _clip(self, path: str, value: Any) -> Event:
        given = self._fields(path, value, required=("streamer",), optional=("id",))
        return self._field(self._name, path, given, "streamer"), self._field(self._id, path, given, "id")

    def _fields(self, path: str, value: Any, *, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise InvalidUpdate(path, value, "an object", Reason.MALFORMED)
        for key in required:
            if key not in value:
                self._note(f"{path}.{key}: required", Reason.MALFORMED)
        for key in value:
            if key not in required + optional:
                self._refuse(f"{path}.{shown(key)}", value[key], f"one of {', '.join(required + optional)} as the name")
        return value

    def _field(self, check: Callable[[str, Any], Any], path: str, given: dict[str, Any], key: str) -> Any:
        # One field at a time, so that all mistakes in a trigger are reported.
        return self._checked(check, f"{path}.{key}", given[key]) if key in given else None

    def _details(self, path: str, value: Any) -> str:
        if value is None:
            raise InvalidUpdate(path, value, "an object", Reason.DETAILS)
        return validation.details(path, value, self._limits)

    def _time(self, path: str, value: Any) -> float:
        expected = "a time such as 2026-01-17T10:30:00+00:00"
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise InvalidUpdate(path, value, f"{expected}, with its offset", Reason.TIMESTAMP)
            at = moment.timestamp()
        except (TypeError, ValueError, OverflowError) as problem:
            if isinstance(problem, InvalidUpdate):
                raise
            raise InvalidUpdate(path, value, expected, Reason.TIMESTAMP) from None
        if at < 0:
            raise InvalidUpdate(path, value, "a time since 1970", Reason.TIMESTAMP)
        if at > self._now + FUTURE:
            expected = f"a time at most {FUTURE:.0f} s from now (this is {at - self._now:.0f} s ahead)"
            raise InvalidUpdate(path, value, expected, Reason.TIMESTAMP)
        return at

    def _name(self, path: str, value: Any) -> str:
        return validation.name(path, value, self._limits)

    def _id(self, path: str, value: Any) -> str:
        return validation.name(path, value, ID_LIMITS)

    def _checked(self, check: Callable[[str, Any], Any], path: str, value: Any) -> Any:
        try:
            return check(path, value)
        except InvalidUpdate as problem:
            self._note(str(problem), problem.reason)
            return None

    def _refuse(self, path: str, value: object, expected: str) -> None:
        self._note(str(InvalidUpdate(path, value, expected, Reason.MALFORMED)), Reason.MALFORMED)

    def _note(self, mistake: str, reason: str) -> None:
        if not self._mistakes:
            self._reason = reason
        if len(self._mistakes) == _LISTED:
            # Stop here: a body can hold millions of mistakes, which would take seconds of CPU.
            raise InvalidBatch([*self._mistakes, "and more"], self._reason)
        self._mistakes.append(mistake)
