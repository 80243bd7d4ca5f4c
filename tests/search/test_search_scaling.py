"""``benchmarks/scaling.py`` continues after an interruption, and its parts run."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import search_made

import scaling
from _servers import behind_nginx, nginx
from panglot.search.index import Index

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the benchmark in small and return its file of figures."""

    def call(*arguments: str) -> dict[str, Any]:
        path = tmp_path / "small.json"
        monkeypatch.setattr(sys, "argv", ["scaling.py", "--small", "--json", str(path), *arguments])
        scaling.main()
        return json.loads(path.read_text("utf-8"))

    return call


def test_an_interrupted_run_continues(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []

    def measure(_options: object, side: str) -> dict[str, Any]:
        if len(measured) == 4:
            measured.append("interrupted")
            raise KeyboardInterrupt
        measured.append(side)
        return {"texts_per_second": float(len(measured)), "start_seconds": 1.0, "seconds": 2.0, "equal": True}

    monkeypatch.setitem(scaling.PARTS, "encode", measure)
    first, second, third = scaling.SIDES["encode"]
    with pytest.raises(KeyboardInterrupt):
        run("--only", "encode")
    kept = json.loads((tmp_path / "small.json").read_text("utf-8"))["parts"]["encode"]
    assert {side: len(runs) for side, runs in kept.items()} == {first: 1, second: 1, third: 2}
    found = run("--only", "encode")["parts"]["encode"]
    # The second repeat is in reverse, so that no side is always first.
    assert measured == [first, second, third, third, "interrupted", second, first]
    assert {side: len(runs) for side, runs in found.items()} == dict.fromkeys((first, second, third), 2)
    assert found[third] == kept[third]
    # The medians of sixth and second, and a figure that the side lacks.
    assert f"| {second} | 4.0 | 1.0 | nan | 2.0 |" in capsys.readouterr().out
    run("--only", "encode")
    assert len(measured) == 7
    with pytest.raises(SystemExit, match="has other settings"):
        run("--only", "encode", "--threads", "2")


def test_small_figures_are_no_result(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["scaling.py", "--small"])
    with pytest.raises(SystemExit):
        scaling.main()
    assert "--small needs its own --json" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("start", [0.5, 30.0])
def test_the_start_is_told_apart_from_the_rate(workers: int, start: float) -> None:
    # Each worker makes a shard of 100 texts in four seconds, all at the same time.
    arrivals = [start + 4.0 * (1 + shard // workers) for shard in range(8)]
    found = scaling.encoding_figures(arrivals, workers, 100)
    assert found == pytest.approx({"texts_per_second": 25.0 * workers, "start_seconds": start})


@pytest.mark.parametrize("count", [1, 2])
def test_processes_write_all_documents_with_their_vectors(tmp_path: Path, count: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    made = search_made.documents()
    Index.build(made, source, model=search_made.Biased()).close()
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("store"))
    assert scaling.written_per_second(source, target, count) > 0
    with closing(scaling.opened(source)) as old, closing(scaling.opened(target)) as new:
        names = [each.id for each in made]
        assert new.get(names) == made
        for field in old.vector_fields:
            np.testing.assert_array_equal(new.vectors(field, names), old.vectors(field, names))


@pytest.mark.skipif(not nginx(), reason="nginx is not installed")
def test_nginx_asks_all_servers() -> None:
    seen: set[int] = set()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.add(self.connection.getsockname()[1])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Answer) for _ in range(2)]
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    addresses = [f"http://127.0.0.1:{each.server_address[1]}" for each in servers]
    with behind_nginx(addresses) as front:
        assert {httpx.post(f"{front}/search", json={}).text for _ in range(4)} == {"ok"}
    assert seen == {each.server_address[1] for each in servers}
    for each in servers:
        each.shutdown()
        each.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("part", scaling.PARTS)
def test_a_part_runs_in_small(part: str, run: Run, data_dir: Path) -> None:
    for package in {"serve": ("uvicorn",), "encode": ("ray", "grpc"), "stores": ("milvus", "milvus_lite")}[part]:
        pytest.importorskip(package)
    found = run("--only", part, "--repeats", "1", "--data-dir", str(data_dir))["parts"][part]
    assert list(found) == list(scaling.SIDES[part])
    for (figures,) in found.values():
        if part == "encode":
            assert figures["least_cosine"] > 0.9999
        else:
            assert figures["per_second"] > 0
            assert not figures["errors"]
