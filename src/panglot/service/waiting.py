"""Waiting for an answer no longer than there is somebody who wants it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from panglot.service.errors import GONE, RequestError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.requests import Request

Result = TypeVar("Result")


async def outcome(work: Coroutine[object, object, Result], request: Request, seconds: float) -> Result:
    """Return what ``work`` returns; cancel it when time is up or the client has left.

    Raises:
        RequestError: 504 or 499.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        done, _ = await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        if gone in done:
            raise RequestError(GONE, "the client is gone")
        raise RequestError(504, f"no answer within {seconds:g} seconds", code="time", headers={"Retry-After": "5"})
    finally:
        task.cancel()
        gone.cancel()
        # What nobody waits for is dropped before the client hears of it.
        await asyncio.wait({task, gone})


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
