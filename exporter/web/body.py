"""Reads request bodies, with a time limit and a size limit."""

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

BODY_SECONDS: Final = 10.0  # the longest that a body may take to arrive
_READ_ON: Final = 4  # times the limit: how much of a larger body is read and discarded,
_READ_ON_SECONDS: Final = 1.0  # in at most this time


async def read_body(request: Request, limit: int) -> bytes:
    """Return a request's body.

    Raises ``HTTPException`` with status 413 if it is larger than ``limit`` bytes and 408 if it takes too long, and
    Starlette's ``ClientDisconnect`` if the connection ends early.
    """
    body, stream = bytearray(), request.stream()
    announced = int(request.headers.get("content-length", "0"))
    if announced <= limit:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in stream:
                    body += chunk
                    if len(body) > limit:
                        break
                else:
                    return bytes(body)
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {BODY_SECONDS:g} s") from None
    if announced <= limit * _READ_ON:
        await _discard(stream, limit * _READ_ON)
    raise HTTPException(413, f"body too large (limit {limit} bytes)")


async def _discard(stream: AsyncIterator[bytes], most: int) -> None:
    """Read and discard up to ``most`` bytes for a moment.

    Most clients read the response only after they have sent the whole body, and closing a connection with unread bytes
    loses the response.
    """
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_READ_ON_SECONDS):
            async for chunk in stream:
                most -= len(chunk)
                if most < 0:
                    break


def buffered(app: ASGIApp, limit: int, refusals: Refusals) -> ASGIApp:
    """Buffer each request's body, with a time limit, before calling ``app``, which has none of its own."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        try:
            body = await read_body(Request(scope, receive), limit)
        except ClientDisconnect:
            return
        except HTTPException as problem:
            refusals.count(Refused.MALFORMED, f"a request to {scope['path']}: {problem.detail}")
            await refusal(problem.status_code, problem.detail, {"Connection": "close"})(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_buffered() -> Message:
            return messages.pop() if messages else await receive()

        await app(scope, receive_buffered, send)

    return answer
