"""Places for live subscribers: fewer than there may be connections, so that scrapes always get in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.settings.options import HttpLimits
from exporter.web.limits import Refusals, Refused
from exporter.web.middleware import refusal


class Places:
    """Counts the requests and WebSockets that live subscribers keep open, and refuses those too many.

    Its methods belong to one event loop, but for :meth:`numbers`.
    """

    def __init__(self, limits: HttpLimits | None = None, refusals: Refusals | None = None) -> None:
        self.limit = (limits or HttpLimits()).subscribers
        self.refusals = refusals or Refusals()
        self._taken = 0

    def numbers(self) -> Mapping[str, Any]:
        """The limit, by the ``field`` of the family that shows it."""
        return {"live_subscribers_limit": self.limit}

    def within(self, app: ASGIApp, full: Callable[[Scope], bool] = lambda _: False) -> ASGIApp:
        """Answer with ``app`` as long as there is a place, which it keeps until it is done.

        ``full`` may find that there is none for other reasons.
        """

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if self._taken >= self.limit or full(scope):
                await self._refuse(scope, receive, send)
                return
            self._taken += 1
            try:
                await app(scope, receive, send)
            finally:
                self._taken -= 1

        return answer

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.refusals.count(
            Refused.SUBSCRIBERS, f"a live subscriber: there are {self.limit} already (--limit.subscribers)"
        )
        error = f"expected fewer than {self.limit} live subscribers"
        await refusal(503, error, {"Retry-After": "10"})(scope, receive, send)
