"""What one writes in ten minutes: sentence-transformers behind plain FastAPI, exact search by numpy.

    python benchmarks/_plain_service.py FOLDER

FOLDER holds ``vectors.npy`` and ``documents.json``, as ``search_service.py`` writes them. Prints its address.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    """Serve ``POST /search`` on a free port of the loopback until stopped."""
    import uvicorn
    from fastapi import FastAPI
    from sentence_transformers import SentenceTransformer

    from panglot.encoders.bundled import bundled_folder

    model = SentenceTransformer(str(bundled_folder()))
    vectors = np.load(folder / "vectors.npy")
    documents: list[dict[str, Any]] = json.loads((folder / "documents.json").read_text("utf-8"))
    app = FastAPI()

    @app.post("/search")
    def search(body: dict[str, Any]) -> dict[str, Any]:
        question = model.encode_query(body["query"], show_progress_bar=False, normalize_embeddings=True)
        scores = vectors @ question
        k = min(int(body["k"]), len(scores))
        best = np.argpartition(-scores, k - 1)[:k]
        best = best[np.argsort(-scores[best])]
        return {"hits": [{**documents[row], "score": float(scores[row])} for row in best]}

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/", file=sys.stderr, flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
