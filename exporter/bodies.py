"""Bodies of requests to an app that would wait for the rest of one for ever."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.limits import Refusals, Refused
from exporter.middleware import refusal

BODY_SECONDS: Final = 10.0  # that a body may take to arrive, as that of a push


def arrived(app: ASGIApp, limit: int, refusals: Refusals) -> ASGIApp:
    """Have ``app`` answer HTTP requests only once their bodies are there whole, in ``limit`` bytes at most."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in Request(scope, receive).stream():
                    body += chunk
                    if len(body) > limit:
                        break
        except ClientDisconnect:
            return
        except TimeoutError:
            await refuse(408, f"expected the whole body within {BODY_SECONDS:g} s", scope, receive, send)
            return
        if len(body) > limit:
            await refuse(413, f"expected a body of at most {limit} bytes", scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def receive_whole() -> Message:
            return whole.pop() if whole else await receive()

        await app(scope, receive_whole, send)

    async def refuse(status: int, error: str, scope: Scope, receive: Receive, send: Send) -> None:
        refusals.count(Refused.MALFORMED, f"a request to {scope['path']}: {error}")
        await refusal(status, error, {"Connection": "close"})(scope, receive, send)

    return answer
