"""Serve exact NumPy search with sentence-transformers and FastAPI, as a first prototype would.

    python benchmarks/_plain_service.py FOLDER

FOLDER has the ``vectors.npy`` and ``documents.json`` that ``search_service.py`` writes. The script prints its address.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np

from _common import sentence_transformer


def main(folder: Path) -> None:
    """Serve ``POST /search`` on a free port of the loopback interface until stopped."""
    import uvicorn
    from fastapi import FastAPI

    model: Any = sentence_transformer("bundled")
    vectors = np.load(folder / "vectors.npy")
    documents: list[dict[str, Any]] = json.loads((folder / "documents.json").read_text("utf-8"))
    app = FastAPI()

    @app.post("/search")
    def search(body: dict[str, Any]) -> dict[str, Any]:
        query = model.encode_query(body["query"], show_progress_bar=False, normalize_embeddings=True)
        scores = vectors @ query
        k = min(int(body["k"]), len(scores))
        best = np.argpartition(-scores, k - 1)[:k]
        best = best[np.argsort(-scores[best])]
        return {"hits": [{**documents[row], "score": float(scores[row])} for row in best]}

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/", file=sys.stderr, flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
