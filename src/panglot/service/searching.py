"""``/search`` and ``/about``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import langcodes
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from panglot import __version__
from panglot._errors import PanglotError
from panglot.corpus.language import name
from panglot.search.answer import Mode
from panglot.search.wish import MODES, MOST, Wish
from panglot.service.answers import Json
from panglot.service.errors import DOCUMENTED, of_panglot
from panglot.service.guard import NOTES
from panglot.service.waiting import outcome

if TYPE_CHECKING:
    from fastapi import FastAPI

    from panglot.service.engine import Engine

LONGEST = 10_000
"""Characters of a question."""
RIGHT_TO_LEFT = frozenset({"Adlm", "Arab", "Hebr", "Mand", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa"})

ABOUT: dict[Mode, str] = {
    "plain": "The pool as it is: the cosine of question and passage.",
    "centered": "Each language's mean is taken away first.",
    "balanced": "Scores are calibrated by language, so that none is crowded out.",
    "reader": "The reader's languages get a little on top.",
}

Code = Annotated[str, Field(max_length=64)]
Codes = Annotated[list[Code], Field(max_length=500)]


class Asked(BaseModel):
    """A question, and how to search."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1, max_length=LONGEST, description="In any language")
    k: int = Field(10, ge=1, le=MOST, description="Hits, at most")
    language: Code = Field("", description="Of the question, BCP 47; empty: it is detected")
    languages: Codes = Field([], description="Only passages in these; none: in all")
    mode: Mode = Field(Wish.mode, description="How languages are weighed")
    reader: Codes = Field([], description="The languages that the reader prefers, for the mode reader")
    weight: float = Field(
        Wish.weight, ge=0, le=2, allow_inf_nan=False, description="What these get on top of the cosine"
    )
    fold: bool = Field(default=False, description="Translations of one passage as one hit")
    lexical: bool = Field(default=False, description="Count matching words of the question's language too")
    highlight: bool = Field(default=False, description="Mark the best sentence of each hit")

    @field_validator("question")
    @classmethod
    def _says_something(cls, question: str) -> str:
        if not question.strip():
            raise ValueError("the question is blank")
        return question

    @field_validator("languages", "reader", mode="before")
    @classmethod
    def _with_commas(cls, codes: Any) -> Any:
        """Take ``de,fr`` for two codes: an address is easier to write so."""
        given = [codes] if isinstance(codes, str) else codes
        if not isinstance(given, list) or not all(isinstance(code, str) for code in given):
            return given
        return [part.strip() for code in given for part in code.split(",") if part.strip()]

    def wish(self) -> Wish:
        """Return how to search.

        Raises:
            RequestError: A language does not exist, or the mode lacks what it needs.
        """
        fields = self.model_dump(exclude={"question", "languages", "reader"})
        try:
            return Wish(**fields, languages=tuple(self.languages), reader=tuple(self.reader)).check()
        except PanglotError as error:
            raise of_panglot(error) from error


def add_search(app: FastAPI, engine: Engine) -> None:
    """Add the routes."""

    async def answer(asked: Asked, request: Request) -> Json:
        work = engine.search(asked.question, asked.wish(), request.scope[NOTES])
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
        "modes": [{"name": mode, "about": ABOUT[mode]} for mode in MODES],
    }


def direction(code: str) -> Literal["ltr", "rtl"]:
    """Return in which direction a language is written.

    >>> [direction(code) for code in ("ar", "he", "az", "az-Arab", "ks-Deva", "")]
    ['rtl', 'rtl', 'ltr', 'rtl', 'ltr', 'ltr']
    """
    try:
        script = langcodes.Language.get(code).maximize().script
    except ValueError:
        return "ltr"
    return "rtl" if script in RIGHT_TO_LEFT else "ltr"
