"""Make the service an ASGI application, with the routes ``/search``, ``/about`` and the web pages."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, Query, Request, Response
from prometheus_client import generate_latest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from panglot._environment import __version__
from panglot._errors import PanglotError
from panglot.data.language import name, script_of
from panglot.data.letters import is_right_to_left
from panglot.search.document import Filter
from panglot.search.queries import example_queries
from panglot.search.ranking.modes import MODES, Mode
from panglot.search.request import MAX_CODE_LENGTH, MAX_DEPTH, MAX_FILTER_LENGTH, Option, SearchRequest, search_options
from panglot.service.batcher import Limits, Rates
from panglot.service.document_routes import add_documents
from panglot.service.embeddings import add_embeddings, add_tei
from panglot.service.engine import Engine
from panglot.service.errors import DOCUMENTED, HANDLERS, Json, RequestError, invalid, of_panglot
from panglot.service.middleware import NOTES, Access, Guard, Metrics

if TYPE_CHECKING:
    from panglot.search.index import Index

_FOLDER = Path(__file__).parent / "page"
_FILTER = {
    "anyOf": [
        {"type": "string", "maxLength": MAX_FILTER_LENGTH},
        {"type": "object", "additionalProperties": True},
        {"type": "null"},
    ]
}
_Route = TypeVar("_Route", bound=Callable[..., Any])
_MAX_SEARCHES = 100  # In one request.
_SEARCHES: tuple[dict[str, Any], ...] = (
    {"query": "How do I print only a part of the sheet?", "k": 3},
    {"query": "Wie drucke ich nur einen Teil der Tabelle?", "mode": "balanced", "collapse": True, "highlight": True},
)
"""Examples for the page of the routes."""
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


def _split(codes: Any) -> Any:
    """Return ``de,fr`` as two codes, which is how an address has them."""
    parts = [codes] if isinstance(codes, str) else codes
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return parts
    return [code.strip() for part in parts for code in part.split(",") if code.strip()]


def _schema(option: Option, mode: Mode) -> tuple[Any, Any]:
    """Return the type and the field of an option of a search, as pydantic takes them."""
    if option.choices:  # Only the mode has them.
        return Literal[tuple(option.choices)], Field(mode, description=option.help)
    if option.type is Filter:
        # `SearchRequest` reads it, and says where it is wrong.
        return Annotated[Any, WithJsonSchema(_FILTER)], Field(option.default, description=option.help)
    low, high = option.minimum, option.maximum
    if option.type in (int, float):
        kind: Any = Annotated[float, Field(allow_inf_nan=False)] if option.type is float else int
        kind = kind | None if option.default is None else kind
        return kind, Field(option.default, description=option.help, ge=low, le=high)
    # A text or list with a minimum is required. Other lists and texts are empty by default.
    shortest, longest = (None if size is None else int(size) for size in (low, high))
    default = ... if shortest else [] if option.type is tuple else option.default
    items = Annotated[list[Annotated[str, Field(max_length=MAX_CODE_LENGTH)]], BeforeValidator(_split)]
    kind = items if option.type is tuple else option.type
    examples = [_SEARCHES[0]["query"]] if shortest else None
    return kind, Field(default, description=option.help, examples=examples, min_length=shortest, max_length=longest)


def _search_body(mode: Mode) -> type[BaseModel]:
    """Return what a route takes for one search, with a schema made from the options of a search, so that they agree.

    ``mode`` is the ranking mode if a body does not name one.
    """
    config = ConfigDict(extra="forbid", json_schema_extra={"examples": [*_SEARCHES]})
    fields: dict[str, Any] = {option.name: _schema(option, mode) for option in search_options()}
    return create_model("SearchBody", __config__=config, **fields)


def _batch_body(search: type[BaseModel]) -> type[BaseModel]:
    """Return what a route takes for several searches."""
    config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"searches": [*_SEARCHES]}]})
    searches: Any = (list[search], Field(min_length=1, max_length=_MAX_SEARCHES))
    about = "Several searches, each as for `/search`."
    return create_model("BatchBody", __config__=config, __doc__=about, searches=searches)


def _request_of(body: BaseModel, place: str = "") -> SearchRequest:
    """Return what a body asks for, or refuse it with status 400. ``place`` comes before the name of the wrong field."""
    try:
        return SearchRequest(**body.model_dump()).validate()
    except PanglotError as error:
        raise of_panglot(error, place) from error


def _taking(body: Any) -> Callable[[_Route], _Route]:
    """Return a decorator that names the type of a route's ``body``, which is not known before the service is made."""

    def decorate(route: _Route) -> _Route:
        route.__annotations__["body"] = body
        return route

    return decorate


def _add_search(app: FastAPI, engine: Engine, mode: Mode) -> None:
    """Add the routes ``/search``, ``/search/batch`` and ``/about``. ``mode`` ranks requests that do not name one."""
    search_type = _search_body(mode)

    async def respond(body: BaseModel, request: Request) -> Json:
        work = engine.search([_request_of(body)], request.scope[NOTES])
        return Json((await engine.outcome(work, request))[0])

    @app.post("/search", responses=DOCUMENTED, summary="Search the index")
    @_taking(search_type)
    async def search(body: BaseModel, request: Request) -> Json:
        return await respond(body, request)

    @app.get("/search", responses=DOCUMENTED, summary="Search the index by address")
    @_taking(Annotated[search_type, Query()])
    async def search_by_address(body: BaseModel, request: Request) -> Json:
        return await respond(body, request)

    @app.post("/search/batch", responses=DOCUMENTED, summary="Search the index for several queries at once")
    @_taking(_batch_body(search_type))
    async def search_batch(body: Any, request: Request) -> Json:
        searches = [_request_of(each, f"searches.{number}.") for number, each in enumerate(body.searches)]
        if (depth := sum(each.k for each in searches)) > MAX_DEPTH:
            problem = f"`k` must be at most {MAX_DEPTH:,} in total, got {depth:,}"
            raise invalid("searches", problem, "ask for fewer results")
        work = engine.search(searches, request.scope[NOTES], several=True)
        return Json({"results": await engine.outcome(work, request)})

    @functools.lru_cache(maxsize=1)
    def examples(_build: str, _counts: tuple[tuple[str, int], ...]) -> list[tuple[str, str]]:
        return example_queries(engine.index)

    def description() -> dict[str, Any]:
        counts = engine.index.counts()
        found = examples(engine.index.store.build, tuple(counts.items()))
        return _describe(engine.index.encoder.name, counts, found, mode)

    @app.get("/about", responses=DOCUMENTED, summary="The model, languages, modes, options and example queries")
    async def about(request: Request) -> Json:
        return Json(await engine.outcome(engine.ranked(description), request))


def _describe(
    model: str, counts: dict[str, int], examples: Sequence[tuple[str, str]], mode: Mode = "plain"
) -> dict[str, Any]:
    """Return the response of ``/about``, with the languages with most documents first.

    ``examples`` are queries with their languages. ``mode`` ranks requests that do not name one.
    """
    total = sum(counts.values())
    return {
        "panglot": __version__,
        "model": model,
        "documents": total,
        "languages": [
            {"code": code, "name": name(code), "direction": _direction(code), "documents": n, "share": n / total}
            for code, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
        "modes": [{"name": key, "about": each.summary} for key, each in MODES.items()],
        "default_mode": mode,
        "options": {
            each.name: {"default": each.default, "minimum": each.minimum, "maximum": each.maximum}
            for each in search_options()
            if each.type in (int, float)
        },
        "examples": [{"query": query, "language": code} for query, code in examples],
    }


def _direction(code: str) -> str:
    return "rtl" if is_right_to_left(script_of(code)) else "ltr"


def add_page(app: FastAPI, folder: Path = _FOLDER, *, search: bool = True) -> frozenset[str]:
    """Add a route for each file of the pages, ``/`` for ``index.html``, ``/docs`` for ``docs.html``, and return them.

    Without ``search``, there is no ``/``. The files are read now, so that no path of a request ever reaches the file
    system.
    """
    routes: set[str] = set()
    for file in sorted(folder.glob("*")):
        if file.suffix in _TYPES and (search or file.name != "index.html"):
            route = "/" if file.name == "index.html" else f"/{file.name.removesuffix('.html')}"
            serve = _serve(file.read_bytes(), f"{_TYPES[file.suffix]}; charset=utf-8")
            app.add_api_route(route, serve, include_in_schema=False)
            routes.add(route)
    return frozenset(routes)


def _serve(content: bytes, media_type: str) -> Callable[[], Coroutine[None, None, Response]]:
    async def serve() -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return serve


def _add_health(app: FastAPI, engines: Sequence[Engine], metrics: Metrics) -> frozenset[str]:
    """Add the routes that say whether the service is well, and return those that need no key."""

    @app.get("/health", responses=DOCUMENTED, summary="The same as /live, where many tools look")
    @app.get("/live", responses=DOCUMENTED, summary="Whether the process responds")
    async def live() -> Json:
        return Json({"status": "ok"})

    @app.get("/ready", responses=DOCUMENTED, summary="Whether the service can answer a search now")
    async def ready() -> Json:
        if problem := next(filter(None, (engine.unready() for engine in engines)), None):
            hint = "send requests elsewhere, and ask again soon"
            raise RequestError(503, problem, hint=hint, code="not_ready", headers={"Retry-After": "5"})
        return Json({"status": "ok"})

    @app.get("/metrics", responses=DOCUMENTED, summary="Figures for Prometheus", response_class=Response)
    async def figures() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return frozenset({"/health", "/live", "/ready"})


def _application(engines: Sequence[Engine] = ()) -> FastAPI:
    """Return an application without routes, which keeps these engines fresh while it runs."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        refreshers = [asyncio.create_task(engine.keep_fresh()) for engine in engines]
        try:
            yield
        finally:
            for refresher in refreshers:
                refresher.cancel()
            for engine in engines:
                await engine.close()

    # FastAPI's own documentation pages load scripts from other hosts.
    return FastAPI(
        title="panglot", version=__version__, summary="Search in any language, and embeddings",
        docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan, exception_handlers=HANDLERS,
    )  # fmt: skip


def create_app(
    index: Index | Mapping[str, Index], limits: Limits | None = None, *, access: Access | None = None,
    hosts: tuple[str, ...] = (), mode: Mode = "plain",
) -> ASGIApp:  # fmt: skip
    """Return the service of an open index, which stays open when the service stops. Any ASGI server can run it.

    If ``index`` has several indexes by name, the routes of each are below ``/indexes/NAME``. Without ``access``,
    everybody may read and nobody may write. ``hosts`` are the names under which the service may be called. If there
    are none, any name is accepted. ``mode`` ranks searches that do not name one.
    """
    limits, metrics, access, rates = limits or Limits(), Metrics(), access or Access(), Rates()
    engines: dict[str, Engine] = {}
    for key, each in index.items() if isinstance(index, Mapping) else [("", index)]:
        engines[key] = Engine(each, limits, metrics, list(engines.values()))

    def guarded(app: FastAPI, open_routes: frozenset[str], watched: Sequence[Engine]) -> Guard:
        # Outside of FastAPI, which would read a body before it looks at keys.
        return Guard(app, limits, metrics, open_routes | _add_health(app, watched, metrics), access, rates, hosts)

    apps: dict[str, Guard] = {}
    for key, engine in engines.items():
        app = _application([] if key else [engine])
        _add_search(app, engine, mode)
        add_documents(app, engine)
        add_embeddings(app, engine)
        add_tei(app, engine)
        apps[key] = guarded(app, add_page(app), [engine])
    if "" in apps:
        return apps[""]
    root = _application([*engines.values()])

    @root.get("/indexes", responses=DOCUMENTED, summary="The indexes, whose routes begin with /indexes/NAME")
    async def indexes(request: Request) -> Json:
        def describe_all() -> list[dict[str, Any]]:
            found = ((key, engine.index) for key, engine in engines.items())
            return [{"name": key, "model": e.encoder.name, "documents": sum(e.counts().values())} for key, e in found]

        first = next(iter(engines.values()))
        return Json({"indexes": await first.outcome(first.ranked(describe_all), request)})

    async def add_slash(request: Request) -> RedirectResponse:
        # The page finds its files and routes relative to its own address, which therefore ends with a slash.
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{request.url.path.rpartition('/')[2]}/{query}")

    places = frozenset(f"/indexes/{key}" for key in engines)
    for place in places:
        root.add_api_route(place, add_slash, include_in_schema=False)
    return _Dispatcher(guarded(root, add_page(root, search=False) | places, [*engines.values()]), apps)


class _Dispatcher:
    """Give a request below ``/indexes/NAME/`` to the application of that index, and others to ``root``."""

    def __init__(self, root: ASGIApp, apps: Mapping[str, ASGIApp]) -> None:
        self._root, self._apps = root, apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        _, _, rest = str(scope.get("path", "")).partition("/indexes/")
        name, slash, _ = rest.partition("/")
        app = self._apps.get(name) if str(scope.get("path", "")).startswith("/indexes/") else None
        if app is None or not slash:
            await self._root(scope, receive, send)
        else:
            await app({**scope, "root_path": f"/indexes/{name}"}, receive, send)
