"""Too many requests, deadlines that pass, and clients that leave."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from service_made import Index, lines, serving, until

from panglot._errors import PanglotError
from panglot.service.batcher import Limits


def ask(url: str, question: str) -> httpx.Response:
    return httpx.post(f"{url}/search", json={"query": question}, timeout=60)


def test_a_full_queue_refuses_with_the_time_to_wait_and_answers_the_rest() -> None:
    index = Index()
    with serving(index, Limits(queue=3)) as url, ThreadPoolExecutor(3) as pool:
        index.encoder.open.clear()
        inside = [pool.submit(ask, url, f"question {place}") for place in range(3)]
        until(lambda: "panglot_queue_requests 3.0" in httpx.get(f"{url}/metrics").text)
        refused = ask(url, "one more")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "queue_full"
        index.encoder.open.set()
        assert [each.result().status_code for each in inside] == [200, 200, 200]
        assert ask(url, "one more").status_code == 200


def test_who_waits_too_long_is_told_and_never_encoded() -> None:
    index = Index()
    with serving(index, Limits(seconds=0.5)) as url, ThreadPoolExecutor(1) as pool:
        index.encoder.open.clear()
        first = pool.submit(ask, url, "first")
        assert index.encoder.entered.wait(30)
        late = ask(url, "late")
        assert late.status_code == 504
        assert late.json()["error"]["type"] == "server_error"
        assert first.result().status_code == 504
        index.encoder.open.set()
        assert ask(url, "after").status_code == 200
        assert ["late"] not in index.encoder.batches


def test_a_body_that_comes_too_slowly_is_refused() -> None:
    with serving(Index(), Limits(seconds=0.3)) as url, socket.create_connection(_place(url)) as client:
        client.sendall(b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        client.settimeout(30)
        assert b" 408 " in client.recv(1000)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /health HTTP/1.1\r\nHo", b"POST /search HTTP/1.1\r\nContent-Length: 9\r\n"]
)
def test_a_head_that_comes_too_slowly_is_refused(sent: bytes) -> None:
    with serving(Index(), Limits(seconds=0.3)) as url, socket.create_connection(_place(url)) as client:
        client.settimeout(30)
        client.sendall(sent)
        status, _, body = _received(client).partition(b"\r\n\r\n")
        assert b" 408 " in status
        assert json.loads(body)["error"]["message"] == "the request arrived too slowly"


def test_a_second_head_on_one_connection_may_not_be_slow_either() -> None:
    with serving(Index(), Limits(seconds=0.3)) as url, socket.create_connection(_place(url)) as client:
        client.settimeout(30)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in client.recv(10_000)
        client.sendall(b"GET /health HT")
        assert b" 408 " in _received(client)


def test_half_sent_requests_keep_nobody_out() -> None:
    most = 4 * 4 + 64
    with serving(Index(), Limits(queue=4)) as url, contextlib.ExitStack() as opened:
        clients = [opened.enter_context(socket.create_connection(_place(url))) for _ in range(most + 40)]
        heads = (
            b"GET /health HTTP/1.1\r\nHost:",
            b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{",
            b"",
        )
        for place, client in enumerate(clients):
            with contextlib.suppress(OSError):  # It has made room already.
                client.sendall(heads[place % 3])
        # Long before the ten seconds that a head may take.
        assert httpx.get(f"{url}/health", timeout=5).status_code == 200
        assert httpx.post(f"{url}/search", json={"query": "print"}, timeout=5).status_code == 200


def test_what_is_not_http_is_refused_in_the_form_of_all_errors() -> None:
    with serving(Index()) as url, socket.create_connection(_place(url)) as client:
        client.settimeout(30)
        client.sendall(b"HELLO\r\n\r\n")
        status, _, body = _received(client).partition(b"\r\n\r\n")
        assert b" 400 " in status
        assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_who_never_reads_a_response_is_cut_off() -> None:
    with serving(Index(), Limits(seconds=0.5)) as url, socket.create_connection(_place(url)) as client:
        client.settimeout(30)
        # Far more than the buffers of both sides hold.
        requests = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100_000
        with pytest.raises(ConnectionError):
            client.sendall(requests)
        assert ask(url, "after").status_code == 200


def test_readiness_ends_when_the_model_hangs_and_liveness_does_not() -> None:
    index = Index()
    with serving(index, Limits(seconds=0.3)) as url, ThreadPoolExecutor(1) as pool:
        assert httpx.get(f"{url}/ready").json() == {"status": "ok"}
        index.encoder.open.clear()
        first = pool.submit(ask, url, "first")
        assert first.result().status_code == 504
        until(lambda: httpx.get(f"{url}/ready").status_code == 503)
        assert httpx.get(f"{url}/ready").json()["error"]["code"] == "not_ready"
        assert httpx.get(f"{url}/live").status_code == 200
        index.encoder.open.set()
        until(lambda: httpx.get(f"{url}/ready").status_code == 200)


def test_who_has_left_is_never_encoded() -> None:
    index = Index()
    with lines() as kept, serving(index) as url, ThreadPoolExecutor(1) as pool:
        index.encoder.open.clear()
        first = pool.submit(ask, url, "first")
        assert index.encoder.entered.wait(30)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/search", json={"query": "gone"}, timeout=0.5)
        until(lambda: any(line["status"] == 499 for line in kept.requests()))
        index.encoder.open.set()
        assert first.result().status_code == 200
        assert ask(url, "after").status_code == 200
        assert ["gone"] not in index.encoder.batches
        assert 'reason="client_gone"} 1.0' in httpx.get(f"{url}/metrics").text


def test_a_text_that_breaks_the_model_harms_no_other_request_of_its_batch() -> None:
    index = Index()
    with serving(index) as url, ThreadPoolExecutor(4) as pool:
        index.encoder.open.clear()
        first = pool.submit(ask, url, "first")
        assert index.encoder.entered.wait(30)
        others = {question: pool.submit(ask, url, question) for question in ("good", "boom", "better")}
        until(lambda: "panglot_queue_requests 4.0" in httpx.get(f"{url}/metrics").text)
        index.encoder.open.set()
        assert first.result().status_code == 200
        assert {question: each.result().status_code for question, each in others.items()} == {
            "good": 200, "boom": 500, "better": 200,
        }  # fmt: skip


def test_sigterm_answers_what_is_inside_then_ends_well() -> None:
    script = Path(__file__).with_name("service_made.py")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        told = process.stderr.readline()
        url = told.split()[-1].rstrip("/")
        texts = [f"text {place} of many" for place in range(1000)]
        found: list[httpx.Response] = []
        asking = threading.Thread(
            target=lambda: found.append(
                httpx.post(f"{url}/v1/embeddings", json={"input": texts, "model": "small/letters"}, timeout=60)
            )
        )
        assert ask(url, "ready").status_code == 200
        asking.start()
        until(lambda: "panglot_queue_requests 1.0" in httpx.get(f"{url}/metrics").text or not asking.is_alive())
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=300)
        asking.join(60)
        assert process.returncode == 0
        assert found[0].status_code == 200
        assert len(found[0].json()["data"]) == 1000
        assert '"route": "/v1/embeddings", "status": 200' in out
        assert "ready" not in out
        with pytest.raises(httpx.ConnectError):
            ask(url, "late")
    finally:
        process.kill()
        process.wait()


def test_a_large_request_keeps_no_small_one_out_and_no_small_one_a_large() -> None:
    index = Index()
    limits = Limits(queue=8, queue_tokens=100, batch_tokens=50)
    with serving(index, limits) as url, ThreadPoolExecutor(4) as pool:
        index.encoder.open.clear()
        first = pool.submit(ask, url, "small")
        assert index.encoder.entered.wait(30)
        body = {"input": ["a text of some length"] * 30, "model": "small/letters"}
        large = pool.submit(httpx.post, f"{url}/v1/embeddings", json=body, timeout=60)
        until(lambda: "panglot_queue_requests 2.0" in httpx.get(f"{url}/metrics").text)
        second = pool.submit(ask, url, "another small one")
        until(lambda: "panglot_queue_requests 3.0" in httpx.get(f"{url}/metrics").text)
        assert httpx.post(f"{url}/v1/embeddings", json=body, timeout=60).status_code == 429
        index.encoder.open.set()
        assert [each.result().status_code for each in (first, large, second)] == [200, 200, 200]


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_limits_that_let_nothing_in_or_never_end_are_refused(seconds: float) -> None:
    with pytest.raises(PanglotError, match="must be a number above 0"):
        Limits(seconds=seconds)


def test_a_second_interrupt_stops_it_at_once(tmp_path: Path) -> None:
    script = Path(__file__).with_name("service_made.py")
    with (tmp_path / "told").open("w+") as told:
        process = subprocess.Popen(
            [sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=told,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        path = Path(told.name)
        try:
            until(lambda: "http://" in path.read_text(), 60)
            url = path.read_text().split()[-1].rstrip("/")
            ended: list[str] = []

            def never_answered() -> None:
                with pytest.raises(httpx.HTTPError) as error:
                    ask(url, "forever")
                ended.append(error.typename)

            asking = threading.Thread(target=never_answered, daemon=True)
            asking.start()
            until(lambda: "panglot_queue_requests 1.0" in httpx.get(f"{url}/metrics").text)
            process.send_signal(signal.SIGINT)
            until(lambda: "Ctrl-C again" in path.read_text())
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 128 + signal.SIGINT
            assert "Traceback" not in path.read_text()
            asking.join(30)
            assert ended
        finally:
            process.kill()
            process.wait()


def _received(client: socket.socket) -> bytes:
    """Return what comes until the other side closes the connection."""
    parts: list[bytes] = []
    while part := client.recv(10_000):
        parts.append(part)
    return b"".join(parts)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0
