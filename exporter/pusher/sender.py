"""Delivering a backlog: in batches, at a pace, again and again until it has arrived."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from exporter.logs import RateLimited
from exporter.pusher.backlog import Backlog, Item, body
from exporter.pusher.transport import Answer, Transport

_T = TypeVar("_T")

logger = logging.getLogger(__name__)

CHECK_IN: Final = 1.0  # seconds without a request after which one asks if the exporter is still the same
_LARGEST: Final = 10_000  # updates in one request: about a fourth of what an exporter takes at once
_SMALLEST: Final = 16
_LONGEST_WAIT: Final = 60.0  # seconds, whatever Retry-After says
_LOG_EVERY: Final = 60.0


class Trouble(NamedTuple):
    """Why a batch did not arrive: the waits between attempts, in seconds, grow from ``first`` to ``longest``."""

    kind: str
    first: float
    longest: float


# One that is restarted gets the gauges again within two seconds, and an attempt costs it less than its usual load.
UNREACHABLE: Final = Trouble("unreachable", 0.1, 1.0)
BUSY: Final = Trouble("busy", 0.25, 15.0)
MISCONFIGURED: Final = Trouble("misconfigured", 5.0, 60.0)

_INVALID: Final = frozenset({400, 422})
_TOO_LARGE: Final = 413
_PASSING: Final = frozenset({408, 425, 429})


class _NotNowError(Exception):
    def __init__(self, trouble: Trouble, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.wait = wait


class Sender:
    """Sends what ``backlog`` holds through ``post``, one request at a time, whenever :meth:`step` is called.

    ``name`` is what whoever pushes calls itself, ``interval`` the least time between two batches and ``heartbeat`` that
    between two times that all gauges are sent, ``monotonic`` a clock, all in seconds; ``jitter`` returns numbers from 0
    to 1. Belongs to one thread, but for :meth:`hurry`.
    """

    def __init__(
        self,
        backlog: Backlog,
        post: Transport,
        name: str,
        *,
        interval: float,
        heartbeat: float,
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._backlog = backlog
        self._post = post
        self._name = name
        self._interval = interval
        self._heartbeat = heartbeat
        self._monotonic = monotonic
        self._jitter = jitter
        self._log = RateLimited(logger, _LOG_EVERY, monotonic)
        self._instance = ""
        self._not_before = self._last_contact = self._last_whole = monotonic()
        self._failures = 0
        self._size = _LARGEST
        self._hurried = self._replaced = False
        self.since = 0
        """The version up to which all gauges have arrived."""

    def hurry(self) -> None:
        """Have the next step not wait for the interval to pass."""
        self._hurried = True

    def step(self) -> float:
        """Send what there is to send, if it is time to; returns in how many seconds to call again."""
        now = self._monotonic()
        if now < self._not_before and (self._failures or not self._hurried):
            self._backlog.gather(self.since)  # events would be lost if they waited long in the store's journal
            return self._not_before - now
        self._hurried = False
        if self._replaced or now - self._last_whole >= self._heartbeat:
            self._replaced = False
            self._last_whole = now
            self.since = 0
        load = self._backlog.take(self.since)
        if not load.items and now - self._last_contact < CHECK_IN:
            self.since = load.version
            return self._interval
        try:
            self._send(load.items)
        except _NotNowError as problem:
            return self._wait(problem)
        finally:
            self._backlog.put_back()
        self.since = 0 if self._replaced else load.version
        return self._pause(0.0 if load.more or self._replaced else self._interval)

    def _send(self, items: Sequence[Item]) -> None:
        at = 0
        while True:  # once if there is nothing: to ask for the instance
            part = items[at : at + self._size]
            try:
                self._deliver(part)
            except _NotNowError:
                # Over a way that is cut again and again what is small gets through, and what is large never does.
                self._size = max(_SMALLEST, min(self._size, len(part)) // 2)
                raise
            self._size = min(_LARGEST, self._size * 2)
            at += len(part)
            if at >= len(items):
                break
        self._last_contact = self._monotonic()
        if self._failures:
            logger.info("the exporter takes updates again, after %d failed attempts", self._failures)
        self._failures = 0

    def _deliver(self, items: Sequence[Item]) -> None:
        """Send items, in halves if they are refused together, until what is wrong with them stands alone."""
        answer = self._ask(items)
        if answer is None:
            self._backlog.settle(items)
        elif len(items) > 1:
            self._deliver(items[: len(items) // 2])
            self._deliver(items[len(items) // 2 :])
        elif items:
            self._backlog.drop(items[0])
            self._log.warning("refused", f"the exporter refused an update, which is dropped: {_said(answer)}")
        else:
            raise _NotNowError(MISCONFIGURED, f"the exporter refused an empty batch: {_said(answer)}")

    def _ask(self, items: Sequence[Item]) -> Answer | None:
        """Send items; returns the answer if they are refused, ``None`` if they are taken."""
        try:
            answer = self._post(body(items, self._name))
        except OSError as problem:
            raise _NotNowError(UNREACHABLE, f"the exporter cannot be reached: {problem}") from None
        if _is_refusal(answer):
            return answer
        if answer.status in _PASSING or answer.status >= 500:
            raise _NotNowError(BUSY, f"the exporter asks for time: {_said(answer)}", answer.retry_after)
        if answer.status == 200 and not answer.text:
            # What a connection leaves behind that ends amid the headers of an answer.
            raise _NotNowError(UNREACHABLE, "the exporter cannot be reached: the answer was cut short")
        instance = _read(answer, "instance", str) if answer.status == 200 else None
        if not instance:
            raise _NotNowError(MISCONFIGURED, f"expected an exporter that takes pushes from here: {_said(answer)}")
        if self._instance not in {"", instance}:
            logger.info("the exporter is another than before: all gauges are sent again")
            self._replaced = True
        self._instance = instance
        return None

    def _wait(self, problem: _NotNowError) -> float:
        trouble = problem.trouble
        self._log.warning(trouble.kind, f"{problem}; what is to be sent waits, and is tried again")
        # Halved at random, so that those who failed together do not come back together.
        wait = min(trouble.longest, trouble.first * 2 ** min(self._failures, 16)) * (0.5 + 0.5 * self._jitter())
        self._failures += 1
        return self._pause(max(wait, min(problem.wait, _LONGEST_WAIT)))

    def _pause(self, seconds: float) -> float:
        self._not_before = self._monotonic() + seconds
        return seconds


def _is_refusal(answer: Answer) -> bool:
    # 400 is also what a TLS port says to plain HTTP, and that is no reason to drop anything: an exporter gives details.
    return answer.status == _TOO_LARGE or (answer.status in _INVALID and _read(answer, "details", list) is not None)


def _read(answer: Answer, name: str, kind: type[_T]) -> _T | None:
    try:
        value = json.loads(answer.text)[name]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return value if isinstance(value, kind) else None


def _said(answer: Answer) -> str:
    """An answer as a message shows it: the status, and what an exporter says about it."""
    said = _read(answer, "error", str), *(_read(answer, "details", list) or ())[:3]
    text = "; ".join(str(each) for each in said if each) or answer.text.strip()
    return f"status {answer.status} ({text[:300]})" if text else f"status {answer.status}"
