"""The page over real HTTP, on top of a search that favours the query language by a chosen amount."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import page_documents
import uvicorn
from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from page_documents import LANGUAGES, RIGHT_TO_LEFT

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.types import ASGIApp

POLICY = "default-src 'self'"
MODES = {
    "plain": "The pool as it is: the cosine alone.",
    "centered": "Each language's mean is taken away first.",
    "balanced": "Each language's share of the results is near its share of the pool.",
    "preferred": "Documents in preferred languages get a boost.",
}
SCRIPTS = ((0x590, "he"), (0x600, "ar"), (0xE00, "th"), (0x3040, "ja"), (0x400, "ru"))


@dataclass
class Search:
    """A stand-in for the service. A test changes its behaviour and reads its requests."""

    documents: list[dict[str, Any]] = field(default_factory=page_documents.documents)
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    fails: tuple[int, str] | None = None
    key: str = ""
    mode: str = "plain"
    wait: float = 0.0

    def counts(self, languages: list[str]) -> dict[str, int]:
        found = [d["language"] for d in self.documents if not languages or d["language"] in languages]
        return {code: found.count(code) for code in LANGUAGES if code in found}

    def about(self) -> dict[str, Any]:
        counts = self.counts([])
        total = sum(counts.values())
        return {
            "model": "bundled",
            "documents": total,
            "languages": [
                {
                    "code": code,
                    "name": LANGUAGES[code],
                    "direction": "rtl" if code in RIGHT_TO_LEFT else "ltr",
                    "documents": count,
                    "share": count / total,
                }
                for code, count in counts.items()
            ],
            "modes": [{"name": name, "about": about} for name, about in MODES.items()],
            "default_mode": self.mode,
            # Other bounds than those of the service, so that the page cannot know them.
            "options": {
                "k": {"default": 10, "minimum": 1, "maximum": 300},
                "boost": {"default": 0.06, "minimum": 0, "maximum": 1.5},
            },
            "examples": [
                {"query": d["title"], "language": d["language"]} for d in self.documents if d["group"] == "26"
            ][:6],
        }

    def answer(self, wish: dict[str, Any]) -> dict[str, Any]:
        question, mode = wish["query"], wish["mode"]
        asked = wish["language"] or language_of(question)
        pool = [d for d in self.documents if not wish["languages"] or d["language"] in wish["languages"]]
        scored = [(self._why(d, question, asked, wish), d) for d in pool]
        scored.sort(key=lambda one: (-sum(one[0].values()), one[1]["id"]))
        if "nothing" in question:
            scored = []
        hits: list[dict[str, Any]] = []
        groups: dict[str, dict[str, Any]] = {}
        for why, document in scored:
            group = document["group"]
            if wish["collapse"] and group in groups:
                groups[group]["languages"][document["language"]] = document["id"]
                continue
            hit = {name: document[name] for name in ("id", "title", "text", "language", "metadata")}
            hit |= {"languages": {document["language"]: document["id"]}, "explanation": why, "score": sum(why.values())}
            hit["highlight"] = best_sentence(document["text"]) if wish["highlight"] else None
            hits.append(hit)
            if group:
                groups[group] = hit
        hits = [hit | {"rank": rank} for rank, hit in enumerate(hits[: wish["k"]], 1)]
        counts = self.counts(wish["languages"])
        found = [hit["language"] for hit in hits]
        shares = {
            code: {"hits": found.count(code) / max(1, len(found)), "pool": count / max(1, len(pool))}
            for code, count in counts.items()
        }
        return {
            "query": question,
            "language": asked,
            "detected": not wish["language"],
            "mode": mode,
            "hits": hits,
            "shares": shares,
            "seconds": {"encode": 0.021, "search": 0.002, "rank": 0.001},
        }

    def _why(self, document: dict[str, Any], question: str, asked: str, wish: dict[str, Any]) -> dict[str, float]:
        words = {part for part in question.lower().split() if len(part) > 2}
        alike = [d for d in self.documents if d["group"] and d["group"] == document["group"]] or [document]
        texts = " ".join(f"{d['title']} {d['text']}" for d in alike).lower()
        near = 0.7 + 0.03 * sum(word in texts for word in words) + (len(document["text"]) % 17) / 700
        own = document["language"] == asked
        mode = wish["mode"]
        if mode == "preferred":
            return {"cosine": near, "language": wish["boost"] * (document["language"] in wish["preferred_languages"])}
        return {"cosine": near + (0.1 if own and mode == "plain" else -0.1 if own and mode == "balanced" else 0.0)}


def language_of(question: str) -> str:
    """The language by its script alone."""
    marks = [ord(mark) for mark in question]
    return next((code for start, code in SCRIPTS if any(start <= m < start + 0x70 for m in marks)), "en")


def best_sentence(text: str) -> tuple[int, int]:
    """The sentence with the word "rights", or else the first, in code points."""
    at = max(0, text.lower().find("rights"))
    begin = text.rfind(". ", 0, at)
    begin = 0 if begin < 0 else begin + 2
    ends = [end for mark in (". ", "。", ", ") if (end := text.find(mark, at)) >= 0]
    return begin, min((end + 1 for end in ends), default=len(text))


def application(search: Search) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.middleware("http")
    async def _guard(request: Request, call_next: Any) -> Response:
        asks = search.key and request.url.path.startswith(("/about", "/search", "/documents"))
        if asks and request.headers.get("Authorization") != f"Bearer {search.key}":
            response: Response = problem(401, "A key is needed.", "Ask whoever runs the service for one.")
        else:
            response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @app.get("/about")
    def _about() -> dict[str, Any]:
        time.sleep(search.wait)
        return search.about()

    @app.post("/search")
    def _search(wish: dict[str, Any] = Body()) -> Response:  # noqa: B008
        search.asked.append(wish)
        time.sleep(search.wait)
        if search.fails:
            return problem(*search.fails)
        return JSONResponse(search.answer(wish))

    @app.get("/documents/{name}")
    def _document(name: str) -> Response:
        found = next((d for d in search.documents if d["id"] == name), None)
        if found is None:
            return problem(404, "there is no document with this id")
        return JSONResponse({**{key: found[key] for key in ("id", "text", "title", "language")}, **found["metadata"]})

    app.mount("/", StaticFiles(directory=Path(str(files("panglot.service") / "page")), html=True))
    return app


def problem(status: int, message: str, hint: str = "Ask less.") -> Response:
    headers = {"Retry-After": "3"} if status == 429 else {}
    body = {"error": {"message": message, "field": "", "hint": hint}}
    return JSONResponse(body, status_code=status, headers=headers)


@contextmanager
def serving(served: Search | ASGIApp) -> Generator[str]:
    """Serve on a free port of the loopback; yields the address."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = application(served) if isinstance(served, Search) else served
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
