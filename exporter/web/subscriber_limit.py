"""A limit on live subscribers, below the limit on connections, so that scrapes always get a connection."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.metrics import LIVE_SUBSCRIBERS_LIMIT
from exporter.own_metrics import OwnMetrics
from exporter.settings.options import HttpLimits
from exporter.web.middleware import refusal
from exporter.web.refusals import Refusals, Refused


class SubscriberLimit:
    """Counts the requests and WebSockets that live subscribers keep open, and refuses those above the limit.

    Call its methods from one event loop only.
    """

    def __init__(
        self, limits: HttpLimits | None = None, refusals: Refusals | None = None, own: OwnMetrics | None = None
    ) -> None:
        self.limit = (limits or HttpLimits()).subscribers
        self.refusals = refusals or Refusals()
        self._connected = 0
        (own or OwnMetrics()).gauge(LIVE_SUBSCRIBERS_LIMIT).set(self.limit)

    def wrap(self, app: ASGIApp, full: Callable[[Scope], bool] = lambda _: False) -> ASGIApp:
        """Return an app that calls ``app``, or answers 503 at the limit or if ``full`` returns True."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if self._connected >= self.limit or full(scope):
                await self._refuse(scope, receive, send)
                return
            self._connected += 1
            try:
                await app(scope, receive, send)
            finally:
                self._connected -= 1

        return answer

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.refusals.count(Refused.SUBSCRIBERS, f"too many live subscribers (--limit.subscribers={self.limit})")
        error = f"too many live subscribers (limit {self.limit})"
        await refusal(503, error, {"Retry-After": "10"})(scope, receive, send)
