"""``/search`` and ``/about``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from panglot import __version__
from panglot._errors import PanglotError
from panglot.data.language import name
from panglot.data.scripts import is_right_to_left, script_of
from panglot.search.ranking.modes import MODES, Mode
from panglot.search.request import SearchRequest
from panglot.service.errors import DOCUMENTED, Json, of_panglot
from panglot.service.middleware import NOTES
from panglot.service.waiting import outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import FastAPI

    from panglot.encoders.protocol import Encoder, Vectors
    from panglot.search.result import SearchResult
    from panglot.search.storage.store import Store
    from panglot.service.engine import Engine

LONGEST = 10_000
"""Characters of a question."""

Code = Annotated[str, Field(max_length=64)]
Codes = Annotated[list[Code], Field(max_length=500)]


class Asked(BaseModel):
    """A question, and how to search."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=LONGEST, description="In any language")
    k: int = Field(10, ge=1, le=1000, description="Hits, at most")
    language: Code = Field("", description="Of the question, BCP 47; empty: it is detected")
    languages: Codes = Field([], description="Only passages in these; none: in all")
    mode: Mode = Field(SearchRequest.mode, description="How languages are weighed")
    preferred_languages: Codes = Field([], description="The languages that the mode preferred prefers")
    boost: float = Field(
        SearchRequest.boost, ge=0, le=2, allow_inf_nan=False, description="What these get on top of the cosine"
    )
    collapse: bool = Field(default=False, description="Translations of one passage as one hit")
    hybrid: bool = Field(default=False, description="Count matching words of the question's language too")
    highlight: bool = Field(default=False, description="Mark the best sentence of each hit")

    @field_validator("query")
    @classmethod
    def _says_something(cls, query: str) -> str:
        if not query.strip():
            raise ValueError("the query is blank")
        return query

    @field_validator("languages", "preferred_languages", mode="before")
    @classmethod
    def _with_commas(cls, codes: Any) -> Any:
        """Take ``de,fr`` for two codes: an address is easier to write so."""
        given = [codes] if isinstance(codes, str) else codes
        if not isinstance(given, list) or not all(isinstance(code, str) for code in given):
            return given
        return [part.strip() for code in given for part in code.split(",") if part.strip()]

    def request(self) -> SearchRequest:
        """Return how to search.

        Raises:
            RequestError: A language does not exist, or the mode lacks what it needs.
        """
        try:
            return SearchRequest(**self.model_dump()).validate()
        except PanglotError as error:
            raise of_panglot(error) from error


def add_search(app: FastAPI, engine: Engine) -> None:
    """Add the routes."""

    async def answer(asked: Asked, request: Request) -> Json:
        work = engine.search(asked.request(), request.scope[NOTES])
        return Json(await outcome(work, request, engine.limits.seconds))

    @app.post("/search", responses=DOCUMENTED, summary="Search the index")
    async def search(asked: Asked, request: Request) -> Json:
        return await answer(asked, request)

    @app.get("/search", responses=DOCUMENTED, summary="Search the index, by address")
    async def search_by_address(asked: Annotated[Asked, Query()], request: Request) -> Json:
        return await answer(asked, request)

    @app.get("/about", responses=DOCUMENTED, summary="The model, the languages, the modes")
    async def about(request: Request) -> Json:
        index = engine.index
        told = engine.ranked(lambda: describe(index.encoder.name, index.counts()))
        return Json(await outcome(told, request, engine.limits.seconds))


def describe(model: str, counts: dict[str, int]) -> dict[str, Any]:
    """Return what ``/about`` tells; languages with most documents first."""
    total = sum(counts.values())
    return {
        "panglot": __version__,
        "model": model,
        "documents": total,
        "languages": [
            {"code": code, "name": name(code), "direction": direction(code), "documents": n, "share": n / total}
            for code, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
        "modes": [{"name": mode, "about": MODES[mode].summary} for mode in MODES],
    }


def direction(code: str) -> Literal["ltr", "rtl"]:
    """Return in which direction a language is written.

    >>> [direction(code) for code in ("ar", "he", "az", "az-Arab", "ks-Deva", "")]
    ['rtl', 'rtl', 'ltr', 'rtl', 'ltr', 'ltr']
    """
    return "rtl" if is_right_to_left(script_of(code)) else "ltr"


class Ranker(Protocol):
    """What ranks documents, such as :class:`panglot.search.searcher.Searcher`."""

    def search(self, request: SearchRequest, vector: Vectors, sentence_encoder: Encoder | None = None) -> SearchResult:
        """Rank the documents for an encoded query, shape ``[dimension]``."""
        ...


class Searchable(Protocol):
    """An open index, such as :class:`panglot.search.index.Index`."""

    @property
    def encoder(self) -> Encoder:
        """The model whose vectors it holds."""
        ...

    @property
    def store(self) -> Store:
        """What keeps its documents."""
        ...

    @property
    def searcher(self) -> Ranker:
        """What ranks its documents."""
        ...

    def refresh(self) -> bool:
        """Open the newest version; return whether there was a newer one."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many documents each language has."""
        ...


FOLDER = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def add_page(app: FastAPI, folder: Path = FOLDER) -> frozenset[str]:
    """Add a route for each file of the page, ``/`` for ``index.html``, and return them. Files are read once, now."""
    routes: set[str] = set()
    for file in sorted(folder.glob("*")):
        if file.suffix in TYPES:
            route = "/" if file.name == "index.html" else f"/{file.name}"
            serve = _serve(file.read_bytes(), f"{TYPES[file.suffix]}; charset=utf-8")
            app.add_api_route(route, serve, methods=["GET", "HEAD"], include_in_schema=False)
            routes.add(route)
    return frozenset(routes)


def _serve(content: bytes, media_type: str) -> Callable[[], Coroutine[None, None, Response]]:
    async def serve() -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return serve
