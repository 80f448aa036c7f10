"""Bodies of requests: in bounded time, and of bounded size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.middleware import refusal
from exporter.web.refusals import Refusals, Refused

BODY_SECONDS: Final = 10.0  # that a body may take to arrive
_READ_ON: Final = 4  # times the limit that is read of a larger one, and forgotten,
_READ_ON_SECONDS: Final = 1.0  # in this time


async def whole(request: Request, limit: int) -> bytes:
    """Read a request's body, of ``limit`` bytes at most.

    Raises ``HTTPException`` with 413 for a larger one and with 408 for one that takes too long, and Starlette's
    ``ClientDisconnect`` for one that ends early.
    """
    body, stream = bytearray(), request.stream()
    told = int(request.headers.get("content-length", "0"))
    if told <= limit:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in stream:
                    body += chunk
                    if len(body) > limit:
                        break
                else:
                    return bytes(body)
        except TimeoutError:
            raise HTTPException(408, f"expected the whole body within {BODY_SECONDS:g} s") from None
    if told <= limit * _READ_ON:
        await _forget(stream, limit * _READ_ON)
    raise HTTPException(413, f"expected a body of at most {limit} bytes")


async def _forget(stream: AsyncIterator[bytes], most: int) -> None:
    """Read on, for a moment, without keeping what comes, ``most`` bytes.

    Most clients read no answer before they have sent everything, and a connection that is closed on unread bytes takes
    its answer along.
    """
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_READ_ON_SECONDS):
            async for chunk in stream:
                most -= len(chunk)
                if most < 0:
                    break


def arrived(app: ASGIApp, limit: int, refusals: Refusals) -> ASGIApp:
    """Have ``app``, which would wait for ever, answer HTTP requests only once their bodies are there as a whole."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        try:
            body = await whole(Request(scope, receive), limit)
        except ClientDisconnect:
            return
        except HTTPException as problem:
            refusals.count(Refused.MALFORMED, f"a request to {scope['path']}: {problem.detail}")
            await refusal(problem.status_code, problem.detail, {"Connection": "close"})(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_whole() -> Message:
            return messages.pop() if messages else await receive()

        await app(scope, receive_whole, send)

    return answer
