"""Two calls at once, in every order that matters: the second comes in at each step of the first in turn.

There is no chance in it. The first call is traced, and stops at one step; the second runs in another thread until it
has ended or waits for a lock; then the first goes on. Or the second runs in the first one's thread, as a signal handler
or a finalizer does.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

import exporter

_PACKAGE = str(Path(exporter.__file__).parent)
_PATIENCE = 20.0  # seconds; only a deadlock takes so long


class Watched:
    """A lock that calls ``told`` whenever a thread has to wait for it."""

    def __init__(self, lock: Any, told: Callable[[], None]) -> None:
        self._lock = lock
        self._told = told

    def acquire(self) -> bool:
        if not self._lock.acquire(blocking=False):
            self._told()
            assert self._lock.acquire(timeout=_PATIENCE), "a deadlock"
        return True

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Moment:
    """The moment before one step of a call; what comes in then is up to the test."""

    def __init__(self, step: int, *, opcodes: bool) -> None:
        self.reached = False
        self._step = step
        self._opcodes = opcodes
        self._go_on = threading.Event()
        self._problem: BaseException | None = None

    def watch(self, *holders: Any) -> None:
        """Watch the lock of each object."""
        for holder in holders:
            holder._lock = Watched(holder._lock, self._go_on.set)

    def meet(self, first: Callable[[], object], second: Callable[[], object]) -> None:
        """Call ``first``, and at this moment, or else afterwards, ``second`` in another thread."""
        thread = threading.Thread(target=self._call, args=(second,), daemon=True)

        def come_in() -> None:
            thread.start()
            assert self._go_on.wait(_PATIENCE), "a deadlock"

        self._run(first, come_in)
        if not self.reached:
            thread.start()
        thread.join(_PATIENCE)
        assert not thread.is_alive(), "a deadlock"
        self._end()

    def interrupt(self, first: Callable[[], object], second: Callable[[], object]) -> None:
        """Call ``first``, and at this moment, or else afterwards, ``second`` in the same thread."""
        self._run(first, lambda: self._call(second))
        if not self.reached:
            self._call(second)
        self._end()

    def _call(self, second: Callable[[], object]) -> None:
        try:
            second()
        except BaseException as problem:  # noqa: BLE001 - raised again where the test runs
            self._problem = problem
        finally:
            self._go_on.set()

    def _end(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _run(self, first: Callable[[], object], come_in: Callable[[], None]) -> None:
        left = self._step

        def enter(frame: FrameType, _: str, __: Any) -> Any:
            if not frame.f_code.co_filename.startswith(_PACKAGE):
                return None
            frame.f_trace_opcodes = self._opcodes
            return step

        def step(_: FrameType, event: str, __: Any) -> Any:
            nonlocal left
            if event in {"opcode", "line"} and not self.reached:
                self.reached = left == 0
                left -= 1
                if self.reached:
                    come_in()
            return step

        before = sys.gettrace()
        sys.settrace(enter)
        try:
            first()
        finally:
            sys.settrace(before)


def moments(*, opcodes: bool = False, least: int = 5) -> Iterator[Moment]:
    """Yield one moment after the other, until the call has ended before one; steps are lines, or ``opcodes``.

    Fails if there were fewer than ``least``: then the call is not the one that was meant.
    """
    for step in range(100_000):
        moment = Moment(step, opcodes=opcodes)
        yield moment
        if not moment.reached:
            assert step >= least, f"only {step} steps"
            return


class Switching:
    """While it is entered, threads take turns as often as can be."""

    def __enter__(self) -> None:
        self._before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self._before)
