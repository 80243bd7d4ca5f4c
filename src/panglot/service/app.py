"""Make the service an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from panglot import __version__
from panglot.service.embeddings import add_embeddings
from panglot.service.engine import Engine
from panglot.service.errors import DOCUMENTED, Json, RequestError, of_status, of_validation
from panglot.service.limits import Limits
from panglot.service.metrics import Metrics
from panglot.service.middleware import Guard
from panglot.service.routes import add_page, add_search

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from panglot.search.index import Index


def create_app(
    index: Index,
    limits: Limits | None = None,
    *,
    keys: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
) -> Guard:
    """Return the service of an index. Any ASGI server can run it in one process.

    Args:
        index: An open index. It stays open when the service stops.
        limits: The limits of requests.
        keys: Accepted keys. If there are none, no key is needed.
        hosts: Host names under which the service may be called. If there are none, any name is accepted.
    """
    limits = limits or Limits()
    metrics = Metrics()
    engine = Engine(index, limits, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        refresher = asyncio.create_task(engine.keep_fresh())
        try:
            yield
        finally:
            refresher.cancel()
            await engine.close()

    # FastAPI's own documentation pages load scripts from other hosts. /openapi.json is enough for tools.
    app = FastAPI(
        title="panglot", version=__version__, summary="Search in any language, and embeddings",
        docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan,
    )  # fmt: skip
    _add_errors(app)
    add_search(app, engine)
    add_embeddings(app, engine)

    @app.get("/health", responses=DOCUMENTED, summary="Whether the service runs")
    async def health() -> Json:
        return Json({"status": "ok"})

    @app.get("/metrics", responses=DOCUMENTED, summary="Figures for Prometheus", response_class=Response)
    async def figures() -> Response:
        return Response(metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    # Outside of FastAPI, which would read a body before it looks at keys.
    return Guard(app, limits, metrics, add_page(app) | {"/health"}, keys, hosts)


def _add_errors(app: FastAPI) -> None:
    """Give every error the same form."""

    @app.exception_handler(RequestError)
    async def request_error(_request: Request, error: RequestError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def validation_error(_request: Request, error: RequestValidationError) -> Response:
        return of_validation(error.errors()).response()

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> Response:
        return of_status(error.status_code, error.headers).response()

    @app.exception_handler(Exception)
    async def other_error(_request: Request, _error: Exception) -> Response:
        return RequestError(500, "the service failed at this request").response()
