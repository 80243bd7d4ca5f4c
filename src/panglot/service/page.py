"""The web page: the files of a folder of this package, each under its own fixed route."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import FastAPI

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
