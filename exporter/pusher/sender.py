"""Delivers a backlog in batches, at a limited rate, with retries."""

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

CHECK_IN: Final = 1.0  # seconds without a request before an empty one checks whether the exporter has restarted
_LARGEST: Final = 10_000  # updates in one request; about a quarter of the largest body that an exporter accepts
_SMALLEST: Final = 16
_LONGEST_WAIT: Final = 60.0  # seconds, the limit for Retry-After
_LOG_EVERY: Final = 60.0


class Retry(NamedTuple):
    """How to retry after a kind of failure: the waits between attempts grow from ``first`` to ``longest`` seconds."""

    kind: str
    first: float
    longest: float


# Short waits: a restarted exporter gets the gauges within two seconds, and an attempt costs it little.
UNREACHABLE: Final = Retry("unreachable", 0.1, 1.0)
BUSY: Final = Retry("busy", 0.25, 15.0)
MISCONFIGURED: Final = Retry("misconfigured", 5.0, 60.0)

_INVALID: Final = frozenset({400, 422})
_TOO_LARGE: Final = 413
_TEMPORARY: Final = frozenset({408, 425, 429})


class _RetryLaterError(Exception):
    def __init__(self, retry: Retry, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.retry = retry
        self.wait = wait


class Sender:
    """Sends the ``backlog`` through ``post``, one request at a time, when :meth:`step` is called.

    ``name`` is the ``source`` of its batches. ``interval`` is the shortest time between two batches, ``heartbeat`` the
    time after which all gauges are sent again, both in seconds of the clock ``monotonic``. ``jitter`` returns numbers
    from 0 to 1. Call methods from one thread only, except :meth:`hurry`.
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
        """The version up to which all gauges are delivered."""

    def hurry(self) -> None:
        """Let the next step send at once, before the interval is over."""
        self._hurried = True

    def step(self) -> float:
        """Send the backlog if it is time to, and return the seconds until the next call."""
        now = self._monotonic()
        if now < self._not_before and (self._failures or not self._hurried):
            self._backlog.gather(self.since)  # the store's journal would drop events that wait there too long
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
        except _RetryLaterError as problem:
            return self._wait(problem)
        finally:
            self._backlog.put_back()
        self.since = 0 if self._replaced else load.version
        return self._pause(0.0 if load.more or self._replaced else self._interval)

    def _send(self, items: Sequence[Item]) -> None:
        at = 0
        while True:  # one empty request if there are no items, to check the instance
            part = items[at : at + self._size]
            try:
                self._deliver(part)
            except _RetryLaterError:
                # On an unstable connection, small requests get through when large ones fail.
                self._size = max(_SMALLEST, min(self._size, len(part)) // 2)
                raise
            self._size = min(_LARGEST, self._size * 2)
            at += len(part)
            if at >= len(items):
                break
        self._last_contact = self._monotonic()
        if self._failures:
            logger.info("the exporter accepts updates again, after %d failed attempts", self._failures)
        self._failures = 0

    def _deliver(self, items: Sequence[Item]) -> None:
        """Send items; if they are refused, send halves until the refused item is found, and drop it."""
        answer = self._ask(items)
        if answer is None:
            self._backlog.settle(items)
        elif len(items) > 1:
            self._deliver(items[: len(items) // 2])
            self._deliver(items[len(items) // 2 :])
        elif items:
            self._backlog.drop(items[0])
            self._log.warning("refused", f"dropped an update that the exporter refused: {_shown(answer)}")
        else:
            raise _RetryLaterError(MISCONFIGURED, f"the exporter refused an empty batch: {_shown(answer)}")

    def _ask(self, items: Sequence[Item]) -> Answer | None:
        """Send items; return ``None`` if they are accepted, the answer if they are refused."""
        try:
            answer = self._post(body(items, self._name))
        except OSError as problem:
            raise _RetryLaterError(UNREACHABLE, f"the exporter cannot be reached: {problem}") from None
        if _is_refusal(answer):
            return answer
        if answer.status in _TEMPORARY or answer.status >= 500:
            raise _RetryLaterError(BUSY, f"the exporter is busy: {_shown(answer)}", answer.retry_after)
        if answer.status == 200 and not answer.text:
            # The connection ended within the headers of the answer.
            raise _RetryLaterError(UNREACHABLE, "the exporter cannot be reached: the answer was cut short")
        instance = _read(answer, "instance", str) if answer.status == 200 else None
        if not instance:
            raise _RetryLaterError(
                MISCONFIGURED, f"the answer is not that of an exporter that accepts pushes from here: {_shown(answer)}"
            )
        if self._instance not in {"", instance}:
            logger.info("the exporter has restarted: all gauges are sent again")
            self._replaced = True
        self._instance = instance
        return None

    def _wait(self, problem: _RetryLaterError) -> float:
        retry = problem.retry
        self._log.warning(retry.kind, f"{problem}; updates wait and are sent again later")
        # Random jitter, so that clients that failed together do not retry together.
        wait = min(retry.longest, retry.first * 2 ** min(self._failures, 16)) * (0.5 + 0.5 * self._jitter())
        self._failures += 1
        return self._pause(max(wait, min(problem.wait, _LONGEST_WAIT)))

    def _pause(self, seconds: float) -> float:
        self._not_before = self._monotonic() + seconds
        return seconds


def _is_refusal(answer: Answer) -> bool:
    # A TLS port also answers plain HTTP with 400, but without the details of an exporter. Then nothing may be dropped.
    return answer.status == _TOO_LARGE or (answer.status in _INVALID and _read(answer, "details", list) is not None)


def _read(answer: Answer, name: str, kind: type[_T]) -> _T | None:
    try:
        value = json.loads(answer.text)[name]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return value if isinstance(value, kind) else None


def _shown(answer: Answer) -> str:
    """Return an answer as text for a message: the status, and the exporter's error."""
    said = _read(answer, "error", str), *(_read(answer, "details", list) or ())[:3]
    text = "; ".join(str(each) for each in said if each) or answer.text.strip()
    return f"status {answer.status} ({text[:300]})" if text else f"status {answer.status}"
