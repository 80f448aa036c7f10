"""RemoteStats: a store with a pusher."""

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
    """A :class:`~exporter.store.shared.SharedStats` that pushes to another exporter, as ``push()`` does.

    Reading returns what this process has written. A streamer expires ``stale_after`` seconds after its newest update; 0
    means never. Refused updates are logged, or raised if ``strict`` (default: ``CLIPPER_EXPORTER_STRICT``). The other
    options are those of :meth:`SharedStats.create` and of :func:`~exporter.pusher.pusher.push`. Tests can replace the
    network (``transport``), the clock (``monotonic``) and chance (``jitter``).

    ``RemoteStats()`` returns the process's shared store if it is a ``RemoteStats``. Raises ``ValueError`` for an
    invalid option.
    """

    _make_pusher: ClassVar[type[Pusher]] = Pusher

    def __new__(cls, url: str = "", *_: Any, **__: Any) -> Self:  # noqa: D102
        if url:
            return object.__new__(cls)
        shared = SharedStats.shared()
        if isinstance(shared, cls):
            return shared
        raise TypeError("url: required, because the shared store of this process pushes to no exporter")

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
        if not url:  # RemoteStats() is the shared store, which is set up already
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
        """Number of dropped updates by reason: ``queue_full``, ``refused``, ``closed``."""
        return self._pusher.dropped

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait up to ``timeout`` seconds until all updates are delivered or dropped, and return whether they are."""
        return self._pusher.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Flush for up to ``timeout`` seconds, then stop sending and drop the rest."""
        self._pusher.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def from_environment(environ: Mapping[str, str], **options: Any) -> RemoteStats:
    """Return a store that pushes to ``CLIPPER_EXPORTER_URL``, with the ``options`` of :class:`RemoteStats`.

    Raises ``ValueError``, which names the variable, for an invalid URL or token.
    """
    if _STALE_AFTER not in environ:
        # By default a stream ends with this process, and not after some time without updates.
        options["stale_after"] = 0.0
    token = environ.get(settings.TOKEN) or settings.read_token(
        settings.TOKEN_FILE, environ.get(settings.TOKEN_FILE, "")
    )
    try:
        return RemoteStats(environ[settings.URL], token, **options)
    except ValueError as problem:
        field, _, message = str(problem).partition(":")
        raise ValueError(f"{PREFIX}{field.upper()}:{message}") from None
