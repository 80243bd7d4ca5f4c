"""The texts of many requests, encoded together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from concurrent.futures import CancelledError

import numpy as np
import pytest
from service_made import Encoder, until

from panglot.service.batcher import Batcher, EncodingError, StoppedError


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def batcher(encoder: Encoder) -> Generator[Batcher]:
    made = Batcher(lambda texts, kind: encoder.encode(texts, "passage" if kind == "passage" else "question"), 40)
    yield made
    encoder.open.set()
    made.close()


def held(encoder: Encoder, batcher: Batcher) -> None:
    """Keep the thread busy with a first text, so that later ones wait."""
    encoder.open.clear()
    batcher.submit("question", ["first"], [1])
    assert encoder.entered.wait(30)


def test_what_waits_is_encoded_together_and_each_gets_its_own(encoder: Encoder, batcher: Batcher) -> None:
    held(encoder, batcher)
    futures = [batcher.submit("question", [f"text {place}", f"more {place}"], [2, 2]) for place in range(5)]
    encoder.open.set()
    found = [future.result(30) for future in futures]
    assert [len(batch) for batch in encoder.batches] == [1, 10]
    for place, encoded in enumerate(found):
        assert np.array_equal(encoded.vectors, Encoder().encode([f"text {place}", f"more {place}"], "question"))
        assert encoded.batch == 10


def test_a_long_request_comes_whole_and_in_order_though_others_go_between(encoder: Encoder, batcher: Batcher) -> None:
    held(encoder, batcher)
    texts = [f"text {place}" for place in range(50)]
    long, short = batcher.submit("passage", texts, [4] * 50), batcher.submit("question", ["short"], [4])
    encoder.open.set()
    assert np.array_equal(long.result(30).vectors, Encoder().encode(texts, "passage"))
    assert short.result(30).vectors.shape == (1, 16)
    assert ["short"] in encoder.batches[:4]


@pytest.mark.parametrize("bad", ["boom", "nan"])
def test_only_the_request_that_fails_alone_fails(
    encoder: Encoder, batcher: Batcher, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    held(encoder, batcher)
    futures = [batcher.submit("question", [text], [1]) for text in ("good", bad, "better")]
    encoder.open.set()
    assert futures[0].result(30).vectors.shape == futures[2].result(30).vectors.shape == (1, 16)
    with pytest.raises(EncodingError):
        futures[1].result(30)
    assert batcher.submit("question", ["afterwards"], [1]).result(30)


def test_a_cancelled_request_is_never_encoded(encoder: Encoder, batcher: Batcher) -> None:
    held(encoder, batcher)
    kept, dropped = batcher.submit("question", ["kept"], [1]), batcher.submit("question", ["dropped"], [1])
    assert dropped.cancel()
    encoder.open.set()
    assert kept.result(30)
    with pytest.raises(CancelledError):
        dropped.result(30)
    assert not any("dropped" in batch for batch in encoder.batches)


def test_a_stop_finishes_what_waits_and_takes_nothing_more(encoder: Encoder, batcher: Batcher) -> None:
    held(encoder, batcher)
    futures = [batcher.submit("question", [f"text {place}"], [30]) for place in range(5)]
    closing = threading.Thread(target=batcher.close)
    closing.start()

    def refuses() -> bool:
        try:
            batcher.submit("question", ["late"], [1])
        except StoppedError:
            return True
        return False

    until(refuses)
    encoder.open.set()
    closing.join(30)
    assert not closing.is_alive()
    assert all(future.done() for future in futures)
