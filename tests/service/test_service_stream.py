"""Documents are written from a body of any size while it arrives."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from service_made import Encoder, serving, until

from panglot.encoders.protocol import Side, Vectors
from panglot.search.document import Document
from panglot.search.index import Index
from panglot.service.batcher import Limits
from panglot.service.middleware import Access, Key

PLACE = "/documents/stream"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    encoder = Encoder(fails=False)
    Index.build([Document("old", "Click Print.", language="en")], tmp_path / "index", model=encoder).close()
    opened = Index.open(tmp_path / "index", model=encoder)
    yield opened
    opened.close()


def rows(begin: int, end: int, **more: Any) -> Iterator[bytes]:
    for number in range(begin, end):
        yield json.dumps({"id": f"d{number}", "text": f"Document {number}.", "language": "en", **more}).encode() + b"\n"


def chunks(lines: Iterable[bytes], size: int = 1000) -> Iterator[bytes]:
    """Cut the lines anywhere."""
    rest = b""
    for line in lines:
        rest += line
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    yield rest


def test_a_body_of_many_pieces_is_written_whatever_its_chunks(index: Index) -> None:
    limits = Limits(documents=50, body=4_000)
    with serving(index, limits, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=60) as client:
        for size in (1000, 7):
            given = b"".join(rows(0, 220)) + b"\n  \n" + b'{"id": "last", "text": "Wie drucke ich die Tabelle?"}'
            done = client.post(PLACE, content=chunks([given], size))
            assert (done.status_code, done.json()["written"]) == (200, 221)
            assert done.json()["notes"] == ["languages detected: de 1"]
        # The same with a declared length, which is far above what other requests may have.
        assert len(given) > limits.body
        assert client.post(PLACE, content=given).json()["written"] == 221
        assert client.get("/about").json()["documents"] == 222
        assert client.get("/documents/d219").json()["text"] == "Document 219."
        assert client.post(PLACE, content=b"\xef\xbb\xbf" + given).json()["written"] == 221  # As files may begin.
        assert client.post(PLACE, content=b"").json() == {"written": 0, "notes": []}


@pytest.mark.parametrize(
    ("wrong", "message", "written"),
    [
        (b"{oops\n", "line 121 is not a JSON object", 120),
        (b"[1]\n", "line 121 is not a JSON object", 120),
        (b'{"id": "x"}\n', "from line 83 on: document 39, text", 82),
        (b'{"id": "x", "text": "' + b"a" * 5_000 + b'"}\n', "a line may have at most 4,000 bytes", None),
    ],
)
def test_a_wrong_line_is_named_and_what_came_before_its_piece_is_written(
    index: Index, wrong: bytes, message: str, written: int | None
) -> None:
    limits = Limits(documents=50, body=4_000)
    with serving(index, limits, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=60) as client:
        done = client.post(PLACE, content=chunks([*rows(0, 120), wrong, *rows(120, 130)]))
        assert done.status_code in {400, 413}
        assert message in done.json()["error"]["message"]
        if written is not None:
            assert f"The {written} documents before these are written" in done.json()["error"]["hint"]
            assert client.get("/about").json()["documents"] == written + 1


@pytest.mark.parametrize("piece", [1, 3, 50])
def test_a_line_replaces_earlier_ones_with_its_id_wherever_pieces_end(index: Index, piece: int) -> None:
    lines = [*rows(0, 3), b'{"id": "d0", "text": "near"}\n', *rows(10, 50), b'{"id": "d0", "text": "far"}\n']
    lines += [b'{"id": 7, "text": "number"}\n', b'{"id": "7", "text": "text"}\n']
    limits = Limits(documents=piece)
    with serving(index, limits, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=60) as client:
        done = client.post(PLACE, content=b"".join(lines))
        assert (done.status_code, done.json()["written"]) == (200, len(lines))
        assert client.get("/documents/d0").json()["text"] == "far"
        assert client.get("/documents/7").json()["text"] == "text"
        assert client.get("/about").json()["documents"] == 45
        # A wrong line is wrong though a later one has its id.
        wrong = b'{"id": "a", "text": ""}\n{"id": "a", "text": "right"}\n'
        assert client.post(PLACE, content=wrong).status_code == 400


LONG = "123456789012345678901234567890"


@pytest.mark.parametrize(
    "row",
    [
        f'{{"id": {LONG}, "text": "a"}}', f'{{"id": "x", "text": "a", "v": {LONG}}}',
        f'{{"id": "x", "text": "a", "v": -{"9" * 19}}}', f'{{"id": "x", "text": "a", "v": {2**63 - 1}}}',
        f'{{"id": "x", "text": "a", "v": {2**63}}}', f'{{"id": "x", "text": "a", "v": [1, {2**64}]}}',
        f'{{"id": "x", "text": "{LONG}", "v": 2.5}}', '{"id": "x", "text": "a", "v": NaN}',
        '{"id": "x", "text": "a", "v": 1e400}', '{"id": "x", "text": "a\\ud800"}', '{"id": "x", "text": "a", "v": 1e3}',
    ],
)  # fmt: skip
def test_a_stream_reads_values_as_other_requests_do(index: Index, row: str) -> None:
    with serving(index, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=60) as client:
        put = client.put(
            "/documents", content=f'{{"documents": [{row}]}}', headers={"Content-Type": "application/json"}
        )
        place = f"/documents/{LONG if LONG in row[:40] and 'x' not in row[:10] else 'x'}"
        before = client.get(place).json()
        client.delete(place)
        stream = client.post(PLACE, content=row)
        assert stream.status_code == put.status_code
        assert client.get(place).json() == before
        if put.status_code == 400:
            one, other = (each.json()["error"]["message"] for each in (put, stream))
            assert other == f"in the 1 documents from line 1 on: {one}"
        else:
            assert "error" not in before


def test_a_fast_client_is_slowed_down_and_nothing_is_read_ahead(index: Index) -> None:
    encoder = cast("Encoder", index.encoder)
    sent = [0]

    def body() -> Iterator[bytes]:
        for line in rows(0, 4_000, padding="x" * 20_000):
            sent[0] += len(line)
            yield line

    with serving(index, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=120) as client:
        encoder.open.clear()
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(client.post(PLACE, content=body())))
        thread.start()
        # The first piece waits for the model. The rest of 80 MB stays with the client.
        until(lambda: encoder.entered.is_set())
        before = -1
        while sent[0] != before:
            before = sent[0]
            time.sleep(1)
        assert sent[0] < 20_000_000
        encoder.open.set()
        thread.join()
        assert answers[0].json()["written"] == 4_000


def test_a_slow_machine_writes_a_stream_in_smaller_pieces(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = cast("Encoder", index.encoder)
    encode = encoder.encode

    def slowly(texts: Sequence[str], side: Side, *, ids: Sequence[str] | None = None) -> Vectors:
        time.sleep(0.02 * len(texts))
        return encode(texts, side, ids=ids)

    monkeypatch.setattr(encoder, "encode", slowly)
    # 400 documents in one piece would take 8 seconds.
    limits = Limits(documents=400, seconds=4)
    with serving(index, limits, access=Access(writable=True)) as url, httpx.Client(base_url=url, timeout=60) as client:
        done = client.post(PLACE, content=chunks(rows(0, 400)))
        assert (done.status_code, done.json()["written"]) == (200, 400)


def test_a_stream_waits_where_other_requests_are_refused(index: Index) -> None:
    encoder = cast("Encoder", index.encoder)
    with serving(index, Limits(queue=1), access=Access(writable=True)) as url:
        with httpx.Client(base_url=url, timeout=60) as client, httpx.Client(base_url=url, timeout=60) as other:
            encoder.open.clear()
            encoder.entered.clear()
            search = threading.Thread(target=lambda: client.get("/search?query=print"))
            search.start()
            assert encoder.entered.wait(30)
            answers: list[httpx.Response] = []
            stream = threading.Thread(target=lambda: answers.append(other.post(PLACE, content=chunks(rows(0, 3)))))
            stream.start()
            time.sleep(0.5)
            encoder.open.set()
            search.join()
            stream.join()
        assert answers[0].json()["written"] == 3


def test_only_who_may_write_may_stream(index: Index) -> None:
    access = Access((Key("a key of a reader"),), writable=True, write_keys=(Key("a key of a writer"),))
    with serving(index, access=access) as url, httpx.Client(base_url=url, timeout=60) as client:
        for key, status in (("", 401), ("a key of a reader", 403), ("a key of a writer", 200)):
            done = client.post(PLACE, content=b"".join(rows(0, 2)), headers={"Authorization": f"Bearer {key}".strip()})
            assert done.status_code == status
    with serving(index) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert client.post(PLACE, content=b"".join(rows(0, 2))).status_code == 403
