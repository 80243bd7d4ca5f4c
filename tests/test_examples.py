"""Every script of examples/ runs as a user would start it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from importlib import util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
NEEDS = {
    "diagnose_and_fix": ("times its share", ()),
    "own_trainer": ("steps of hybrid batches", ("datasets",)),
    "rag_frameworks": ("LlamaIndex", ("langchain_core", "llama_index")),
    "qdrant_centering": ("centered:", ("qdrant_client",)),
}


def run(script: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{script}.py"), *words],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_example_is_tested_and_listed() -> None:
    scripts = {path.stem for path in FOLDER.glob("*.py")}
    assert scripts == {*NEEDS, "closed_model"}
    text = (FOLDER / "README.md").read_text("utf-8")
    assert all(f"({script}.py)" in text for script in scripts)


@pytest.mark.parametrize("script", NEEDS)
def test_an_example_runs(script: str, small_model: Path) -> None:
    expected, packages = NEEDS[script]
    for package in packages:
        if util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    assert expected in run(script, str(small_model))


def test_the_example_of_a_closed_model_measures_a_service() -> None:
    import json
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    import numpy as np

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            vectors = [np.random.default_rng(len(text)).normal(size=8).tolist() for text in texts]
            data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
            body = json.dumps({"object": "list", "data": data, "model": "small"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        output = run("closed_model", f"http://127.0.0.1:{server.server_address[1]}/v1#small")
    finally:
        server.shutdown()
    assert "multilingual mAP" in output
