"""RemoteStats: a store and its pusher in one."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from typing import Any, ClassVar, Final, Self, Unpack

from exporter.pusher.pusher import Pace, Pusher
from exporter.pusher.transport import Transport
from exporter.settings import settings
from exporter.settings.flags import PREFIX
from exporter.store.shared import TRIGGER_TYPES, SharedStats
from exporter.store.validation import Limits

_STALE_AFTER: Final = settings.options()["stale_after"].variable


class RemoteStats(SharedStats):
    """A :class:`~exporter.store.shared.SharedStats` that an exporter elsewhere is told of, as ``push()`` does.

    What is read is what this process has written. A streamer stays until it is cleared, or for ``stale_after`` seconds
    after its newest update if that is not 0. Refused updates are logged, or raised if ``strict`` or, where that is not
    given, if ``CLIPPER_EXPORTER_STRICT`` is 1. The other options are those of :meth:`SharedStats.create` and of
    :func:`~exporter.pusher.pusher.push`; ``transport``, ``monotonic`` and ``jitter`` stand in for the network, for a
    clock that cannot be set, and for chance.

    ``RemoteStats()`` is this process's shared store if that is one. Raises ``ValueError`` for an option that cannot be.
    """

    _make_pusher: ClassVar[type[Pusher]] = Pusher

    def __new__(cls, url: str = "", *_: Any, **__: Any) -> Self:  # noqa: D102
        if url:
            return object.__new__(cls)
        shared = SharedStats.shared()
        if isinstance(shared, cls):
            return shared
        raise TypeError("url: expected the address of an exporter, for the shared store of this process has none")

    def __init__(
        self,
        url: str = "",
        token: str | None = None,
        *,
        strict: bool | None = None,
        limits: Limits | None = None,
        trigger_types: Iterable[str] = TRIGGER_TYPES,
        stale_after: float = 0.0,
        time_zone: tzinfo | None = None,
        clock: Callable[[], float] = time.time,
        transport: Transport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        **pace: Unpack[Pace],
    ) -> None:
        if not url:  # RemoteStats(), which is the shared one and is set up
            return
        self._set_up(
            limits=limits or Limits(),
            trigger_types=tuple(trigger_types),
            stale_after=stale_after,
            time_zone=time_zone,
            clock=clock,
            strict=settings.is_strict(os.environ) if strict is None else strict,
        )
        self._pusher = self._make_pusher(
            self, url, token, transport=transport, monotonic=monotonic, jitter=jitter, **pace
        )

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many updates never will arrive, by reason: ``queue_full``, ``refused``, ``closed``."""
        return self._pusher.dropped

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was written has arrived, or was dropped, for ``timeout`` seconds; tells if it has."""
        return self._pusher.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Flush, for at most ``timeout`` seconds, and send nothing any more; what is left is dropped."""
        self._pusher.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def from_environment(environ: Mapping[str, str], **options: Any) -> RemoteStats:
    """Make the store that ``CLIPPER_EXPORTER_URL`` asks for, with the ``options`` of :class:`RemoteStats`.

    Raises ``ValueError``, which names the variable, for a URL or a token that cannot be one.
    """
    if _STALE_AFTER not in environ:
        # Unless it is said how long silence may last, the end of this process is what ends a stream.
        options["stale_after"] = 0.0
    token = environ.get(settings.TOKEN) or settings.read_token(
        settings.TOKEN_FILE, environ.get(settings.TOKEN_FILE, "")
    )
    try:
        return RemoteStats(environ[settings.URL], token, **options)
    except ValueError as problem:
        field, _, message = str(problem).partition(":")
        raise ValueError(f"{PREFIX}{field.upper()}:{message}") from None
